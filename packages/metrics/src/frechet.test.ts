import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureStatistics, frechetDistance } from './frechet.ts';

/** Normal numbers from a small generator, by Box and Muller. */
function normals(count: number, seed: number): Float64Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float64Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

test('mean and covariance are numpy’s', () => {
  const { mean, covariance, count } = featureStatistics([1, 2, 3, 4, 5, 9], 2);
  assert.equal(count, 3);
  assert.deepEqual([...mean], [3, 5]);
  // numpy.cov([[1, 2], [3, 4], [5, 9]], rowvar=False)
  assert.deepEqual([...covariance], [4, 7, 7, 13]);
});

test('a set has no distance to itself, and a moved one that of its means', () => {
  const features = normals(600, 1);
  const a = featureStatistics(features, 6);
  const moved = featureStatistics(
    features.map((value, i) => value + (i % 6)),
    6,
  );
  assert.ok(frechetDistance(a, a) < 1e-9);
  assert.ok(Math.abs(frechetDistance(a, moved) - (1 + 4 + 9 + 16 + 25)) < 1e-9);
});

test('diagonal covariances: the sum of squared differences of deviations', () => {
  const diagonal = (values: readonly number[]) => ({
    count: 10,
    mean: new Float64Array(3),
    covariance: Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? values[i / 4]! : 0)),
  });
  const found = frechetDistance(diagonal([1, 4, 9]), diagonal([4, 4, 1]));
  assert.ok(Math.abs(found - (1 + 0 + 4)) < 1e-12, `${found}`);
});

test('covariances that do not commute: the root of a 2 × 2 product in closed form', () => {
  const of = (covariance: readonly number[]) => ({
    count: 9,
    mean: new Float64Array(2),
    covariance: Float64Array.from(covariance),
  });
  const [a, b] = [
    [2, 1, 1, 3],
    [1, -0.5, -0.5, 4],
  ];
  // Tr √M = √(Tr M + 2 √det M) for a 2 × 2 matrix M = ΣΣ'
  const trace = a[0]! * b[0]! + a[1]! * b[2]! + a[2]! * b[1]! + a[3]! * b[3]!;
  const determinant = (2 * 3 - 1) * (1 * 4 - 0.25);
  const expected = 5 + 5 - 2 * Math.sqrt(trace + 2 * Math.sqrt(determinant));
  assert.ok(Math.abs(frechetDistance(of(a), of(b)) - expected) < 1e-12);
  assert.ok(Math.abs(frechetDistance(of(b), of(a)) - expected) < 1e-12);
});

test('fewer samples than features: finite, and zero to itself', () => {
  const [a, b] = [featureStatistics(normals(40, 2), 8), featureStatistics(normals(40, 3), 8)];
  assert.ok(frechetDistance(a, a) < 1e-6);
  assert.ok(frechetDistance(a, b) > 0.1 && Number.isFinite(frechetDistance(a, b)));
});

test('what does not fit is refused', () => {
  assert.throws(() => featureStatistics([1, 2, 3], 2), /3 numbers are no two or more rows of 2/);
  assert.throws(() => featureStatistics([1, 2], 2), /no two or more rows/);
  assert.throws(() => featureStatistics([1, Number.NaN, 3, 4], 2), /feature 1 is NaN/);
  const [a, b] = [featureStatistics([1, 2, 3, 4], 2), featureStatistics([1, 2, 3], 1)];
  assert.throws(() => frechetDistance(a, b), /2 features beside 1/);
});
