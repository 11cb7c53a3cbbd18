import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize, stateDict, stateShapes } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { constant, type NdArray, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { T2tVit, TokenPerformer, t2tVit7, t2tVit14, unfold } from './t2t-vit.ts';
import { loadT2tVit, resizePositions } from './t2t-vit-checkpoint.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

async function evaluate(tensor: Tensor, weights?: ReadonlyMap<never, NdArray>): Promise<number[]> {
  const run = await device.compile(() => tensor, { inputs: [] as const, ...(weights && { weights }) });
  return toNumbers(await run());
}

/** The published names and shapes of T2T-ViT-7 for K classes, section 7 of the release's description, by depth. */
function published(depth: number, K: number, positions: number): Map<string, readonly number[]> {
  const E = 256;
  const linear = (name: string, out: number, from: number): [string, number[]][] => [
    [`${name}.weight`, [out, from]],
    [`${name}.bias`, [out]],
  ];
  const norm = (name: string, size: number): [string, number[]][] => [
    [`${name}.weight`, [size]],
    [`${name}.bias`, [size]],
  ];
  const performer = (name: string, dim: number): [string, number[]][] => [
    [`${name}.w`, [32, 64]],
    ...linear(`${name}.kqv`, 192, dim),
    ...linear(`${name}.proj`, 64, 64),
    ...norm(`${name}.norm1`, dim),
    ...norm(`${name}.norm2`, 64),
    ...linear(`${name}.mlp.0`, 64, 64),
    ...linear(`${name}.mlp.2`, 64, 64),
  ];
  return new Map([
    ['cls_token', [1, 1, E]],
    ['pos_embed', [1, positions, E]],
    ...performer('tokens_to_token.attention1', 147),
    ...performer('tokens_to_token.attention2', 576),
    ...linear('tokens_to_token.project', E, 576),
    ...Array.from({ length: depth }, (_, i) => [
      ...norm(`blocks.${i}.norm1`, E),
      [`blocks.${i}.attn.qkv.weight`, [768, E]] as [string, number[]],
      ...linear(`blocks.${i}.attn.proj`, E, E),
      ...norm(`blocks.${i}.norm2`, E),
      ...linear(`blocks.${i}.mlp.fc1`, 512, E),
      ...linear(`blocks.${i}.mlp.fc2`, E, 512),
    ]).flat(),
    ...norm('norm', E),
    ...linear('head', K, E),
  ]);
}

function checkpointOf(shapes: ReadonlyMap<string, readonly number[]>, seed = 1): Map<string, NdArray> {
  const random = new Random(seed);
  const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  return new Map(
    [...shapes].map(([name, shape]) => [name, ndarray(random.normals(sizeOf(shape), 0, 0.1), shape)]),
  );
}

test('names and shapes are the published ones', () => {
  const sorted = (shapes: ReadonlyMap<string, readonly number[]>) =>
    [...shapes].sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(
    sorted(stateShapes(new T2tVit({ ...t2tVit7, classes: 10 }))),
    sorted(published(7, 10, 197)),
  );
  const small = stateShapes(new T2tVit({ ...t2tVit7, classes: 10, imageSize: 32 }));
  assert.deepEqual(small.get('pos_embed'), [1, 5, 256]);
  const large = stateShapes(new T2tVit(t2tVit14));
  assert.deepEqual(large.get('blocks.13.attn.qkv.weight'), [1152, 384]);
  assert.deepEqual(large.get('blocks.0.mlp.fc1.weight'), [1152, 384]);
});

test('a checkpoint loads under every prefix it is published with', async () => {
  const model = new T2tVit({ ...t2tVit7, depth: 1, classes: 10, imageSize: 32 });
  const plain = checkpointOf(published(1, 10, 5));
  const expected = stateDict(model, loadT2tVit(model, plain));
  assert.deepEqual(new Map(expected), new Map([...expected.keys()].map((name) => [name, plain.get(name)!])));
  const named = (prefix: string, dict: ReadonlyMap<string, NdArray>) =>
    [...dict].map(([name, value]) => [prefix + name, value] as const);
  for (const prefix of ['module.', 'net.module.', 'state_dict.'])
    assert.deepEqual(stateDict(model, loadT2tVit(model, new Map(named(prefix, plain)))), expected);
  const both = new Map([
    ...named('state_dict.', checkpointOf(published(1, 10, 5), 2)),
    ...named('state_dict_ema.', plain),
  ]);
  assert.deepEqual(stateDict(model, loadT2tVit(model, both)), expected);
});

test('weights of other pictures and classes: positions are resized, the head is fresh', () => {
  const model = new T2tVit({ ...t2tVit7, depth: 1, classes: 10, imageSize: 32 });
  const imageNet = checkpointOf(published(1, 1000, 197));
  const loaded = stateDict(model, loadT2tVit(model, imageNet, { freshHead: { seed: 5 } }));
  assert.deepEqual(loaded.get('head.weight'), stateDict(model, initialize(model, 5)).get('head.weight'));
  assert.deepEqual(loaded.get('pos_embed'), resizePositions(imageNet.get('pos_embed')!, 2));
  assert.throws(
    () => loadT2tVit(model, imageNet),
    /mis-shaped: head\.weight: found \[1000,256\], expected \[10,256\]/,
  );
});

test('what does not fit is listed by name', () => {
  const model = new T2tVit({ ...t2tVit7, depth: 1, classes: 10, imageSize: 32 });
  const broken = checkpointOf(published(1, 10, 5));
  broken.delete('blocks.0.norm1.bias');
  broken.set('blocks.1.norm1.bias', ndarray(new Float32Array(256)));
  broken.set('norm.weight', ndarray(new Float32Array(255)));
  assert.throws(
    () => loadT2tVit(model, broken, { file: 't2t.safetensors' }),
    /t2t\.safetensors: 1 missing: blocks\.0\.norm1\.bias; 1 unexpected: blocks\.1\.norm1\.bias; 1 mis-shaped: norm\.weight: found \[255\]/,
  );
});

test('bicubic resizing: the same grid is itself, constants stay, a ramp stays straight inside', () => {
  const ramp = ndarray(
    [9, ...Array.from({ length: 36 }, (_, i) => i % 6)].flatMap((value) => [value, 3]),
    [1, 37, 2],
  );
  assert.deepEqual(toNumbers(resizePositions(ramp, 6)), toNumbers(ramp));
  const doubled = resizePositions(ramp, 12);
  assert.deepEqual(doubled.shape, [1, 145, 2]);
  const values = toNumbers(doubled);
  assert.equal(values[0], 9);
  for (let i = 0; i < 144; i++) {
    const [column, constant] = [i % 12, values[2 + 2 * i + 1]!];
    assert.ok(Math.abs(constant - 3) < 1e-6);
    if (column < 4 || column > 7) continue;
    // cubic convolution with a = −0.75 keeps a ramp at the middle of its interval and within 0.05 elsewhere
    assert.ok(Math.abs(values[2 + 2 * i]! - ((column + 0.5) / 2 - 0.5)) < 0.05);
  }
});

test('unfold has the order of PyTorch: channel, row, column', async () => {
  const image = ndarray(
    Array.from({ length: 2 * 4 * 4 }, (_, i) => i + 1),
    [1, 2, 4, 4],
  );
  const tokens = await evaluate(unfold(constant(image), 3, 2, 1));
  const pixel = (c: number, y: number, x: number) =>
    y < 0 || x < 0 || y > 3 || x > 3 ? 0 : c * 16 + y * 4 + x + 1;
  const expected: number[] = [];
  for (const top of [-1, 1])
    for (const left of [-1, 1])
      for (let c = 0; c < 2; c++)
        for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) expected.push(pixel(c, top + i, left + j));
  assert.deepEqual(tokens, expected);
});

