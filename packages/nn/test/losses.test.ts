import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gradients, type NdArray, ndarray, type Tensor, toNumbers } from '@working-papers/tensor';
import { bceWithLogits, crossEntropy, klDivergence, mse } from '../src/losses.ts';
import { assertClose, evaluate, noise, rows, testDevice } from './helpers.ts';

const device = await testDevice();

type Loss = (inputs: readonly NdArray[]) => number;

/** Value and gradient for the first input against `reference` in float64 and its central differences. */
async function checkLoss(f: (...inputs: Tensor[]) => Tensor, inputs: readonly NdArray[], reference: Loss) {
  assertClose(await evaluate(device, f, inputs), [reference(inputs)], 1e-5);
  const gradient = await evaluate(device, (...x) => gradients(f(...x), [x[0]!])[0]!, inputs);
  const [first, ...rest] = inputs as [NdArray, ...NdArray[]];
  const numeric = toNumbers(first).map((value, i) => {
    if (!Number.isFinite(value)) return 0;
    const at = (moved: number) => {
      const data = Float64Array.from(first.data as Float32Array);
      data[i] = moved;
      return reference([{ ...first, dtype: 'float64', data }, ...rest]);
    };
    return (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
  });
  assertClose(gradient, numeric, 2e-5);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

function logSoftmax(row: readonly number[]): number[] {
  const top = Math.max(...row);
  const total = Math.log(sum(row.map((value) => Math.exp(value - top)))) + top;
  return row.map((value) => value - total);
}

/** Mean over rows with mask 1 of the smoothed cross-entropy. */
const smoothed =
  (smoothing: number): Loss =>
  ([logits, targets, mask]) => {
    const counted = mask ? toNumbers(mask) : rows(logits!).map(() => 1);
    const losses = rows(logits!).map((row, i) => {
      if (counted[i] === 0) return 0;
      const logs = logSoftmax(row);
      const even = smoothing === 0 ? 0 : (smoothing * sum(logs)) / row.length;
      return -(1 - smoothing) * logs[toNumbers(targets!)[i]!]! - even;
    });
    return sum(losses) / Math.max(1, sum(counted));
  };

const targets = ndarray([2, 0, 3, 1], [4], 'int32');

test('cross-entropy, plain and smoothed', async () => {
  const logits = noise([4, 5], 1, 2);
  await checkLoss((z, t) => crossEntropy(z!, t!), [logits, targets], smoothed(0));
  await checkLoss((z, t) => crossEntropy(z!, t!, { labelSmoothing: 0.1 }), [logits, targets], smoothed(0.1));
  // by hand: log(1 + e⁻¹) for two classes one apart
  const pair = ndarray([1, 0], [1, 2]);
  const value = await evaluate(device, (z, t) => crossEntropy(z!, t!), [pair, ndarray([0], [1], 'int32')]);
  assertClose(value, [0.3132616875], 1e-7);
});

test('cross-entropy of very large logits, and with classes ruled out by −∞', async () => {
  const large = ndarray([1e4, -1e4, 0, 5e3], [2, 2]);
  const t = ndarray([1, 0], [2], 'int64');
  assertClose(await evaluate(device, (z, t) => crossEntropy(z!, t!), [large, t]), [12500], 1e-6);
  const ruled = noise([4, 5], 2);
  for (const at of [0, 6, 14]) (ruled.data as Float32Array)[at] = -Infinity;
  await checkLoss((z, t) => crossEntropy(z!, t!), [ruled, targets], smoothed(0));
});

test('a mask of rows: what it leaves out may be infinite, NaN or have no target', async () => {
  const logits = noise([4, 5], 3);
  (logits.data as Float32Array).fill(Infinity, 5, 8);
  (logits.data as Float32Array).fill(NaN, 8, 10);
  const ignored = ndarray([2, -100, 3, 1], [4], 'int32');
  const mask = ndarray([1, 0, 1, 1], [4], 'bool');
  for (const labelSmoothing of [0, 0.2]) {
    const f = (z?: Tensor, t?: Tensor, m?: Tensor) => crossEntropy(z!, t!, { labelSmoothing, mask: m! });
    await checkLoss(f, [logits, ignored, mask], smoothed(labelSmoothing));
  }
  const none = ndarray([0, 0, 0, 0], [4], 'float32');
  const empty = await evaluate(device, (z, t, m) => crossEntropy(z!, t!, { mask: m! }), [
    logits,
    ignored,
    none,
  ]);
  assert.deepEqual(empty, [0]);
});

test('reductions', async () => {
  const [logits, mask] = [noise([4, 5], 1), ndarray([1, 0, 1, 1], [4], 'bool')];
  const expected = rows(logits).map(
    (row, i) => -logSoftmax(row)[toNumbers(targets)[i]!]! * (i === 1 ? 0 : 1),
  );
  const inputs = [logits, targets, mask];
  const run = (reduction: 'none' | 'sum') =>
    evaluate(device, (z, t, m) => crossEntropy(z!, t!, { mask: m!, reduction }), inputs);
  assertClose(await run('none'), expected);
  assertClose(await run('sum'), [sum(expected)]);
});

/** log(1 + eᶻ) without overflow. */
const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

test('binary cross-entropy is exact at ±100, where a sigmoid is 0 or 1', async () => {
  const logits = ndarray([100, -100, 100, -100, 0.5, -3], [6]);
  const wanted = ndarray([1, 0, 0, 1, 0.25, 1], [6]);
  const losses = await evaluate(device, (z, t) => bceWithLogits(z!, t!, { reduction: 'none' }), [
    logits,
    wanted,
  ]);
  assertClose(losses.slice(0, 4), [0, 0, 100, 100], 1e-7);
  const reference =
    (weight: number): Loss =>
    ([z, t]) =>
      sum(
        toNumbers(z!).map((z, i) => {
          const target = toNumbers(t!)[i]!;
          return target * weight * softplus(-z) + (1 - target) * softplus(z);
        }),
      ) / 6;
  await checkLoss((z, t) => bceWithLogits(z!, t!), [logits, wanted], reference(1));
  await checkLoss((z, t) => bceWithLogits(z!, t!, { positiveWeight: 3 }), [logits, wanted], reference(3));
});

test('squared error, with infinite predictions masked', async () => {
  const [prediction, target] = [noise([2, 3], 5), noise([2, 3], 6)];
  const reference: Loss = ([p, t, m]) => {
    const counted = m ? toNumbers(m) : [1, 1, 1, 1, 1, 1];
    const goals = toNumbers(t!);
    return sum(toNumbers(p!).map((value, i) => (counted[i] ? (value - goals[i]!) ** 2 : 0))) / sum(counted);
  };
  await checkLoss((p, t) => mse(p!, t!), [prediction, target], reference);
  (prediction.data as Float32Array)[2] = -Infinity;
  const mask = ndarray([1, 1, 0, 0, 1, 1], [2, 3]);
  await checkLoss((p, t, m) => mse(p!, t!, { mask: m! }), [prediction, target, mask], reference);
});

test('KL divergence, zero for equals and with impossible classes in the target', async () => {
  const logs = (array: NdArray) => ndarray(rows(array).flatMap(logSoftmax), array.shape);
  const prediction = logs(noise([3, 4], 7));
  const target = noise([3, 4], 8);
  (target.data as Float32Array)[1] = -Infinity;
  const targetLogs = logs(target);
  const reference: Loss = ([p, t]) =>
    sum(
      toNumbers(p!).map((log, i) => {
        const goal = toNumbers(t!)[i]!;
        return goal === -Infinity ? 0 : Math.exp(goal) * (goal - log);
      }),
    ) / 3;
  await checkLoss((p, t) => klDivergence(p!, t!), [prediction, targetLogs], reference);
  const same = await evaluate(device, (p) => klDivergence(p!, p!), [prediction]);
  assertClose(same, [0], 1e-7);
  const own = await evaluate(device, (t, p) => gradients(klDivergence(p!, t!), [t!])[0]!, [
    targetLogs,
    prediction,
  ]);
  assert.ok(own.every(Number.isFinite), `${own}`);
});
