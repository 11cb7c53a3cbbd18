/**
 * How far a figure would move on another test set of the same kind: the percentile bootstrap.
 * Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
 */
import { ascending, quantile } from './quantile.ts';
import { mean } from './rows.ts';

/** Of both functions here. */
export interface BootstrapOptions {
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly level?: number;
  readonly seed?: number;
}

/** A percentile interval. */
export interface Interval {
  /** The statistic of the sample itself. */
  readonly estimate: number;
  readonly lower: number;
  readonly upper: number;
}

/**
 * The interval of a statistic of `length` samples; `statistic` gets the indices of a resample (do not keep them).
 * For the difference of two methods on the same samples, take the difference within the statistic.
 */
export function bootstrapInterval(
  length: number,
  statistic: (indices: Uint32Array) => number,
  { resamples = 2000, level = 0.95, seed = 0 }: BootstrapOptions = {},
): Interval {
  if (!Number.isInteger(length) || length < 1) throw new RangeError(`bootstrap of ${length} samples`);
  if (!(level > 0 && level < 1)) throw new RangeError(`confidence level ${level} is not between 0 and 1`);
  const indices = Uint32Array.from({ length }, (_, i) => i);
  const estimate = statistic(indices);
  const next = xoshiro128(seed);
  const values = Array.from({ length: resamples }, () => {
    for (let i = 0; i < length; i++) indices[i] = Math.floor((next() / 2 ** 32) * length);
    return statistic(indices);
  });
  const sorted = ascending(values);
  return { estimate, lower: quantile(sorted, (1 - level) / 2), upper: quantile(sorted, (1 + level) / 2) };
}

/** The interval of a mean, of the accuracy for instance from ones and zeros. */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions = {}): Interval {
  const picked = new Float64Array(values.length);
  const statistic = (indices: Uint32Array) => {
    for (let i = 0; i < picked.length; i++) picked[i] = values[indices[i]!]!;
    return mean(picked);
  };
  return bootstrapInterval(values.length, statistic, options);
}

/** Random 32-bit words: xoshiro128**, Blackman and Vigna 2018, its state filled from the seed by SplitMix32. */
export function xoshiro128(seed: number | readonly [number, number, number, number]): () => number {
  let [a, b, c, d] = typeof seed === 'number' ? splitMix32(seed) : seed;
  return () => {
    const product = Math.imul(b, 5);
    const word = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return word;
  };
}

function splitMix32(seed: number): [number, number, number, number] {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return mixed ^ (mixed >>> 16);
  };
  return [next(), next(), next(), next()];
}