test('the performer equals its formula, computed directly in float64', async () => {
  const [T, C, E] = [6, 10, 8];
  const model = new TokenPerformer(C, E);
  const weights = new Map(initialize(model, 4));
  const random = new Random(6);
  for (const weight of model.namedWeights().values()) {
    if (weight === model.w) continue;
    const shape = weight.shape as number[];
    weights.set(
      weight,
      ndarray(
        random.normals(
          shape.reduce((a, b) => a * b, 1),
          0.2,
          0.5,
        ),
        shape,
      ),
    );
  }
  const x = ndarray(random.normals(T * C), [1, T, C]);
  const run = await device.compile((tokens) => model.forward(tokens), {
    inputs: [{ shape: ['n', T, C] }] as const,
    weights,
  });
  const actual = toNumbers(await run(x));

  const dict = stateDict(model, weights);
  const read = (name: string) => toNumbers(dict.get(name)!);
  const rows = (values: number[], size: number) =>
    Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const linear = (name: string, v: number[]) =>
    rows(read(`${name}.weight`), v.length).map((row, i) => dot(row, v) + read(`${name}.bias`)[i]!);
  const norm = (name: string, v: number[]) => {
    const mean = v.reduce((a, b) => a + b) / v.length;
    const variance = v.reduce((sum, value) => sum + (value - mean) ** 2, 0) / v.length;
    const [scale, shift] = [read(`${name}.weight`), read(`${name}.bias`)];
    return v.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * scale[i]! + shift[i]!);
  };
  const w = rows(read('w'), E);
  const phi = (v: number[]) => w.map((row) => Math.exp(dot(row, v) - dot(v, v) / 2) / Math.sqrt(w.length));
  const kqv = rows(toNumbers(x), C).map((token) => rows(linear('kqv', norm('norm1', token)), E));
  const outputs = kqv.map(([, q, v]) => {
    // attention written as it is meant: a weight for every pair of tokens
    const pairs = kqv.map(([k]) => dot(phi(q!), phi(k!)));
    const total = pairs.reduce((a, b) => a + b);
    const mixed = v!.map(
      (_, e) => pairs.reduce((sum, p, t) => sum + p * kqv[t]![2]![e]!, 0) / (total + 1e-8),
    );
    const out = linear('proj', mixed).map((value, e) => value + v![e]!);
    const hidden = linear('mlp.0', norm('norm2', out)).map((value) => value * gaussian(value));
    return linear('mlp.2', hidden).map((value, e) => value + out[e]!);
  });
  outputs.flat().forEach((value, i) => {
    assert.ok(
      Math.abs(actual[i]! - value) < 1e-4 * Math.max(1, Math.abs(value)),
      `${actual[i]} is not ${value}`,
    );
  });
});

