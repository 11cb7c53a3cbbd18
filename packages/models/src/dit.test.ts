import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize, loadStateDict, stateDict, stateShapes, traceTraining } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import {
  constant,
  type NdArray,
  ndarray,
  openDevice,
  type Parameter,
  type Tensor,
  toNumbers,
} from '@working-papers/tensor';
import { Dit, type DitHooks, ditSizes, timestepEmbedding } from './dit.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

/** The published names and shapes (facebookresearch/DiT, learned sigma, 1000 classes) at a depth. */
function published(d: number, depth: number, patch: number, tokens: number): Map<string, readonly number[]> {
  const linear = (name: string, out: number, from: number): [string, number[]][] => [
    [`${name}.weight`, [out, from]],
    [`${name}.bias`, [out]],
  ];
  return new Map<string, readonly number[]>([
    ['pos_embed', [1, tokens, d]],
    ['x_embedder.proj.weight', [d, 4, patch, patch]],
    ['x_embedder.proj.bias', [d]],
    ...linear('t_embedder.mlp.0', d, 256),
    ...linear('t_embedder.mlp.2', d, d),
    ['y_embedder.embedding_table.weight', [1001, d]],
    ...Array.from({ length: depth }, (_, i) => [
      ...linear(`blocks.${i}.attn.qkv`, 3 * d, d),
      ...linear(`blocks.${i}.attn.proj`, d, d),
      ...linear(`blocks.${i}.mlp.fc1`, 4 * d, d),
      ...linear(`blocks.${i}.mlp.fc2`, d, 4 * d),
      ...linear(`blocks.${i}.adaLN_modulation.1`, 6 * d, d),
    ]).flat(),
    ...linear('final_layer.linear', patch * patch * 8, d),
    ...linear('final_layer.adaLN_modulation.1', 2 * d, d),
  ]);
}

const sorted = (shapes: ReadonlyMap<string, readonly number[]>) =>
  [...shapes].sort(([a], [b]) => (a < b ? -1 : 1));

test('names and shapes are those of DiT-XL-2-256x256', () => {
  const model = new Dit({ ...ditSizes.XL, depth: 2, inputSize: 32, patchSize: 2 });
  assert.deepEqual(sorted(stateShapes(model)), sorted(published(1152, 2, 2, 256)));
});

test('a checkpoint with the published names loads; a wrong one lists what is missing, unexpected, mis-shaped', () => {
  const model = new Dit({ hiddenSize: 16, numHeads: 2, depth: 2, inputSize: 4, patchSize: 2 });
  const random = new Random(1);
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const dict = new Map<string, NdArray>(
    [...published(16, 2, 2, 4)].map(([name, shape]) => [name, ndarray(random.normals(size(shape)), shape)]),
  );
  assert.equal(loadStateDict(model, dict).size, dict.size);
  dict.delete('blocks.1.attn.qkv.bias');
  dict.set('blocks.2.mlp.fc1.bias', ndarray(new Float32Array(64), [64]));
  dict.set('final_layer.linear.bias', ndarray(new Float32Array(16), [16]));
  assert.throws(
    () => loadStateDict(model, dict, { file: 'DiT.safetensors' }),
    (error: Error) =>
      /DiT\.safetensors/.test(error.message) &&
      /1 missing: blocks\.1\.attn\.qkv\.bias/.test(error.message) &&
      /1 unexpected: blocks\.2\.mlp\.fc1\.bias/.test(error.message) &&
      /final_layer\.linear\.bias/.test(error.message),
  );
});

const options = { hiddenSize: 8, numHeads: 2, depth: 2, inputSize: 4, patchSize: 2, channels: 3, classes: 5 };
const tiny = new Dit({ ...options, learnSigma: false });
/** Nothing is zero, so that everything counts. */
const values: Map<Parameter, NdArray> = new Map(
  [...tiny.namedWeights()].map(([name, weight]) => {
    const random = new Random(3).fork(name);
    const shape = weight.shape as number[];
    return [
      weight,
      ndarray(
        random.normals(
          shape.reduce((a, b) => a * b, 1),
          0,
          0.3,
        ),
        shape,
      ),
    ];
  }),
);
const x = ndarray(new Random(4).normals(2 * 3 * 16), [2, 3, 4, 4]);
const t = ndarray(Float32Array.of(3.5, 721), [2]);
const labels = ndarray(Int32Array.of(4, 5), [2], 'int32');

async function run(
  model: Dit,
  weights: ReadonlyMap<Parameter, NdArray>,
  hooks?: DitHooks,
): Promise<number[]> {
  const compiled = await device.compile(
    () => model.forward(constant(x), constant(t), constant(labels), hooks),
    { inputs: [] as const, weights },
  );
  const out = toNumbers(await compiled());
  await compiled.dispose();
  return out;
}

