import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  arange,
  concat,
  constant,
  conv,
  gradients,
  linear,
  lower,
  matmul,
  ndarray,
  ones,
  Parameter,
  scaledDotProductAttention,
  split,
  type Tensor,
  toNumbers,
  zeros,
} from '../src/index.ts';
import { cpu } from './check.ts';
import { decodeModel, typesOf } from './reference/onnx.ts';
import { input } from './symbols.ts';

test('what no output needs is not in the model', () => {
  const [x, unused] = [input([2]), input([3], 'unused')];
  unused.exp().mul(x.sum());
  x.sin();
  const model = lower([x.neg()]);
  assert.deepEqual(typesOf(model.bytes), ['Neg']);
  assert.deepEqual([...model.inputs], ['x']);
});

test('equal sub-expressions are computed once', () => {
  const x = input([2, 3]);
  const twice = x.exp().add(1).mul(x.exp().add(1));
  assert.deepEqual(typesOf(lower([twice]).bytes), ['Exp', 'Add', 'Mul']);
  const other = x
    .sum(0)
    .add(x.sum(0, { keepDims: true }).squeeze(0))
    .add(x.sum(1).sum());
  assert.equal(typesOf(lower([other]).bytes).filter((type) => type === 'ReduceSum').length, 4);
});

test('equal operators with other attributes or other inputs are not merged', () => {
  const [x, y] = [input([2, 2]), input([2, 2], 'y')];
  const model = lower([x.softmax(0), x.softmax(1), y.softmax(1)]);
  assert.equal(typesOf(model.bytes).length, 3);
});

test('small constants are shared, and keep their dtypes apart', () => {
  const x = input([2]);
  const y = input([2], 'y', 'int32');
  const model = decodeModel(lower([x.add(3).mul(x.sub(3)), y.add(3)]).bytes);
  assert.deepEqual(model.graph.initializer.map(({ dataType }) => dataType).sort(), [1, 6]);
});

test('a large constant is shared where it is the same array, as the masks of causal attentions of one size are', () => {
  const x = input([100]);
  const table = ndarray(new Float32Array(100).fill(2), [100]);
  const shared = decodeModel(lower([x.add(constant(table)), x.mul(constant(table))]).bytes);
  assert.equal(shared.graph.initializer.length, 1);
  const [q, k] = [input([1, 1, 20, 4], 'q'), input([1, 1, 20, 4], 'k')];
  const attend = () => scaledDotProductAttention(q, k, k, { causal: true });
  const once = typesOf(lower([attend()]).bytes);
  assert.deepEqual(typesOf(lower([attend(), attend().exp()]).bytes), [...once, 'Exp']);
});

test('operations that change nothing leave no node', () => {
  const x = input([2, 3]);
  const same = x
    .add(0)
    .mul(1)
    .div(1)
    .sub(0)
    .pow(1)
    .reshape([2, 3])
    .transpose([0, 1])
    .expand([2, 3])
    .slice(0, 0, 2)
    .cast('float32');
  assert.equal(same, x);
  assert.equal(x.transpose().transpose(), x);
  assert.equal(x.reshape([6]).reshape([3, 2]).reshape([2, 3]), x);
  assert.equal(x.sum([]), x);
});

test('outputs may be arguments, constants, parameters, the same tensor twice, and inner values', async () => {
  const device = await cpu();
  const weight = new Parameter([2]);
  const run = await device.compile(
    (x, y) => {
      const inner = x.add(y);
      return {
        x,
        again: x,
        fixed: constant(ndarray([7, 8])),
        weight,
        inner,
        outer: inner.mul(inner),
        innerAgain: inner,
        same: x.add(y),
      };
    },
    { inputs: [{ shape: [2] }, { shape: [2] }], weights: new Map([[weight, ndarray([5, 6])]]) },
  );
  const results = await run(ndarray([1, 2]), ndarray([10, 20]));
  assert.deepEqual(
    Object.fromEntries(Object.entries(results).map(([name, value]) => [name, toNumbers(value)])),
    {
      x: [1, 2],
      again: [1, 2],
      fixed: [7, 8],
      weight: [5, 6],
      inner: [11, 22],
      outer: [121, 484],
      innerAgain: [11, 22],
      same: [11, 22],
    },
  );
});

