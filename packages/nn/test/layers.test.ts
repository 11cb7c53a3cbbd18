import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NdArray, ndarray, type Parameter, toNumbers } from '@working-papers/tensor';
import {
  BatchNorm,
  Conv,
  ConvTranspose,
  Embedding,
  GroupNorm,
  type Layer,
  LayerNorm,
  Linear,
  RmsNorm,
  Sequential,
} from '../src/layers.ts';
import { initialize, type Module, stateDict, traceTraining } from '../src/module.ts';
import { assertClose, evaluate, noise, rows, testDevice } from './helpers.ts';

const device = await testDevice();

/** Every weight random, also scales and biases that start at one and zero; numbers by name. */
function randomWeights(module: Module) {
  const weights = new Map<Parameter, NdArray>();
  const numbers: Record<string, number[]> = {};
  let seed = 100;
  for (const [name, weight] of module.namedWeights()) {
    const value = noise(weight.shape as number[], seed++);
    const data = value.data as Float32Array;
    if (name.endsWith('running_var')) for (const [i, v] of data.entries()) data[i] = v * v;
    weights.set(weight, value);
    numbers[name] = toNumbers(value);
  }
  return { weights, numbers };
}

async function run(layer: Layer & Module, x: NdArray) {
  const { weights, numbers } = randomWeights(layer);
  return { y: await evaluate(device, (t) => layer.forward(t!), [x], weights), numbers };
}

test('linear, on vectors and on batches of sequences', async () => {
  for (const shape of [[3], [5, 3], [2, 4, 3]]) {
    const x = noise(shape, 1);
    const { y, numbers } = await run(new Linear(3, 2), x);
    const expected = rows(x).flatMap((row) =>
      [0, 1].map((o) => row.reduce((sum, v, i) => sum + v * numbers.weight![o * 3 + i]!, numbers.bias![o]!)),
    );
    assertClose(y, expected);
  }
  assert.deepEqual([...new Linear(3, 2, { bias: false }).namedWeights().keys()], ['weight']);
});