/** Section 3.2 of the paper, sample by sample in plain loops and double precision. */
function reference(n: number): number[] {
  const dict = new Map([...stateDict(tiny, values)].map(([name, array]) => [name, toNumbers(array)]));
  const [d, heads, side, p, channels] = [8, 2, 2, 2, 3];
  const w = (name: string) => dict.get(name)!;
  const linear = (v: number[], name: string) =>
    w(`${name}.bias`).map((b, o) =>
      v.reduce((sum, each, i) => sum + each * w(`${name}.weight`)[o * v.length + i]!, b),
    );
  const silu = (v: number[]) => v.map((z) => z / (1 + Math.exp(-z)));
  const gelu = (v: number[]) =>
    v.map((z) => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))));
  const norm = (v: number[]) => {
    const mean = v.reduce((a, b) => a + b) / v.length;
    const variance = v.reduce((a, b) => a + (b - mean) ** 2, 0) / v.length;
    return v.map((z) => (z - mean) / Math.sqrt(variance + 1e-6));
  };
  const modulated = (v: number[], shift: number[], scale: number[]) =>
    norm(v).map((z, i) => z * (1 + scale[i]!) + shift[i]!);
  const parts = (v: number[], count: number) =>
    Array.from({ length: count }, (_, i) => v.slice((i * v.length) / count, ((i + 1) * v.length) / count));

  const time = Array.from({ length: 256 }, (_, j) => {
    const angle = Number(t.data[n]) * Math.exp((-Math.log(10000) * (j % 128)) / 128);
    return j < 128 ? Math.cos(angle) : Math.sin(angle);
  });
  const label = w('y_embedder.embedding_table.weight')
    .slice(Number(labels.data[n]) * d)
    .slice(0, d);
  const c = linear(silu(linear(time, 't_embedder.mlp.0')), 't_embedder.mlp.2').map((z, i) => z + label[i]!);
  let tokens = Array.from({ length: side * side }, (_, token) => {
    const [row, column] = [Math.floor(token / side), token % side];
    return w('x_embedder.proj.bias').map((b, o) => {
      let sum = b + w('pos_embed')[token * d + o]!;
      for (let ch = 0; ch < channels; ch++)
        for (let i = 0; i < p; i++)
          for (let j = 0; j < p; j++)
            sum +=
              Number(x.data[((n * channels + ch) * 4 + row * p + i) * 4 + column * p + j]) *
              w('x_embedder.proj.weight')[((o * channels + ch) * p + i) * p + j]!;
      return sum;
    });
  });
  for (let block = 0; block < 2; block++) {
    const name = `blocks.${block}`;
    const [s1, c1, g1, s2, c2, g2] = parts(linear(silu(c), `${name}.adaLN_modulation.1`), 6);
    const qkv = tokens.map((v) => parts(linear(modulated(v, s1!, c1!), `${name}.attn.qkv`), 3));
    const attended = tokens.map((_, from) => {
      const out: number[] = [];
      for (let h = 0; h < heads; h++) {
        const head = (v: number[]) => parts(v, heads)[h]!;
        const scores = qkv.map(([, k]) =>
          head(k!).reduce((sum, z, i) => sum + z * head(qkv[from]![0]!)[i]!, 0),
        );
        const exps = scores.map((score) => Math.exp(score / Math.sqrt(d / heads)));
        const total = exps.reduce((a, b) => a + b);
        for (let i = 0; i < d / heads; i++)
          out.push(qkv.reduce((sum, [, , v], j) => sum + (exps[j]! / total) * head(v!)[i]!, 0));
      }
      return linear(out, `${name}.attn.proj`);
    });
    tokens = tokens.map((v, i) => v.map((z, j) => z + g1![j]! * attended[i]![j]!));
    tokens = tokens.map((v) => {
      const mixed = linear(gelu(linear(modulated(v, s2!, c2!), `${name}.mlp.fc1`)), `${name}.mlp.fc2`);
      return v.map((z, j) => z + g2![j]! * mixed[j]!);
    });
  }
  const [shift, scale] = parts(linear(silu(c), 'final_layer.adaLN_modulation.1'), 2);
  const patches = tokens.map((v) => linear(modulated(v, shift!, scale!), 'final_layer.linear'));
  return Array.from({ length: channels * 16 }, (_, at) => {
    const [ch, y, z] = [Math.floor(at / 16), Math.floor(at / 4) % 4, at % 4];
    const token = Math.floor(y / p) * side + Math.floor(z / p);
    return patches[token]![((y % p) * p + (z % p)) * channels + ch]!;
  });
}

test('the output is that of the equations, in plain loops', async () => {
  const expected = [...reference(0), ...reference(1)];
  const found = await run(tiny, values);
  assert.equal(found.length, expected.length);
  found.forEach((value, i) => {
    assert.ok(
      Math.abs(value - expected[i]!) < 2e-4 * (1 + Math.abs(expected[i]!)),
      `${i}: ${value}, ${expected[i]}`,
    );
  });
});

