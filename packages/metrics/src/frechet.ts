/**
 * Fréchet distance between two sets of features, each taken for a normal distribution. With the 2048 pooled features of
 * the standard Inception network it is FID (Heusel et al. 2017, arXiv 1706.08500); with any other network's it is a
 * number of that network's own, and comparable with nothing else.
 */

import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** What a set of features is reduced to, in double precision. */
export interface FeatureStatistics {
  /** N. */
  readonly count: number;
  /** [d] */
  readonly mean: Float64Array;
  /** [d, d] with N − 1 in the denominator, as numpy.cov has it. */
  readonly covariance: Float64Array;
}

/** Of features [N, d], N ≥ 2. Throws a RangeError where their number is no multiple of d, or one is not finite. */
export function featureStatistics(features: ArrayLike<number>, size: number): FeatureStatistics {
  const count = features.length / size;
  if (!Number.isInteger(count) || count < 2)
    throw new RangeError(`${features.length} numbers are no two or more rows of ${size} features`);
  const mean = new Float64Array(size);
  for (let at = 0; at < features.length; at++) {
    if (!Number.isFinite(features[at])) throw new RangeError(`feature ${at} is ${features[at]}`);
    mean[at % size]! += features[at]!;
  }
  for (let i = 0; i < size; i++) mean[i]! /= count;
  const covariance = new Float64Array(size * size);
  const row = new Float64Array(size);
  for (let n = 0; n < count; n++) {
    for (let i = 0; i < size; i++) row[i] = features[n * size + i]! - mean[i]!;
    for (let i = 0; i < size; i++) {
      const own = row[i]!;
      for (let j = i; j < size; j++) covariance[i * size + j]! += own * row[j]!;
    }
  }
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      covariance[i * size + j]! /= count - 1;
      covariance[j * size + i] = covariance[i * size + j]!;
    }
  }
  return { count, mean, covariance };
}

/**
 * |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½). The last trace is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which
 * is symmetric: nothing has to be added to a diagonal where fewer samples than features make Σ singular.
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  const size = a.mean.length;
  if (b.mean.length !== size) throw new RangeError(`${size} features beside ${b.mean.length}`);
  let distance = 0;
  for (let i = 0; i < size; i++) {
    distance += (a.mean[i]! - b.mean[i]!) ** 2;
    distance += a.covariance[i * size + i]! + b.covariance[i * size + i]!;
  }
  const root = squareRoot(matrixOf(a));
  const product = root.mmul(matrixOf(b)).mmul(root);
  // what rounding left unsymmetric
  const symmetric = Matrix.add(product, product.transpose()).mul(0.5);
  const { realEigenvalues } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const trace = realEigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
  return Math.max(0, distance - 2 * trace);
}

function matrixOf({ covariance, mean }: FeatureStatistics): Matrix {
  return Matrix.from1DArray(mean.length, mean.length, covariance);
}

/** The positive root of a symmetric matrix without negative eigenvalues. */
function squareRoot(matrix: Matrix): Matrix {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const roots = realEigenvalues.map((value) => Math.sqrt(Math.max(0, value)));
  return eigenvectorMatrix.mmul(Matrix.diag(roots)).mmul(eigenvectorMatrix.transpose());
}
