import assert from 'node:assert/strict';
import { test } from 'node:test';
import { xoshiro128 } from './bootstrap.ts';
import { type FeatureStatistics, featureStatistics, frechetDistance, frechetFloor } from './frechet.ts';
import { symmetricEigen } from './symmetric.ts';

/** Standard normal numbers. */
function normals(length: number, seed: number): Float64Array {
  const next = xoshiro128(seed);
  const uniform = () => (next() + 0.5) / 2 ** 32;
  return Float64Array.from(
    { length },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

const gaussian = (mean: number[], covariance: number[]): FeatureStatistics => ({
  count: 1000,
  mean: Float64Array.from(mean),
  covariance: Float64Array.from(covariance),
});

const close = (actual: number, expected: number, tolerance = 1e-10) =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${actual}, ${expected}`,
  );

test('eigenvalues and eigenvectors of symmetric matrices', () => {
  for (const n of [1, 2, 3, 17, 60]) {
    const a = new Float64Array(n * n);
    const values = normals(n * n, n);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = values[i * n + j]!;
    const eigen = symmetricEigen(a, n, { vectors: true });
    for (let k = 0; k < n; k++) {
      const v = eigen.vectors.subarray(k * n, (k + 1) * n);
      for (let i = 0; i < n; i++) {
        const product = v.reduce((sum, value, j) => sum + a[i * n + j]! * value, 0);
        close(product, eigen.values[k]! * v[i]!, 1e-12);
      }
      close(
        v.reduce((sum, value) => sum + value * value, 0),
        1,
        1e-12,
      );
    }
    const sorted = (values: Float64Array) => [...values].sort((x, y) => x - y);
    const alone = sorted(symmetricEigen(a, n).values);
    for (const [i, value] of sorted(eigen.values).entries()) close(alone[i]!, value, 1e-12);
  }
  assert.deepEqual([...symmetricEigen(Float64Array.of(2, 0, 0, 3), 2).values], [2, 3]);
  assert.throws(() => symmetricEigen(new Float64Array(3), 2), /3 numbers are not a 2 × 2 matrix/);
  assert.throws(() => symmetricEigen(new Float64Array(9).fill(Number.NaN), 3), /do not converge/);
});

test('the distance of two Gaussians is that of the formula', () => {
  // one feature: (μ₁ − μ₂)² + (σ₁ − σ₂)²
  close(frechetDistance(gaussian([1], [4]), gaussian([-2], [9])), 9 + 1);
  // covariances that commute: the same, feature by feature
  close(frechetDistance(gaussian([0, 0], [4, 0, 0, 1]), gaussian([3, 4], [1, 0, 0, 16])), 25 + 1 + 9);
  // two features that do not: Tr √M = √(Tr M + 2 √det M) for M = Σ₁ Σ₂
  const [a, b] = [
    [2, 0.5, 0.5, 1],
    [1, -0.3, -0.3, 3],
  ] as const;
  const trace = a[0] * b[0] + a[1] * b[2] + a[2] * b[1] + a[3] * b[3];
  const determinant = (a[0] * a[3] - a[1] * a[2]) * (b[0] * b[3] - b[1] * b[2]);
  const expected = 3 + 4 - 2 * Math.sqrt(trace + 2 * Math.sqrt(determinant));
  close(frechetDistance(gaussian([0, 0], [...a]), gaussian([0, 0], [...b])), expected);
  close(frechetDistance(gaussian([0, 0], [...b]), gaussian([0, 0], [...a])), expected);
  // singular ones: Tr √(Σ₁ Σ₂) of vectors u uᵀ and w wᵀ is |uᵀ w|
  const outer = ([x, y]: [number, number]) => [x * x, x * y, x * y, y * y];
  close(
    frechetDistance(gaussian([0, 0], outer([1, 2])), gaussian([0, 0], outer([3, -1]))),
    5 + 10 - 2 * 1,
    1e-7,
  );
});

test('statistics are those of the definition, with N − 1', () => {
  const [count, dim] = [13, 3];
  const features = normals(count * dim, 4);
  const { mean, covariance } = featureStatistics(features, count);
  for (let i = 0; i < dim; i++) {
    const column = (k: number) => Array.from({ length: count }, (_, n) => features[n * dim + k]!);
    const average = (values: number[]) => values.reduce((a, b) => a + b) / count;
    close(mean[i]!, average(column(i)));
    for (let j = 0; j < dim; j++) {
      const [x, y] = [column(i), column(j)];
      const product = x.map((value, n) => (value - average(x)) * (y[n]! - average(y)));
      close(covariance[i * dim + j]!, product.reduce((a, b) => a + b) / (count - 1));
    }
  }
});

test('a set is at no distance from itself; the distance grows as features are blurred; halves give the floor', () => {
  const [count, dim] = [400, 6];
  const features = normals(count * dim, 7);
  const own = featureStatistics(features, count);
  assert.ok(frechetDistance(own, own) < 1e-9);
  const blurred = [0.9, 0.7, 0.4].map((factor) =>
    frechetDistance(
      own,
      featureStatistics(
        features.map((value) => value * factor),
        count,
      ),
    ),
  );
  assert.ok(blurred[0]! < blurred[1]! && blurred[1]! < blurred[2]!, `${blurred}`);
  const floor = frechetFloor(features, count, { seed: 1 });
  assert.equal(floor.length, 3);
  assert.deepEqual(frechetFloor(features, count, { seed: 1 }), floor);
  assert.notDeepEqual(frechetFloor(features, count, { seed: 2 }), floor);
  // two samples of the same distribution: about the floor
  const other = frechetDistance(
    featureStatistics(normals(1200, 9), 200),
    featureStatistics(normals(1200, 10), 200),
  );
  for (const value of floor) assert.ok(value > other / 3 && value < other * 3, `${value}, ${other}`);
});

test('what cannot be is refused', () => {
  assert.throws(() => featureStatistics(new Float64Array(30), 5), /5 samples for 6 features: .* at least 12/);
  assert.throws(
    () => featureStatistics(new Float64Array(7), 2),
    /7 numbers are not a whole row for each of 2/,
  );
  assert.throws(() => featureStatistics([1, 2, 3, Number.NaN], 4), /number 0 of sample 3 is NaN/);
  assert.throws(() => frechetFloor(new Float64Array(30), 10), /10 samples for 3 features: two halves need/);
  assert.throws(
    () => frechetDistance(gaussian([0], [1]), gaussian([0, 0], [1, 0, 0, 1])),
    /1 features against 2/,
  );
});