test('first values: blocks are the identity, the output is zero, positions are sines of column and row', async () => {
  const model = new Dit(options);
  const first = initialize(model, 1);
  assert.ok((await run(model, first)).every((value) => value === 0));
  const [hidden, dict] = [[] as Tensor[], stateDict(model, first)];
  const compiled = await device.compile(
    () => {
      model.forward(constant(x), constant(t), constant(labels), { block: (_, h) => hidden.push(h) });
      return { first: hidden[0]!, second: hidden[1]! };
    },
    { inputs: [] as const, weights: first },
  );
  const out = await compiled();
  assert.deepEqual(toNumbers(out.second), toNumbers(out.first));
  await compiled.dispose();
  const positions = toNumbers(dict.get('pos_embed')!);
  // token 1 is row 0, column 1; frequencies 1 and 1/100
  [Math.sin(1), Math.sin(0.01), Math.cos(1), Math.cos(0.01), 0, 0, 1, 1].forEach((value, i) => {
    assert.ok(Math.abs(positions[8 + i]! - value) < 1e-7, `${i}: ${positions[8 + i]} for ${value}`);
  });
  const largest = Math.max(...toNumbers(dict.get('x_embedder.proj.weight')!).map(Math.abs));
  assert.ok(largest <= Math.sqrt(6 / (8 + 12)), `a patch begins as Xavier, found ${largest}`);
});

test('a hook that computes changes nothing, bit for bit; what it returns stands in front of the gate', async () => {
  const plain = await run(tiny, values);
  const names: string[] = [];
  const same = await run(tiny, values, {
    branch(name, h, compute) {
      names.push(`${name} ${h.shape}`);
      return compute(h);
    },
  });
  assert.deepEqual(same, plain);
  assert.deepEqual(
    names,
    [0, 1].flatMap((i) => [`blocks.${i}.attn 2,4,8`, `blocks.${i}.mlp 2,4,8`]),
  );
  const without = await run(tiny, values, {
    branch: (name, h, compute) => (name === 'blocks.1.attn' ? h.mul(0) : compute(h)),
  });
  assert.notDeepEqual(without, plain);
  // the same as a gate of zero
  const gate = tiny.blocks[1]!.adaLNModulation.layers[1] as unknown as { weight: never; bias: never };
  const shut = new Map(values);
  for (const part of ['weight', 'bias'] as const) {
    const array = shut.get(gate[part])!;
    const data = (array.data as Float32Array).slice();
    data.fill(0, (2 * data.length) / 6, (3 * data.length) / 6);
    shut.set(gate[part], { ...array, data });
  }
  assert.deepEqual(without, await run(tiny, shut));
});

test('labels become none in training only, in the share that was asked for', async () => {
  const many = constant(ndarray(new Int32Array(4000), [4000], 'int32'));
  const model = new Dit({ ...options, labelDropout: 0.1 });
  const seed = constant(ndarray(Int32Array.of(7), [], 'int32'));
  const weights = initialize(model, 1);
  const table = toNumbers(stateDict(model, weights).get('y_embedder.embedding_table.weight')!);
  const compiled = await device.compile(
    () => ({
      training: traceTraining(seed, () => model.yEmbedder.forward(many)).value.select(1, 0),
      inference: model.yEmbedder.forward(many).select(1, 0),
    }),
    { inputs: [] as const, weights },
  );
  const { training, inference } = await compiled();
  const none = toNumbers(training).filter((value) => value === table[5 * 8]).length;
  assert.ok(none > 330 && none < 470, `${none} of 4000`);
  assert.ok(toNumbers(inference).every((value) => value === table[0]));
  await compiled.dispose();
});

test('times are cosines first', async () => {
  const compiled = await device.compile((time) => timestepEmbedding(time), { inputs: [{ shape: [1] }] });
  const out = toNumbers(await compiled(ndarray([2], [1])));
  assert.ok(Math.abs(out[0]! - Math.cos(2)) < 1e-6 && Math.abs(out[128]! - Math.sin(2)) < 1e-6);
  assert.equal(out.length, 256);
  await compiled.dispose();
});

test('sizes that do not fit are refused', () => {
  assert.throws(
    () => new Dit({ ...options, inputSize: 5 }),
    /input size 5 is not a multiple of the patch size 2/,
  );
  assert.throws(() => new Dit({ ...options, hiddenSize: 6 }), /hidden size 6 is not a multiple of 4/);
  assert.throws(() => new Dit({ ...options, numHeads: 3 }), /8 channels do not divide into 3 heads/);
  const wrong = constant(ndarray(new Float32Array(3 * 64), [1, 3, 8, 8]));
  assert.throws(
    () => tiny.forward(wrong, constant(t), constant(labels)),
    /makes 16 tokens, the positions are of 4/,
  );
});
