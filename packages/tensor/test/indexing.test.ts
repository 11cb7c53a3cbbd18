import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  argMax,
  constant,
  gather,
  gradients,
  ndarray,
  oneHot,
  scatterAdd,
  scatterAddRows,
  sort,
  Tensor,
  TensorError,
  takeAlongAxis,
  toNumbers,
  topK,
} from '../src/index.ts';
import { forwardCases, gradientCases } from './cases/indexing.ts';
import { cpu, runCases } from './check.ts';

runCases({ gradientCases, forwardCases });

function input(shape: readonly (number | string)[], dtype: Tensor['dtype'] = 'float32', name = 'x'): Tensor {
  return new Tensor({ shape, dtype }, { kind: 'input', name });
}

function ints(data: readonly number[], shape: readonly number[] = [data.length]): Tensor {
  return constant(ndarray(data, shape, 'int64'));
}

function refuses(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => error instanceof TensorError && message.test(error.message));
}

test('known indices outside the axis are refused while tracing', () => {
  const x = input([3, 4]);
  refuses(() => gather(x, ints([0, 3])), /^gather \[3,4\] x \[2\]: index 3 is outside \[-3, 3\)/);
  refuses(() => gather(x, ints([-4]), 0), /index -4/);
  refuses(() => takeAlongAxis(x, ints([0, 1, 4], [3, 1])), /takeAlongAxis \[3,4\] x \[3,1\]: index 4/);
  refuses(
    () => scatterAddRows(input([2, 4]), ints([0, 5]), 5),
    /scatterAddRows .*index 5 is outside \[-5, 5\)/,
  );
  refuses(() => oneHot(ints([0, -1]), 3), /oneHot \[2\]: index -1 is outside \[0, 3\)/);
});

test('shapes and dtypes that do not fit are refused', () => {
  const x = input([3, 4]);
  refuses(() => gather(x, input([2])), /indices must be int32 or int64, got float32/);
  refuses(() => takeAlongAxis(x, input([2, 1], 'int64')), /shape of x outside axis 1/);
  refuses(() => scatterAdd(x, input([3, 2], 'int64'), input([3, 3])), /shape of the indices/);
  refuses(() => scatterAddRows(input([3, 4]), input([2], 'int64'), 5), /shape of the indices from axis 0/);
  refuses(() => topK(x, 5), /the 5 largest of axis 1 with 4 elements/);
  refuses(() => argMax(input([3, 0]), 1), /argMax \[3,0\]: axis 1 is empty/);
  refuses(() => gather(x, ints([0]), 2), /axis 2 is outside rank 2/);
});

test('an unknown index outside the axis stops the run', async () => {
  const device = await cpu();
  const f = await device.compile((x, i) => gather(x, i), {
    inputs: [{ shape: [3, 2] }, { shape: [1], dtype: 'int64' }],
  });
  await assert.rejects(
    f(ndarray(new Float32Array(6), [3, 2]), ndarray([3], [1], 'int64')),
    /indices element out of data bounds/,
  );
});

test('free dimensions', async () => {
  const device = await cpu();
  const f = await device.compile(
    (table, i) => {
      const rows = gather(table, i);
      const [back] = gradients(rows.mul(rows).sum(), [table]);
      return {
        hot: oneHot(i, 4),
        sorted: sort(rows, 0).values,
        back: back!,
        best: rows.argMax(0),
        sums: rows.cumSum(0),
      };
    },
    { inputs: [{ shape: [4, 2] }, { shape: ['count'], dtype: 'int64' }] },
  );
  const table = ndarray([1, 8, 2, 7, 3, 6, 4, 5], [4, 2]);
  const out = await f(table, ndarray([2, 0, 2], [3], 'int64'));
  assert.deepEqual(toNumbers(out.hot), [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
  assert.deepEqual(toNumbers(out.sorted), [1, 6, 3, 6, 3, 8]);
  assert.deepEqual(toNumbers(out.back), [2, 16, 0, 0, 12, 24, 0, 0]);
  assert.deepEqual(toNumbers(out.best), [0, 1]);
  assert.deepEqual(toNumbers(out.sums), [3, 6, 4, 14, 7, 20]);
  const one = await f(table, ndarray([3], [1], 'int64'));
  assert.deepEqual(toNumbers(one.back), [0, 0, 0, 0, 0, 0, 8, 10]);
});

test('an embedding gradient loses no addition where thousands meet at one row', async () => {
  const device = await cpu();
  const [rows, width] = [4096, 64];
  const f = await device.compile((u, i) => scatterAddRows(u, i, 8), {
    inputs: [{ shape: [rows, width] }, { shape: [rows], dtype: 'int64' }],
  });
  const out = await f(
    ndarray(new Float32Array(rows * width).fill(1), [rows, width]),
    ndarray(new BigInt64Array(rows).fill(5n), [rows], 'int64'),
  );
  assert.deepEqual(new Set(toNumbers(out).slice(5 * width, 6 * width)), new Set([rows]));
  assert.equal(
    toNumbers(out).reduce((a, b) => a + b),
    rows * width,
  );
});
