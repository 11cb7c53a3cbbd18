import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dropout,
  gradients,
  type NdArray,
  ndarray,
  normal,
  randomInteger,
  Tensor,
  TensorError,
  toNumbers,
  uniform,
} from '../src/index.ts';
import { type Input, normal as normals } from './cases/case.ts';
import { forwardCases, gradientCases } from './cases/random.ts';
import { checkGradient, cpu, runCases } from './check.ts';
import { keyOf, wordsOf } from './reference/random.ts';

runCases({ gradientCases, forwardCases });

const seedSpec = { shape: [], dtype: 'int64' } as const;

function seedOf(value: number): NdArray {
  return ndarray([value], [], 'int64');
}

async function draw(f: (seed: Tensor) => Tensor, seed = 1): Promise<number[]> {
  const device = await cpu();
  const compiled = await device.compile(f, { inputs: [seedSpec] });
  const result = toNumbers(await compiled(seedOf(seed)));
  await compiled.dispose();
  return result;
}

function mean(data: readonly number[]): number {
  return data.reduce((sum, value) => sum + value, 0) / data.length;
}

/** Correlation of a[i] with b[i + lag]. */
function correlation(a: readonly number[], b: readonly number[], lag = 0): number {
  const n = a.length - lag;
  const [x, y] = [a.slice(0, n), b.slice(lag)];
  const [mx, my] = [mean(x), mean(y)];
  const product = mean(x.map((value, i) => (value - mx) * (y[i]! - my)));
  return product / Math.sqrt(mean(x.map((v) => (v - mx) ** 2)) * mean(y.map((v) => (v - my) ** 2)));
}

const count = 1 << 17;
/** Four standard errors of a correlation of independent draws. */
const bound = 4 / Math.sqrt(count);

test('known numbers: what was once drawn stays what it was', async () => {
  const words = [1205982156, 2828094415, 3271086690, 3056006867];
  assert.deepEqual(keyOf([42]), [1092406192, 21798930]);
  assert.deepEqual(wordsOf(keyOf([42]), 0, 4), words);
  const drawn = await draw((seed) => uniform([4], seed), 42);
  assert.deepEqual(
    drawn,
    words.map((word) => (word >>> 8) / 2 ** 24),
  );
});

test('uniform numbers: moments, neighbours, a chi-square of 256 cells for every byte', async () => {
  const data = await draw((seed) => uniform([count], seed));
  assert.ok(data.every((value) => value >= 0 && value < 1));
  assert.ok(Math.abs(mean(data) - 0.5) < 4 / Math.sqrt(12 * count));
  assert.ok(Math.abs(mean(data.map((v) => (v - 0.5) ** 2)) - 1 / 12) < 4 * Math.sqrt(1 / 180 / count));
  for (const lag of [1, 2, 3, 16, 256, 4096])
    assert.ok(Math.abs(correlation(data, data, lag)) < bound, `lag ${lag}`);
  for (const shift of [2 ** 8, 2 ** 16, 2 ** 24]) {
    const cells = new Array<number>(256).fill(0);
    for (const value of data) cells[Math.floor(value * shift) % 256]!++;
    const expected = count / 256;
    const chiSquare = cells.reduce((sum, cell) => sum + (cell - expected) ** 2 / expected, 0);
    // 255 degrees of freedom: mean 255, standard deviation 22.6
    assert.ok(chiSquare > 165 && chiSquare < 345, `chi-square ${chiSquare} of byte ${shift}`);
  }
});

test('pairs of neighbours fill the square evenly', async () => {
  const data = await draw((seed) => uniform([count], seed), 77);
  const cells = new Array<number>(1024).fill(0);
  for (let i = 0; i < count; i += 2) cells[Math.floor(data[i]! * 32) * 32 + Math.floor(data[i + 1]! * 32)]!++;
  const expected = count / 2 / 1024;
  const chiSquare = cells.reduce((sum, cell) => sum + (cell - expected) ** 2 / expected, 0);
  // 1023 degrees of freedom: mean 1023, standard deviation 45.2
  assert.ok(chiSquare > 842 && chiSquare < 1204, `chi-square ${chiSquare}`);
});

test('streams and seeds are uncorrelated, at any small shift', async () => {
  const base = await draw((seed) => uniform([count], seed));
  const others = [
    await draw((seed) => uniform([count], seed, { stream: 1 })),
    await draw((seed) => uniform([count], seed, { stream: 2 })),
    await draw((seed) => uniform([count], seed), 2),
    await draw((seed) => uniform([count], seed), 1 + 2 ** 32),
  ];
  others.forEach((other, i) => {
    for (const lag of [0, 1, 2, 7])
      assert.ok(Math.abs(correlation(base, other, lag)) < bound, `${i}, lag ${lag}`);
    const equal = base.filter((value, at) => value === other[at]).length;
    assert.ok(equal < 5, `${equal} equal numbers`);
  });
});

