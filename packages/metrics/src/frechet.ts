/**
 * The Fréchet distance of two sets of features: Heusel et al. 2017, arXiv 1706.08500, equation 6. With the 2048
 * features of the standard Inception network it is FID; with other features it is not, and should not be called so.
 */
import { xoshiro128 } from './bootstrap.ts';
import { checkFeatures } from './features.ts';
import { symmetricEigen } from './symmetric.ts';

/** What the distance knows of a set: its features' mean (D) and covariance (D, D), row-major. */
export interface FeatureStatistics {
  readonly count: number;
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
}

/**
 * Mean and covariance (divided by N − 1) of features (N, D), row-major, for `count` N. Throws a RangeError for less
 * than two samples a feature, whose covariance says little, and for numbers that are not finite.
 */
export function featureStatistics(features: ArrayLike<number>, count: number): FeatureStatistics {
  const dim = checkFeatures(features, count);
  if (count < 2 * dim)
    throw new RangeError(`${count} samples for ${dim} features: a covariance needs at least ${2 * dim}`);
  return statisticsOf(features, count, dim, (n) => n);
}

/** Of the samples `pick(0)` ... `pick(count − 1)`. */
function statisticsOf(
  features: ArrayLike<number>,
  count: number,
  dim: number,
  pick: (n: number) => number,
): FeatureStatistics {
  const mean = new Float64Array(dim);
  for (let n = 0; n < count; n++) {
    const from = pick(n) * dim;
    for (let i = 0; i < dim; i++) mean[i] = mean[i]! + features[from + i]!;
  }
  for (let i = 0; i < dim; i++) mean[i] = mean[i]! / count;
  const covariance = new Float64Array(dim * dim);
  // four samples at a time: the matrix is read and written a quarter as often
  const rows = [0, 1, 2, 3].map(() => new Float64Array(dim)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let n = 0; n < count; n += 4) {
    for (const [r, row] of rows.entries()) {
      const from = pick(n + r) * dim;
      for (let i = 0; i < dim; i++) row[i] = n + r < count ? features[from + i]! - mean[i]! : 0;
    }
    const [p, q, r, s] = rows;
    for (let i = 0; i < dim; i++) {
      const at = i * dim;
      const pi = p[i]!;
      const qi = q[i]!;
      const ri = r[i]!;
      const si = s[i]!;
      for (let j = 0; j <= i; j++)
        covariance[at + j] = covariance[at + j]! + pi * p[j]! + qi * q[j]! + ri * r[j]! + si * s[j]!;
    }
  }
  for (let i = 0; i < dim; i++) {
    for (let j = 0; j <= i; j++) {
      const value = covariance[i * dim + j]! / (count - 1);
      covariance[i * dim + j] = value;
      covariance[j * dim + i] = value;
    }
  }
  return { count, mean, covariance };
}

/**
 * |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), in float64. The root's trace is the sum of the roots of the eigenvalues of
 * Σ₁^½ Σ₂ Σ₁^½, which is symmetric and has those of Σ₁ Σ₂: no complex numbers, and singular covariances need no
 * correction. Not below 0. Throws a RangeError when the sets have different numbers of features.
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  const dim = a.mean.length;
  if (b.mean.length !== dim) throw new RangeError(`${dim} features against ${b.mean.length}`);
  let distance = 0;
  for (let i = 0; i < dim; i++) {
    const at = i * dim + i;
    distance += (a.mean[i]! - b.mean[i]!) ** 2 + a.covariance[at]! + b.covariance[at]!;
  }
  // Σ₁ = Gᵀ G, rows of G are eigenvectors times the roots of their values; G Σ₂ Gᵀ has the eigenvalues sought
  const { values, vectors } = symmetricEigen(a.covariance, dim, { vectors: true });
  for (let k = 0; k < dim; k++) {
    const root = Math.sqrt(Math.max(0, values[k]!));
    for (let i = 0; i < dim; i++) vectors[k * dim + i] = vectors[k * dim + i]! * root;
  }
  const half = timesTransposed(vectors, b.covariance, dim); // G Σ₂ᵀ = G Σ₂
  const product = timesTransposed(half, vectors, dim);
  for (let i = 0; i < dim; i++) {
    for (let j = 0; j < i; j++) {
      const value = (product[i * dim + j]! + product[j * dim + i]!) / 2;
      product[i * dim + j] = value;
      product[j * dim + i] = value;
    }
  }
  const roots = symmetricEigen(product, dim).values;
  for (const value of roots) distance -= 2 * Math.sqrt(Math.max(0, value));
  return Math.max(0, distance);
}

/** A Bᵀ of n × n matrices. */
function timesTransposed(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j < n; j++) {
      const other = j * n;
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[row + k]! * b[other + k]!;
      out[row + j] = sum;
    }
  }
  return out;
}

/** Of `frechetFloor`. */
export interface FloorOptions {
  /** Random splits; default 3. */
  readonly splits?: number;
  readonly seed?: number;
}

/**
 * The distance between random halves of one set of features (N, D): what a perfect generator would score with N/2
 * samples against N/2. One value a split. Throws a RangeError for less than four samples a feature.
 */
export function frechetFloor(
  features: ArrayLike<number>,
  count: number,
  { splits = 3, seed = 0 }: FloorOptions = {},
): number[] {
  const dim = checkFeatures(features, count);
  const half = Math.floor(count / 2);
  if (half < 2 * dim)
    throw new RangeError(`${count} samples for ${dim} features: two halves need at least ${4 * dim}`);
  const next = xoshiro128(seed);
  return Array.from({ length: splits }, () => {
    const order = Uint32Array.from({ length: count }, (_, n) => n);
    for (let n = count - 1; n > 0; n--) {
      const other = Math.floor((next() / 2 ** 32) * (n + 1));
      [order[n], order[other]] = [order[other]!, order[n]!];
    }
    return frechetDistance(
      statisticsOf(features, half, dim, (n) => order[n]!),
      statisticsOf(features, half, dim, (n) => order[half + n]!),
    );
  });
}
