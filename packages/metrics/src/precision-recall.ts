/**
 * Precision and recall of a generator: Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2. A set's manifold is the
 * union of balls around its samples that reach to the k-th neighbour.
 */
import { checkFeatures } from './features.ts';

/** Shares from 0 to 1. */
export interface PrecisionRecall {
  /** Share of generated samples inside a ball of a real one. */
  readonly precision: number;
  /** Share of real samples inside a ball of a generated one. */
  readonly recall: number;
}

/** Of `precisionRecall`. */
export interface PrecisionRecallOptions {
  /** Which neighbour a ball reaches to, the sample itself not counted; default 3. */
  readonly neighbours?: number;
}

/** One set of features (N, D), row-major, with N. */
export interface FeatureSet {
  readonly features: ArrayLike<number>;
  readonly count: number;
}

/**
 * Euclidean distances, a sample on the surface counts as inside. Throws a RangeError for sets with different numbers of
 * features and for no more samples than neighbours. Time grows with the product of the counts:
 * 5,000 against 5,000 of 192 features take a quarter of a minute.
 */
export function precisionRecall(
  real: FeatureSet,
  generated: FeatureSet,
  { neighbours = 3 }: PrecisionRecallOptions = {},
): PrecisionRecall {
  const dim = checkFeatures(real.features, real.count, 'real features');
  const other = checkFeatures(generated.features, generated.count, 'generated features');
  if (dim !== other) throw new RangeError(`${dim} real features against ${other} generated ones`);
  if (!Number.isInteger(neighbours) || neighbours < 1)
    throw new RangeError(`${neighbours} neighbours are not 1 or more`);
  for (const { count } of [real, generated]) {
    if (count <= neighbours) throw new RangeError(`${count} samples have no neighbour ${neighbours}`);
  }
  const [r, g] = [Float64Array.from(real.features), Float64Array.from(generated.features)];
  const realRadii = squaredRadii(r, real.count, dim, neighbours);
  const generatedRadii = squaredRadii(g, generated.count, dim, neighbours);
  const insideReal = new Uint8Array(generated.count);
  const insideGenerated = new Uint8Array(real.count);
  for (let i = 0; i < real.count; i++) {
    for (let j = 0; j < generated.count; j++) {
      if (insideReal[j] && insideGenerated[i]) continue;
      const distance = squaredDistance(r, i, g, j, dim, Math.max(realRadii[i]!, generatedRadii[j]!));
      if (distance <= realRadii[i]!) insideReal[j] = 1;
      if (distance <= generatedRadii[j]!) insideGenerated[i] = 1;
    }
  }
  const share = (flags: Uint8Array) => flags.reduce((sum, flag) => sum + flag, 0) / flags.length;
  return { precision: share(insideReal), recall: share(insideGenerated) };
}

/** Of rows i of a and j of b; stops, with what it has, once that is above `enough`. */
function squaredDistance(
  a: Float64Array,
  i: number,
  b: Float64Array,
  j: number,
  dim: number,
  enough: number,
): number {
  const [from, other] = [i * dim, j * dim];
  let sum = 0;
  for (let at = 0; at < dim; ) {
    const end = Math.min(dim, at + 32);
    for (; at < end; at++) {
      const difference = a[from + at]! - b[other + at]!;
      sum += difference * difference;
    }
    if (sum > enough) return sum;
  }
  return sum;
}

/** The squared distance of each sample's k-th neighbour. */
function squaredRadii(features: Float64Array, count: number, dim: number, k: number): Float64Array {
  const nearest = new Float64Array(count * k).fill(Infinity); // ascending for each sample
  const insert = (n: number, distance: number) => {
    let at = n * k + k - 1;
    if (distance >= nearest[at]!) return;
    for (; at > n * k && nearest[at - 1]! > distance; at--) nearest[at] = nearest[at - 1]!;
    nearest[at] = distance;
  };
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      const enough = Math.max(nearest[i * k + k - 1]!, nearest[j * k + k - 1]!);
      const distance = squaredDistance(features, i, features, j, dim, enough);
      insert(i, distance);
      insert(j, distance);
    }
  }
  return Float64Array.from({ length: count }, (_, n) => nearest[n * k + k - 1]!);
}