test('an argument that nothing uses may still be given', async () => {
  const device = await cpu();
  const run = await device.compile((x, _unused) => x.neg(), { inputs: [{ shape: [1] }, { shape: [4] }] });
  assert.deepEqual(toNumbers(await run(ndarray([3]), ndarray([1, 2, 3, 4]))), [-3]);
});

/** Compiles with free dimensions and runs with each of the given shapes. */
async function runFree(
  f: (x: Tensor) => Tensor,
  shape: readonly (number | string)[],
  inputs: readonly (readonly number[])[],
): Promise<{ shapes: number[][]; values: number[][] }> {
  const device = await cpu();
  const run = await device.compile((x) => f(x), { inputs: [{ shape }] });
  const [shapes, values]: [number[][], number[][]] = [[], []];
  for (const dims of inputs) {
    const size = dims.reduce((a, b) => a * b, 1);
    const result = await run(
      ndarray(
        Array.from({ length: size }, (_, i) => i),
        dims,
      ),
    );
    shapes.push([...result.shape]);
    values.push(toNumbers(result));
  }
  await run.dispose();
  return { shapes, values };
}

test('free dimensions: reshapes by products and quotients of names', async () => {
  const merged = await runFree(
    (x) => x.reshape(['batch*tokens', 4]),
    ['batch', 'tokens', 4],
    [
      [2, 3, 4],
      [1, 1, 4],
      [0, 3, 4],
    ],
  );
  assert.deepEqual(merged.shapes, [
    [6, 4],
    [1, 4],
    [0, 4],
  ]);
  const apart = await runFree(
    (x) => x.reshape(['batch', 2, 'tokens', 2]).transpose([2, 0, 1, 3]),
    ['batch', 'tokens', 4],
    [[2, 3, 4]],
  );
  assert.deepEqual(apart.shapes, [[3, 2, 2, 2]]);
  const open = await runFree(
    (x) => x.reshape([-1, 2]),
    ['batch', 6],
    [
      [3, 6],
      [1, 6],
    ],
  );
  assert.deepEqual(open.shapes, [
    [9, 2],
    [3, 2],
  ]);
  const flat = await runFree((x) => x.flatten(), ['batch', 'tokens'], [[2, 3]]);
  assert.deepEqual(flat.shapes, [[6]]);
});

test('free dimensions: sums along concat, slices and pads', async () => {
  const joined = await runFree(
    (x) => concat([x, x, zeros([1, 2])], 0),
    ['past', 2],
    [
      [2, 2],
      [0, 2],
    ],
  );
  assert.deepEqual(joined.shapes, [
    [5, 2],
    [1, 2],
  ]);
  const sliced = await runFree((x) => x.slice(0, 1, -1), ['past'], [[5], [2]]);
  assert.deepEqual(sliced.values, [[1, 2, 3], []]);
  const last = await runFree((x) => x.slice(0, -2), ['past'], [[5], [2]]);
  assert.deepEqual(last.values, [
    [3, 4],
    [0, 1],
  ]);
  const padded = await runFree((x) => x.pad([[0, 1, 'past']]), ['past'], [[2]]);
  assert.deepEqual(padded.values, [[0, 0, 1, 0, 0]]);
  const parts = await runFree((x) => split(concat([x, x], 0), ['past', 'past'], 0)[1]!, ['past'], [[3]]);
  assert.deepEqual(parts.values, [[0, 1, 2]]);
});

