import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize, stateDict, stateShapes, traceTraining, type Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { constant, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { DiT, ditSize, LabelEmbedder } from './dit.ts';
import { loadDiT } from './dit-checkpoint.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const tiny = { hiddenSize: 8, depth: 2, numHeads: 2, patchSize: 2, inputSize: 4, inChannels: 3, classes: 5 };
const [N, C, S] = [2, 3, 4];

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Random numbers for every weight, so that no gate is zero; positions stay. */
function randomWeights(model: DiT, seed: number) {
  const weights = new Map(initialize(model, seed));
  const random = new Random(seed);
  for (const weight of model.namedWeights().values()) {
    const shape = weight.shape as number[];
    if (weight.trainable) weights.set(weight, ndarray(random.normals(sizeOf(shape), 0, 0.3), shape));
  }
  return weights;
}

const inputs = {
  x: ndarray(new Random(3).normals(N * C * S * S), [N, C, S, S]),
  t: ndarray([700.25, 3]),
  y: ndarray([4, 5], [2], 'int32'),
};

async function run(model: DiT, weights: Weights, body: (x: Tensor, t: Tensor, y: Tensor) => Tensor) {
  const compiled = await device.compile(body, {
    inputs: [
      { shape: ['n', model.inChannels, model.inputSize, model.inputSize] },
      { shape: ['n'] },
      { shape: ['n'], dtype: 'int32' },
    ] as const,
    weights,
  });
  return toNumbers(await compiled(inputs.x, inputs.t, inputs.y));
}

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i]! - value) / Math.max(1, Math.abs(value));
    assert.ok(error <= tolerance, `element ${i}: ${actual[i]}, expected ${value}`);
  }
}

/** The network in float64, one number at a time, from its weights by name. */
function reference(read: (name: string) => number[], n: number): number[] {
  const D = 8;
  const rows = (values: number[], size: number) =>
    Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const linear = (name: string, v: number[]) =>
    rows(read(`${name}.weight`), v.length).map((row, i) => dot(row, v) + read(`${name}.bias`)[i]!);
  const plus = (a: number[], b: number[]) => a.map((value, i) => value + b[i]!);
  const silu = (v: number[]) => v.map((value) => value / (1 + Math.exp(-value)));
  const norm = (v: number[]) => {
    const mean = v.reduce((a, b) => a + b) / v.length;
    const variance = v.reduce((sum, value) => sum + (value - mean) ** 2, 0) / v.length;
    return v.map((value) => (value - mean) / Math.sqrt(variance + 1e-6));
  };
  const modulate = (v: number[], shift: number[], scale: number[]) =>
    norm(v).map((value, i) => value * (1 + scale[i]!) + shift[i]!);
  const gelu = (v: number) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  const gated = (x: number[], gate: number[], branch: number[]) =>
    x.map((value, i) => value + gate[i]! * branch[i]!);

  const pixel = (c: number, row: number, column: number) =>
    Number(inputs.x.data[((n * C + c) * S + row) * S + column]);
  const t = Number(inputs.t.data[n]);
  const angles = Array.from({ length: 128 }, (_, j) => t * Math.exp((-Math.log(10000) * j) / 128));
  const sinusoids = [...angles.map(Math.cos), ...angles.map(Math.sin)];
  const time = linear('t_embedder.mlp.2', silu(linear('t_embedder.mlp.0', sinusoids)));
  const c = silu(plus(time, rows(read('y_embedder.embedding_table.weight'), D)[Number(inputs.y.data[n])]!));

  let tokens = [0, 1, 2, 3].map((at) => {
    const [row, column] = [Math.floor(at / 2), at % 2];
    const patch = [0, 1, 2].flatMap((channel) =>
      [0, 1, 2, 3].map((p) => pixel(channel, 2 * row + Math.floor(p / 2), 2 * column + (p % 2))),
    );
    const positions = [column, row].flatMap((p) => [
      Math.sin(p),
      Math.sin(p / 100),
      Math.cos(p),
      Math.cos(p / 100),
    ]);
    return plus(linear('x_embedder.proj', patch), positions);
  });
  for (const block of ['blocks.0', 'blocks.1']) {
    const modulation = rows(linear(`${block}.adaLN_modulation.1`, c), D);
    const [shift1, scale1, gate1, shift2, scale2, gate2] = [0, 1, 2, 3, 4, 5].map((i) => modulation[i]!) as [
      number[],
      number[],
      number[],
      number[],
      number[],
      number[],
    ];
    const qkv = tokens.map((token) => rows(linear(`${block}.attn.qkv`, modulate(token, shift1, scale1)), D));
    tokens = tokens.map((token, i) => {
      const heads = [0, 4].flatMap((from) => {
        const part = (v: number[]) => v.slice(from, from + 4);
        const scores = qkv.map(([, k]) => Math.exp(dot(part(qkv[i]![0]!), part(k!)) / 2));
        const total = scores.reduce((a, b) => a + b);
        return [0, 1, 2, 3].map((d) =>
          scores.reduce((sum, score, j) => sum + (score / total) * part(qkv[j]![2]!)[d]!, 0),
        );
      });
      const x = gated(token, gate1, linear(`${block}.attn.proj`, heads));
      const hidden = linear(`${block}.mlp.fc1`, modulate(x, shift2, scale2)).map(gelu);
      return gated(x, gate2, linear(`${block}.mlp.fc2`, hidden));
    });
  }
  const [shift, scale] = rows(linear('final_layer.adaLN_modulation.1', c), D) as [number[], number[]];
  const patches = tokens.map((token) => linear('final_layer.linear', modulate(token, shift, scale)));
  const out: number[] = [];
  for (let channel = 0; channel < 2 * C; channel++)
    for (let row = 0; row < S; row++)
      for (let column = 0; column < S; column++)
        out.push(
          patches[2 * Math.floor(row / 2) + Math.floor(column / 2)]![
            ((row % 2) * 2 + (column % 2)) * 2 * C + channel
          ]!,
        );
  return out;
}