test('convolution with stride, padding, dilation and groups', async () => {
  const [n, c, h, w, out, groups, k] = [2, 4, 7, 6, 6, 2, 3];
  const [stride, padding, dilation] = [2, 1, 2];
  const layer = new Conv(c, out, [k, k], { stride, padding, dilation, groups });
  const x = noise([n, c, h, w], 2);
  const { y, numbers } = await run(layer, x);
  const data = toNumbers(x);
  const size = (s: number) => Math.floor((s + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  const [oh, ow, per] = [size(h), size(w), c / groups];
  const expected: number[] = [];
  for (let b = 0; b < n; b++)
    for (let o = 0; o < out; o++)
      for (let i = 0; i < oh; i++)
        for (let j = 0; j < ow; j++) {
          let sum = numbers.bias![o]!;
          const first = Math.floor(o / (out / groups)) * per;
          for (let q = 0; q < per; q++)
            for (let di = 0; di < k; di++)
              for (let dj = 0; dj < k; dj++) {
                const [row, column] = [
                  i * stride - padding + di * dilation,
                  j * stride - padding + dj * dilation,
                ];
                if (row < 0 || row >= h || column < 0 || column >= w) continue;
                sum +=
                  data[((b * c + first + q) * h + row) * w + column]! *
                  numbers.weight![((o * per + q) * k + di) * k + dj]!;
              }
          expected.push(sum);
        }
  assertClose(y, expected);
});

test('convolution along one axis', async () => {
  const x = noise([2, 3, 8], 3);
  const { y, numbers } = await run(new Conv(3, 2, [3], { padding: 1 }), x);
  const data = toNumbers(x);
  const expected: number[] = [];
  for (let b = 0; b < 2; b++)
    for (let o = 0; o < 2; o++)
      for (let i = 0; i < 8; i++) {
        let sum = numbers.bias![o]!;
        for (let c = 0; c < 3; c++)
          for (let d = 0; d < 3; d++) {
            const at = i + d - 1;
            if (at >= 0 && at < 8) sum += data[(b * 3 + c) * 8 + at]! * numbers.weight![(o * 3 + c) * 3 + d]!;
          }
        expected.push(sum);
      }
  assertClose(y, expected);
});

test('transposed convolution spreads every input over its kernel', async () => {
  const [n, c, h, out, k, stride, padding] = [2, 3, 4, 2, 3, 2, 1];
  const x = noise([n, c, h, h], 4);
  const { y, numbers } = await run(new ConvTranspose(c, out, [k, k], { stride, padding }), x);
  const data = toNumbers(x);
  const size = (h - 1) * stride - 2 * padding + k;
  const expected = Array.from({ length: n * out * size * size }, (_, i) => {
    return numbers.bias![Math.floor(i / (size * size)) % out]!;
  });
  for (let b = 0; b < n; b++)
    for (let q = 0; q < c; q++)
      for (let i = 0; i < h; i++)
        for (let j = 0; j < h; j++)
          for (let o = 0; o < out; o++)
            for (let di = 0; di < k; di++)
              for (let dj = 0; dj < k; dj++) {
                const [row, column] = [i * stride - padding + di, j * stride - padding + dj];
                if (row < 0 || row >= size || column < 0 || column >= size) continue;
                expected[((b * out + o) * size + row) * size + column]! +=
                  data[((b * c + q) * h + i) * h + j]! * numbers.weight![((q * out + o) * k + di) * k + dj]!;
              }
  assertClose(y, expected);
});

test('embedding looks rows up', async () => {
  const layer = new Embedding(5, 3);
  const { weights, numbers } = randomWeights(layer);
  const y = await evaluate(
    device,
    (i) => layer.forward(i!),
    [ndarray([4, 0, 4, 2], [2, 2], 'int64')],
    weights,
  );
  assert.deepEqual(
    y,
    [4, 0, 4, 2].flatMap((row) => numbers.weight!.slice(row * 3, row * 3 + 3)),
  );
});

/** Zero mean and unit variance. */
function normalised(values: readonly number[], epsilon: number): number[] {
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  return values.map((v) => (v - mean) / Math.sqrt(variance + epsilon));
}

test('layer, RMS and group norm', async () => {
  const x = noise([2, 4, 6], 5, 3);
  const layer = await run(new LayerNorm(6, { epsilon: 1e-3 }), x);
  assertClose(
    layer.y,
    rows(x).flatMap((row) =>
      normalised(row, 1e-3).map((v, i) => v * layer.numbers.weight![i]! + layer.numbers.bias![i]!),
    ),
  );
  const rms = await run(new RmsNorm(6), x);
  assertClose(
    rms.y,
    rows(x).flatMap((row) => {
      const root = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / 6 + 1e-6);
      return row.map((v, i) => (v / root) * rms.numbers.weight![i]!);
    }),
  );
  const group = await run(new GroupNorm(2, 4), x);
  const flat = toNumbers(x);
  const expected = [0, 12, 24, 36].flatMap((at) => normalised(flat.slice(at, at + 12), 1e-5));
  assertClose(
    group.y,
    expected.map((v, i) => {
      const channel = Math.floor(i / 6) % 4;
      return v * group.numbers.weight![channel]! + group.numbers.bias![channel]!;
    }),
  );
  assert.equal(new LayerNorm(6, { affine: false }).namedWeights().size, 0);
  assert.throws(() => new GroupNorm(3, 4).forward(new Linear(1, 1).weight), /GroupNorm/);
});

test('batch norm in inference uses the running statistics', async () => {
  const x = noise([3, 2, 2, 2], 6);
  const { y, numbers } = await run(new BatchNorm(2, { epsilon: 1e-3 }), x);
  const expected = toNumbers(x).map((v, i) => {
    const c = Math.floor(i / 4) % 2;
    const scale = numbers.weight![c]! / Math.sqrt(numbers.running_var![c]! + 1e-3);
    return (v - numbers.running_mean![c]!) * scale + numbers.bias![c]!;
  });
  assertClose(y, expected);
});

test("batch norm in training: the batch's statistics, and PyTorch's running averages over three steps", async () => {
  const layer = new BatchNorm(2, { momentum: 0.2 });
  const store = await device.store(initialize(layer, 1));
  const step = await device.compileStep(
    (x) => {
      const { value, updates } = traceTraining(undefined, () => layer.forward(x));
      return { outputs: value, updates };
    },
    { inputs: [{ shape: [3, 2, 4] }] as const, store },
  );
  const [mean, variance] = [
    [0, 0],
    [1, 1],
  ] as [number[], number[]];
  for (let i = 0; i < 3; i++) {
    const x = noise([3, 2, 4], 20 + i, 2);
    const y = toNumbers(await step(x));
    const flat = toNumbers(x);
    const expected = new Array<number>(24);
    for (let c = 0; c < 2; c++) {
      const at = flat.map((_, i) => i).filter((i) => Math.floor(i / 4) % 2 === c);
      const values = at.map((i) => flat[i]!);
      for (const [i, v] of normalised(values, 1e-5).entries()) expected[at[i]!] = v;
      const average = values.reduce((a, b) => a + b) / 12;
      // torch.nn.BatchNorm: biased to normalise, unbiased (n − 1) in the running estimate
      const unbiased = values.reduce((sum, v) => sum + (v - average) ** 2, 0) / 11;
      mean[c] = 0.8 * mean[c]! + 0.2 * average;
      variance[c] = 0.8 * variance[c]! + 0.2 * unbiased;
    }
    assertClose(y, expected);
  }
  const dict = stateDict(layer, await store.read());
  assertClose(toNumbers(dict.get('running_mean')!), mean, 1e-6);
  assertClose(toNumbers(dict.get('running_var')!), variance, 1e-6);
  await step.dispose();
});

test('a batch norm that is used twice in a step moves its averages twice', async () => {
  const layer = new BatchNorm(1);
  const store = await device.store(initialize(layer, 1));
  const step = await device.compileStep(
    (x) => {
      const { value, updates } = traceTraining(undefined, () =>
        layer.forward(x).add(layer.forward(x.add(5))),
      );
      return { outputs: value, updates };
    },
    { inputs: [{ shape: [4, 1] }] as const, store },
  );
  await step(ndarray([1, 2, 3, 4], [4, 1]));
  const dict = stateDict(layer, await store.read());
  assertClose(toNumbers(dict.get('running_mean')!), [0.9 * 0.25 + 0.1 * 7.5], 1e-6);
});

test('layers in sequence', async () => {
  const first = new Linear(3, 4);
  const model = new Sequential(first, { forward: (x) => x.relu() }, new Linear(4, 2));
  assert.deepEqual([...model.namedWeights().keys()], ['0.weight', '0.bias', '2.weight', '2.bias']);
  const x = noise([5, 3], 8);
  const { weights, numbers } = randomWeights(model);
  const y = await evaluate(device, (t) => model.forward(t!), [x], weights);
  const layer = (row: readonly number[], name: string, count: number) =>
    Array.from({ length: count }, (_, o) =>
      row.reduce(
        (sum, v, i) => sum + v * numbers[`${name}.weight`]![o * row.length + i]!,
        numbers[`${name}.bias`]![o]!,
      ),
    );
  const expected = rows(x).flatMap((row) =>
    layer(
      layer(row, '0', 4).map((v) => Math.max(0, v)),
      '2',
      2,
    ),
  );
  assertClose(y, expected);
});