/** Φ, the normal distribution, by Simpson's rule. */
function gaussian(x: number): number {
  const [steps, low] = [4000, -10];
  const h = (x - low) / steps;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(low) + density(x);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * density(low + i * h);
  return (sum * h) / 3;
}

test('fixed parts: sinusoid positions, orthogonal directions', () => {
  const model = new T2tVit({ ...t2tVit7, depth: 1, classes: 3, imageSize: 32 });
  const dict = stateDict(model, initialize(model, 1));
  const positions = toNumbers(dict.get('pos_embed')!);
  for (const [p, j] of [
    [0, 0],
    [0, 1],
    [3, 4],
    [4, 255],
  ] as const) {
    const angle = p / 10000 ** ((2 * Math.floor(j / 2)) / 256);
    assert.ok(Math.abs(positions[p * 256 + j]! - (j % 2 ? Math.cos(angle) : Math.sin(angle))) < 1e-6);
  }
  const w = toNumbers(dict.get('tokens_to_token.attention1.w')!);
  for (let a = 0; a < 32; a++) {
    for (let b = 0; b <= a; b++) {
      let product = 0;
      for (let i = 0; i < 64; i++) product += w[a * 64 + i]! * w[b * 64 + i]!;
      assert.ok(Math.abs(product - (a === b ? 32 : 0)) < 1e-4);
    }
  }
  const trainable = [...model.namedWeights()].filter(([, weight]) => !weight.trainable).map(([name]) => name);
  assert.deepEqual(trainable.sort(), [
    'pos_embed',
    'tokens_to_token.attention1.w',
    'tokens_to_token.attention2.w',
  ]);
});

test('a whole network runs, with a free batch', async () => {
  const model = new T2tVit({ ...t2tVit7, depth: 2, classes: 4, imageSize: 32 });
  const weights = initialize(model, 2);
  const run = await device.compile((x) => model.forward(x), {
    inputs: [{ shape: ['n', 3, 32, 32] }] as const,
    weights,
  });
  const x = new Random(1).normals(2 * 3072);
  const both = toNumbers(await run(ndarray(x, [2, 3, 32, 32])));
  const second = toNumbers(await run(ndarray(x.slice(3072), [1, 3, 32, 32])));
  assert.equal(both.length, 8);
  second.forEach((value, i) => {
    assert.ok(Math.abs(value - both[4 + i]!) < 1e-5);
  });
});