test('the network equals its formulas, computed directly in float64', async () => {
  const model = new DiT(tiny);
  const weights = randomWeights(model, 1);
  const dict = stateDict(model, weights);
  const read = (name: string) => toNumbers(dict.get(name)!);
  const actual = await run(model, weights, (x, t, y) => model.forward(x, t, y));
  assertClose(actual, [...reference(read, 0), ...reference(read, 1)], 1e-4);
});

test('DiT-XL/2 has the names and the size of the published checkpoint', () => {
  const shapes = stateShapes(new DiT(ditSize('XL', 2)));
  assert.equal(shapes.size, 292);
  assert.equal(
    [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0),
    675_129_632,
  );
  assert.deepEqual(Object.fromEntries(shapes), Object.fromEntries(published(28)));
  assert.deepEqual(stateShapes(new DiT(ditSize('S', 8))).get('x_embedder.proj.weight'), [384, 4, 8, 8]);
});

/** Names and shapes of DiT-XL-2-256x256, for a number of blocks. */
function published(depth: number): Map<string, number[]> {
  const D = 1152;
  const linear = (name: string, out: number, from: number): [string, number[]][] => [
    [`${name}.weight`, [out, from]],
    [`${name}.bias`, [out]],
  ];
  return new Map([
    ['x_embedder.proj.weight', [D, 4, 2, 2]],
    ['x_embedder.proj.bias', [D]],
    ['pos_embed', [1, 256, D]],
    ...linear('t_embedder.mlp.0', D, 256),
    ...linear('t_embedder.mlp.2', D, D),
    ['y_embedder.embedding_table.weight', [1001, D]],
    ...Array.from({ length: depth }, (_, i) => [
      ...linear(`blocks.${i}.attn.qkv`, 3 * D, D),
      ...linear(`blocks.${i}.attn.proj`, D, D),
      ...linear(`blocks.${i}.mlp.fc1`, 4 * D, D),
      ...linear(`blocks.${i}.mlp.fc2`, D, 4 * D),
      ...linear(`blocks.${i}.adaLN_modulation.1`, 6 * D, D),
    ]).flat(),
    ...linear('final_layer.linear', 32, D),
    ...linear('final_layer.adaLN_modulation.1', 2 * D, D),
  ]);
}

test('a checkpoint with the published names and shapes loads and runs, at depth 2', async () => {
  const model = new DiT({ ...ditSize('XL', 2), depth: 2 });
  const dict = new Map(
    [...published(2)].map(([name, shape], seed) => {
      const values = new Float32Array(sizeOf(shape));
      for (let i = 0; i < values.length; i++) values[i] = (((i * 37 + seed) % 101) - 50) / 1500;
      return [name, ndarray(values, shape)];
    }),
  );
  const weights = loadDiT(model, dict);
  const compiled = await device.compile((x, t, y) => model.forward(x, t, y), {
    inputs: [{ shape: [1, 4, 32, 32] }, { shape: [1] }, { shape: [1], dtype: 'int32' }] as const,
    weights,
  });
  const x = ndarray(new Random(1).normals(4096), [1, 4, 32, 32]);
  const out = await compiled(x, ndarray([999]), ndarray([1000], [1], 'int32'));
  assert.deepEqual(out.shape, [1, 8, 32, 32]);
  assert.ok(toNumbers(out).every(Number.isFinite));
  assert.notEqual(out.data[0], 0);

  const ema = [...dict].map(([name, value]) => [`ema.${name}`, value] as const);
  const old = [...dict.keys()].map((name) => [`model.${name}`, ndarray([0])] as const);
  for (const [weight, value] of loadDiT(model, new Map([...old, ...ema])))
    assert.equal(value, weights.get(weight));

  const broken = new Map(dict).set('blocks.2.attn.qkv.bias', ndarray([0]));
  broken.delete('blocks.1.mlp.fc1.bias');
  broken.set('pos_embed', ndarray(new Float32Array(1024 * 1152), [1, 1024, 1152]));
  assert.throws(
    () => loadDiT(model, broken, { file: 'DiT-XL-2-512x512.safetensors' }),
    /DiT-XL-2-512x512\.safetensors: 1 missing: blocks\.1\.mlp\.fc1\.bias; 1 unexpected: blocks\.2\.attn\.qkv\.bias; 1 mis-shaped: pos_embed: found \[1,1024,1152\], expected \[1,256,1152\]/,
  );
});

