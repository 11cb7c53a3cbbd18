/** What a check of an operator is: a function of tensors and the arrays to try it with. */

import type { DType } from '../../src/array.ts';
import type { Tensor } from '../../src/tensor.ts';

/** An argument of a check. `float` stands for the precision under test: float32 or float64. */
export interface Input {
  readonly shape: readonly number[];
  readonly dtype: DType | 'float';
  readonly data: readonly number[];
}

/** One check of one operator. */
export interface Case {
  /** What is special about it: `broadcast`, `empty axis`. */
  readonly name: string;
  readonly f: (...inputs: Tensor[]) => Tensor | readonly Tensor[];
  readonly inputs: readonly Input[];
  /** Largest error of a float32 result, relative to max(1, |value|); default 1e-5. */
  readonly tolerance?: number;
  /** Largest error of a float32 gradient, relative to max(1, |value|); default 1e-4. */
  readonly gradientTolerance?: number;
  /** Number formats that a GPU may not have. */
  readonly needs?: readonly ('float16' | 'float64')[];
  /** Largest difference of another provider's results from the CPU's; default 1e-4. */
  readonly providerTolerance?: number;
  /** Gradients of gradients too. */
  readonly secondOrder?: boolean;
}

/** WGSL allows sin and cos an absolute error of 2^-11 ("Floating Point Accuracy"); SwiftShader uses it. */
export const inexactOnGpu = (check: Case): Case => ({ ...check, providerTolerance: 2e-3 });

/**
 * Checks by operator name. A family of operators (`cases/<family>.ts`) exports two tables, `gradientCases` for
 * the operators that have a gradient and `forwardCases` for further forward checks and the operators that have none.
 */
export type Cases = { readonly [operator: string]: readonly Case[] };

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
function generator(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function make(
  shape: readonly number[],
  dtype: Input['dtype'],
  value: (i: number, count: number) => number,
): Input {
  const count = shape.reduce((product, dim) => product * dim, 1);
  return { shape, dtype, data: Array.from({ length: count }, (_, i) => Math.fround(value(i, count))) };
}

/** Numbers in [low, high), exact in float32. */
export function uniform(shape: readonly number[], low = -1, high = 1, seed = 1): Input {
  const random = generator(seed);
  return make(shape, 'float', () => low + (high - low) * random());
}

/** Normally distributed numbers. */
export function normal(shape: readonly number[], seed = 1): Input {
  const random = generator(seed);
  return make(
    shape,
    'float',
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** Different numbers in random order, all multiples of `gap` plus half of it: no ties, and no number near 0. */
export function distinct(shape: readonly number[], gap = 0.125, seed = 1): Input {
  const random = generator(seed);
  const count = shape.reduce((product, dim) => product * dim, 1);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return make(shape, 'float', (i) => (order[i]! - Math.floor(count / 2) + 0.5) * gap);
}

/** Whole numbers in [low, high). */
export function integers(
  shape: readonly number[],
  low: number,
  high: number,
  dtype: DType = 'int64',
  seed = 1,
): Input {
  const random = generator(seed);
  return make(shape, dtype, () => low + Math.floor((high - low) * random()));
}

export function bools(shape: readonly number[], seed = 1): Input {
  const random = generator(seed);
  return make(shape, 'bool', () => (random() < 0.5 ? 0 : 1));
}

/** The given numbers. */
export function values(
  data: readonly number[],
  shape: readonly number[] = [data.length],
  dtype: Input['dtype'] = 'float',
): Input {
  return { shape, dtype, data };
}
