/** First values of weights, as PyTorch's modules choose them. */

import { ndarray, zerosArray } from '@working-papers/tensor';
import type { Initializer } from './module.ts';

/** 0 everywhere. */
export const zeros: Initializer = (shape) => zerosArray(shape);

/** 1 everywhere. */
export const ones: Initializer = (shape) => filled(shape, 1);

/** `value` everywhere. */
export function filledWith(value: number): Initializer {
  return (shape) => filled(shape, value);
}

function filled(shape: readonly number[], value: number) {
  const array = zerosArray(shape);
  (array.data as Float32Array).fill(value);
  return array;
}

function size(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Uniform between `low` and `high`. */
export function uniform(low: number, high: number): Initializer {
  return (shape, random) => ndarray(random.uniforms(size(shape), low, high), shape);
}

/** Normal with this standard deviation and mean. */
export function normal(std = 1, mean = 0): Initializer {
  return (shape, random) => ndarray(random.normals(size(shape), mean, std), shape);
}

/** A normal distribution cut at ±2 (not ±2σ), by drawing again: timm's `trunc_normal_` with its defaults. */
export function truncatedNormal(std: number, limit = 2): Initializer {
  return (shape, random) => {
    const values = random.normals(size(shape), 0, std);
    for (let i = 0; i < values.length; i++)
      while (Math.abs(values[i]!) > limit) values[i] = random.normal(0, std);
    return ndarray(values, shape);
  };
}

/** [out, in, ...kernel]: how many inputs and outputs meet in one weight. */
function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  const taps = size(shape.slice(2));
  return { fanIn: (shape[1] ?? 1) * taps, fanOut: shape[0]! * taps };
}

/** U(±1/√fanIn), which PyTorch's Linear and Conv call kaiming_uniform with a = √5. */
export const fanInUniform: Initializer = (shape, random) => {
  const bound = 1 / Math.sqrt(fans(shape).fanIn);
  return uniform(-bound, bound)(shape, random);
};

/** He et al. 2015 (arXiv 1502.01852), normal, for ReLU networks. */
export function kaimingNormal(mode: 'fanIn' | 'fanOut' = 'fanIn'): Initializer {
  return (shape, random) => normal(Math.sqrt(2 / fans(shape)[mode]))(shape, random);
}

/** Glorot and Bengio 2010, uniform. */
export const xavierUniform: Initializer = (shape, random) => {
  const { fanIn, fanOut } = fans(shape);
  const bound = Math.sqrt(6 / (fanIn + fanOut));
  return uniform(-bound, bound)(shape, random);
};