test('free dimensions: floor division, as strides make it, is computed at run time', async () => {
  const weights = constant(ndarray([1, 1], [1, 1, 2]));
  const f = (x: Tensor): Tensor => {
    const y = conv(x, weights, undefined, { stride: 2 });
    return y.add(ones(y.shape)); // the shape expression itself is computed in the graph
  };
  const { shapes, values } = await runFree(
    f,
    [1, 1, 'length'],
    [
      [1, 1, 5],
      [1, 1, 6],
      [1, 1, 2],
    ],
  );
  assert.deepEqual(shapes, [
    [1, 1, 2],
    [1, 1, 3],
    [1, 1, 1],
  ]);
  assert.deepEqual(values, [[2, 6], [2, 6, 10], [2]]);
});

test('free dimensions: expand, arange, matrix products with bias, gradients', async () => {
  const causal = await runFree(
    (x) =>
      arange(x.dim(0))
        .unsqueeze(1)
        .greaterEqual(arange(x.dim(0)))
        .cast('float32'),
    ['tokens'],
    [[3], [1]],
  );
  assert.deepEqual(causal.values[0], [1, 0, 0, 1, 1, 0, 1, 1, 1]);
  const weight = constant(ndarray([1, 2, 3, 4], [2, 2]));
  const bias = constant(ndarray([10, 20]));
  const products = await runFree(
    (x) => linear(x, weight, bias),
    ['batch', 'tokens', 2],
    [
      [1, 2, 2],
      [2, 0, 2],
    ],
  );
  assert.deepEqual(products.shapes, [
    [1, 2, 2],
    [2, 0, 2],
  ]);
  assert.deepEqual(products.values[0], [12, 24, 18, 38]);
  const scores = await runFree((x) => matmul(x, x.transpose()).mean(), ['batch', 'tokens', 2], [[1, 2, 2]]);
  assert.deepEqual(scores.shapes, [[]]);
  const slopes = await runFree(
    (x) => gradients(x.mul(x).mean(), [x])[0]!,
    ['batch', 2],
    [
      [2, 2],
      [1, 2],
    ],
  );
  assert.deepEqual(slopes.values, [
    [0, 0.5, 1, 1.5],
    [0, 1],
  ]);
  const softened = await runFree(
    (x) => gradients(x.softmax().mul(x).sum(), [x])[0]!,
    ['batch', 'tokens'],
    [[2, 3]],
  );
  assert.deepEqual(softened.shapes, [[2, 3]]);
});

test('free dimensions may be read off an argument that is used for nothing else', async () => {
  const slopes = await runFree(
    (x) => gradients(x.sum(), [x])[0]!,
    ['batch', 2],
    [
      [2, 2],
      [0, 2],
    ],
  );
  assert.deepEqual(slopes.values, [[1, 1, 1, 1], []]);
});

test('a free dimension that no argument has is refused', () => {
  assert.throws(() => lower([ones(['batch'])]), /dimension 'batch' is an axis of no argument/);
});

test('an output may have an expression of names as its dimension', async () => {
  const device = await cpu();
  const run = await device.compile((past, now) => concat([past, now], 0).mul(2), {
    inputs: [{ shape: ['past', 1] }, { shape: ['tokens', 1] }],
  });
  const result = await run(ndarray([1, 2], [2, 1]), ndarray([3], [1, 1]));
  assert.deepEqual([result.shape.join(), ...toNumbers(result)], ['3,1', 2, 4, 6]);
});

test('weights become part of the model under names that nothing else has', async () => {
  const device = await cpu();
  const [a, b, kept] = [new Parameter([2]), new Parameter([2]), new Parameter([2])];
  const store = await device.store(new Map([[kept, ndarray([100, 200])]]));
  const run = await device.compile((x) => x.mul(a).add(b).add(kept), {
    inputs: [{ shape: [2] }],
    store,
    weights: new Map([
      [a, ndarray([2, 3])],
      [b, ndarray([10, 20])],
    ]),
  });
  assert.deepEqual(toNumbers(await run(ndarray([1, 1]))), [112, 223]);
});