test('first values are the official ones: blocks are the identity, the output is zero', async () => {
  const model = new DiT(tiny);
  const weights = initialize(model, 5);
  const dict = stateDict(model, weights);
  const tokens: Tensor[] = [];
  const out = await run(model, weights, (x, t, y) => {
    const result = model.forward(x, t, y, { onBlock: (_, h) => tokens.push(h) });
    return result.sum().abs().add(tokens[1]!.sub(tokens[0]!).abs().sum());
  });
  assert.deepEqual(out, [0]);
  const bound = Math.sqrt(6 / (8 + 12)); // a Linear of 12 pixels to 8 channels
  const patch = toNumbers(dict.get('x_embedder.proj.weight')!);
  assert.ok(patch.every((value) => Math.abs(value) <= bound) && patch.some((v) => Math.abs(v) > 0.9 * bound));
  const table = toNumbers(dict.get('t_embedder.mlp.0.weight')!);
  const std = Math.sqrt(table.reduce((sum, value) => sum + value * value, 0) / table.length);
  assert.ok(Math.abs(std / 0.02 - 1) < 0.1, `std ${std}`);
  assert.ok(toNumbers(dict.get('blocks.0.attn.qkv.bias')!).every((value) => value === 0));
});

test('hooks: an adapter adds to a branch, a cache replaces it, and features can be read', async () => {
  const model = new DiT(tiny);
  const weights = randomWeights(model, 2);
  const plain = await run(model, weights, (x, t, y) => model.forward(x, t, y));
  const seen: string[] = [];
  const same = await run(model, weights, (x, t, y) =>
    model.forward(x, t, y, {
      branch: ({ block, kind, input }, compute) => {
        seen.push(`${kind} ${block} ${input.shape}`);
        return compute();
      },
    }),
  );
  assert.deepEqual(same, plain);
  assert.deepEqual(seen, ['attn 0 n,4,8', 'mlp 0 n,4,8', 'attn 1 n,4,8', 'mlp 1 n,4,8']);
  const cached = await run(model, weights, (x, t, y) => {
    const features = new Map<string, Tensor>();
    const key = (block: number, kind: string) => `${block} ${kind}`;
    model.forward(x, t, y, {
      branch: ({ block, kind }, compute) => {
        const value = compute();
        features.set(key(block, kind), value);
        return value;
      },
    });
    return model.forward(x, t, y, { branch: ({ block, kind }) => features.get(key(block, kind))! });
  });
  assertClose(cached, plain, 1e-6);
});

test('labels are dropped in training only, with their probability', async () => {
  const labels = constant(
    ndarray(
      new Int32Array(4000).map((_, i) => i % 3),
      [4000],
      'int32',
    ),
  );
  const table = new LabelEmbedder(3, 1, 0.1);
  const weights = new Map([[table.embeddingTable.weight, ndarray([0, 0, 0, 1], [4, 1])]]);
  const mean = async (training: boolean) => {
    const compiled = await device.compile(
      (seed) => {
        const body = () => table.forward(labels).mean();
        return training ? traceTraining(seed, body).value : body();
      },
      { inputs: [{ shape: [], dtype: 'int32' }] as const, weights },
    );
    return toNumbers(await compiled(ndarray([7], [], 'int32')))[0]!;
  };
  assert.equal(await mean(false), 0);
  const share = await mean(true);
  assert.ok(Math.abs(share - 0.1) < 0.02, `dropped ${share}`); // 4 standard deviations
});

test('what cannot be is refused', async () => {
  assert.throws(
    () => new DiT({ ...tiny, inputSize: 5 }),
    /input size 5 is not a multiple of the patch size 2/,
  );
  assert.throws(() => new DiT({ ...tiny, hiddenSize: 6 }), /hidden size 6 is not a multiple of 4/);
  assert.throws(() => new DiT({ ...tiny, numHeads: 3 }), /8 channels do not divide into 3 heads/);
  assert.throws(() => new DiT({ ...tiny, classDropout: 2 }), /label dropout 2 is not in 0\.\.1/);
});
