import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close } from '../test/sample.ts';
import { bootstrapInterval, bootstrapMean, xoshiro128 } from './bootstrap.ts';

test('xoshiro128** gives the words of its reference implementation', () => {
  const next = xoshiro128([1, 2, 3, 4]);
  assert.deepEqual(
    Array.from({ length: 10 }, next),
    [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
  );
});

test('the interval of an accuracy is that of the normal approximation, and seeded', () => {
  const correct = Uint8Array.from({ length: 1000 }, (_, i) => (i % 10 === 0 ? 0 : 1));
  const interval = bootstrapMean(correct);
  const half = 1.96 * Math.sqrt((0.9 * 0.1) / 1000);
  close(interval.estimate, 0.9);
  close(interval.lower, 0.9 - half, 0.003);
  close(interval.upper, 0.9 + half, 0.003);
  assert.deepEqual(bootstrapMean(correct), interval);
  assert.notDeepEqual(bootstrapMean(correct, { seed: 1 }), interval);
  const narrow = bootstrapMean(correct, { level: 0.5 });
  assert.ok(narrow.upper - narrow.lower < interval.upper - interval.lower);
});

test('any statistic of indices has an interval', () => {
  const values = Float64Array.from({ length: 101 }, (_, i) => i);
  const median = (indices: Uint32Array) => values[indices.toSorted()[50]!]!;
  const { estimate, lower, upper } = bootstrapInterval(101, median, { resamples: 500 });
  assert.equal(estimate, 50);
  assert.ok(lower > 25 && lower < 48 && upper > 52 && upper < 75);
  assert.throws(() => bootstrapMean([]), /bootstrap of 0 samples/);
  assert.throws(() => bootstrapMean([1], { level: 1 }), /confidence level 1/);
});