test('one graph: other seeds give other numbers, equal streams are one draw, others are not', async () => {
  const device = await cpu();
  const f = await device.compile(
    (seed) => [uniform([64], seed), uniform([64], seed), uniform([64], seed, { stream: 1 })],
    { inputs: [seedSpec] },
  );
  const [first, again, stream] = (await f(seedOf(1))).map(toNumbers);
  const [other] = (await f(seedOf(2))).map(toNumbers);
  const [repeated] = (await f(seedOf(1))).map(toNumbers);
  assert.deepEqual(first, again);
  assert.deepEqual(first, repeated);
  assert.notDeepEqual(first, stream);
  assert.notDeepEqual(first, other);
  await f.dispose();
});

test('a number as seed draws what the same seed as tensor draws', async () => {
  for (const seed of [0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 40) - 5, Number.MAX_SAFE_INTEGER]) {
    assert.deepEqual(
      await draw(() => uniform([8], seed), 0),
      await draw((s) => uniform([8], s), seed),
      `${seed}`,
    );
  }
});

test('normal numbers: moments up to the fourth, tails, no correlation of the two halves', async () => {
  const data = await draw((seed) => normal([count], seed));
  const moment = (k: number) => mean(data.map((value) => value ** k));
  for (const [k, want, variance] of [
    [1, 0, 1],
    [2, 1, 2],
    [3, 0, 15],
    [4, 3, 96],
  ] as const) {
    assert.ok(Math.abs(moment(k) - want) < 4 * Math.sqrt(variance / count), `moment ${k}: ${moment(k)}`);
  }
  const beyond = data.filter((value) => Math.abs(value) > 1.96).length / count;
  assert.ok(Math.abs(beyond - 0.05) < 4 * Math.sqrt((0.05 * 0.95) / count));
  assert.ok(Math.abs(correlation(data.slice(0, count / 2), data.slice(count / 2))) < 1.5 * bound);
});

test('integers cover their range evenly', async () => {
  const data = await draw((seed) => randomInteger([count], -2, 5, seed));
  for (let value = -2; value < 5; value++) {
    const share = data.filter((x) => x === value).length / count;
    assert.ok(Math.abs(share - 1 / 7) < 4 * Math.sqrt(6 / 49 / count), `${value}: ${share}`);
  }
});

test('dropout keeps the expected share and the mean, and its gradient drops at the same places', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x, seed) => {
      const y = dropout(x, 0.25, seed, { stream: 4 });
      return [y, ...gradients(y.sum(), [x])];
    },
    { inputs: [{ shape: [count] }, seedSpec] },
  );
  const [y, g] = (await f(ndarray(new Float32Array(count).fill(1), [count]), seedOf(3))).map(toNumbers) as [
    number[],
    number[],
  ];
  assert.deepEqual(y, g);
  assert.deepEqual(new Set(y), new Set([0, Math.fround(4 / 3)]));
  assert.ok(Math.abs(mean(y) - 1) < 4 * Math.sqrt(1 / 3 / count));
  await f.dispose();
  const seed: Input = { shape: [], dtype: 'int64', data: [11] };
  await checkGradient('dropout', (x, s) => dropout(x!, 0.4, s!), [normals([5, 4]), seed], {
    secondOrder: true,
  });
});

test('free dimensions', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x, seed) => [dropout(x, 0.5, seed), normal([x.dim(0)], seed), uniform(x.shape, seed)],
    {
      inputs: [{ shape: ['rows', 3] }, seedSpec],
    },
  );
  const [y, z, u] = await f(ndarray(new Float32Array(15).fill(1), [5, 3]), seedOf(3));
  assert.deepEqual(y!.shape, [5, 3]);
  assert.deepEqual(toNumbers(z!), await draw((seed) => normal([5], seed), 3));
  assert.deepEqual(toNumbers(u!), await draw((seed) => uniform([5, 3], seed), 3));
  await f.dispose();
});

test('seeds, streams and probabilities that make no sense are refused', () => {
  const refuses = (run: () => unknown, message: RegExp) =>
    assert.throws(run, (error) => error instanceof TensorError && message.test(error.message));
  const tensor = (shape: number[], dtype: Tensor['dtype']) =>
    new Tensor({ shape, dtype }, { kind: 'input', name: 's' });
  refuses(() => uniform([2], 0.5), /seed 0.5 is not a safe integer/);
  refuses(() => uniform([2], tensor([], 'float32')), /randomKey \[\]: a seed is an integer scalar/);
  refuses(() => uniform([2], tensor([3], 'int32')), /randomKey \[3\]/);
  refuses(() => uniform([2], 1, { stream: -1 }), /uniform: stream -1/);
  refuses(() => uniform([2], 1, { dtype: 'int32' }), /not int32/);
  refuses(() => dropout(tensor([2], 'float32'), 1.5, 1), /dropout \[2\]: probability 1.5/);
  refuses(() => randomInteger([2], 3, 3, 1), /\[3, 3\)/);
  refuses(() => normal([2], 1, { std: -1 }), /deviation -1/);
});
