import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { jit, ndarray, openDevice, type Tensor, TensorError } from '../src/index.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

test('jit traces once for each combination of shapes and dtypes', async () => {
  let traces = 0;
  const double = jit(device, (x: Tensor) => {
    traces++;
    return x.mul(2);
  });
  assert.deepEqual([...(await double(ndarray([1, 2]))).data], [2, 4]);
  assert.deepEqual([...(await double(ndarray([3, 4]))).data], [6, 8]);
  assert.equal(traces, 1);
  assert.deepEqual([...(await double(ndarray([5, 6, 7]))).data], [10, 12, 14]);
  assert.deepEqual([...(await double(ndarray([5, 6], [2], 'int32'))).data], [10, 12]);
  assert.equal(traces, 3);
  assert.equal(double.size, 3);
});

test('jit compiles once for calls made at the same time, and takes and gives trees', async () => {
  let traces = 0;
  const f = jit(device, ({ a, b }: { a: Tensor; b: Tensor }) => {
    traces++;
    return [a.add(b), { product: a.mul(b) }] as const;
  });
  const input = { a: ndarray([1, 2]), b: ndarray([3, 4]) };
  const [[sum, { product }]] = await Promise.all([f(input), f(input)]);
  assert.deepEqual([[...sum.data], [...product.data], traces], [[4, 6], [3, 8], 1]);
});

test('a trace that fails is not kept, and its error is the caller’s', async () => {
  const f = jit(device, (x: Tensor, y: Tensor) => x.matmul(y));
  const square = ndarray([1, 2, 3, 4], [2, 2]);
  await assert.rejects(f(square, ndarray([1, 2, 3], [3, 1])), TensorError);
  assert.equal(f.size, 0);
  assert.deepEqual([...(await f(square, square)).data], [7, 10, 15, 22]);
  await f.dispose();
  assert.equal(f.size, 0);
});
