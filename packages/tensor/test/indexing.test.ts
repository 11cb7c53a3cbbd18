import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  argMax,
  constant,
  gather,
  gradients,
  keepOnDevice,
  ndarray,
  nonZero,
  oneHot,
  ones,
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

test('a dimension that only the run knows: in shapes before and behind, in the gradient, with no row left', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x, score) => {
      const rows = nonZero(score.greater(0), 'kept');
      const few = gather(x, rows);
      const weighted = ones(['kept', 2]).mul(few).reshape(['2*kept']);
      const again = nonZero(gather(score, rows).greater(1), 'fewer');
      const [back] = gradients(few.mul(few).sum(), [x]);
      return { rows, few, weighted, back: back!, best: topK(few, 1).values, twice: gather(few, again) };
    },
    { inputs: [{ shape: ['n', 2] }, { shape: ['n'] }] },
  );
  for (const scores of [[1, -1, 0, 2], [-1, -1], [3], []]) {
    const n = scores.length;
    const data = Float32Array.from({ length: 2 * n }, (_, i) => i + 1);
    const out = await f(ndarray(data, [n, 2]), ndarray(scores, [n]));
    const kept = scores.flatMap((score, i) => (score > 0 ? [i] : []));
    const values = kept.flatMap((i) => [data[2 * i]!, data[2 * i + 1]!]);
    assert.deepEqual(toNumbers(out.rows), kept);
    assert.deepEqual(out.few.shape, [kept.length, 2]);
    assert.deepEqual(toNumbers(out.few), values);
    assert.deepEqual(toNumbers(out.weighted), values);
    const back = [...data].map((value, i) => (kept.includes(i >> 1) ? 2 * value : 0));
    assert.deepEqual(toNumbers(out.back), back);
    assert.deepEqual(
      toNumbers(out.best),
      kept.map((i) => data[2 * i + 1]!),
    );
    assert.equal(out.twice.shape[0], scores.filter((score) => score > 1).length);
  }
});

test('the name of a new dimension must be new', async () => {
  const device = await cpu();
  const compile = (f: (x: Tensor) => Tensor) => device.compile(f, { inputs: [{ shape: ['n'] }] });
  const positive = (x: Tensor) => x.greater(0);
  await assert.rejects(
    compile((x) => nonZero(positive(x), 'n')),
    /nonZero \[n\]: the dimension 'n' has another/,
  );
  await assert.rejects(
    compile((x) => nonZero(positive(x).slice(0, 1), 'n')),
    /the dimension 'n' has another size already/,
  );
  await assert.rejects(
    compile((x) =>
      nonZero(positive(x), 'm')
        .sum()
        .add(nonZero(x.less(0), 'm').sum()),
    ),
    /the dimension 'm' has another size already/,
  );
  // the same question twice is one dimension
  await (await compile((x) => nonZero(positive(x), 'm').add(nonZero(positive(x), 'm')))).dispose();
  refuses(() => nonZero(input([3]), 'm'), /a vector of bools is needed/);
  refuses(() => nonZero(input([3, 2], 'bool'), 'm'), /a vector of bools is needed/);
  refuses(() => nonZero(input([3], 'bool'), '2*m'), /no name for a dimension/);
  await assert.rejects(
    device.compile((x) => keepOnDevice(nonZero(positive(x), 'm')), { inputs: [{ shape: ['n'] }] }),
    /cannot stay on the device: its size depends on values/,
  );
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
