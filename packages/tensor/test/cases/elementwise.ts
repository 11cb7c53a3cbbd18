import { ndarray } from '../../src/array.ts';
import { div, maximum, minimum, mul, pow, sub } from '../../src/ops/arithmetic.ts';
import { where } from '../../src/ops/comparison.ts';
import { arange, constant } from '../../src/ops/constant.ts';
import type { Tensor } from '../../src/tensor.ts';
import {
  bools,
  type Case,
  type Cases,
  distinct,
  type Input,
  inexactOnGpu,
  integers,
  normal,
  uniform,
  values,
} from './case.ts';

/** The shapes in which two operands can meet. */
const pairs: readonly (readonly [name: string, a: readonly number[], b: readonly number[]])[] = [
  ['equal shapes', [2, 3], [2, 3]],
  ['broadcast both ways', [2, 1, 3], [4, 1]],
  ['scalars', [], []],
  ['scalar with array', [], [2, 2]],
  ['array with scalar', [3], []],
  ['size-1 axes', [1, 1], [1]],
  ['an empty axis', [2, 0, 3], [1, 3]],
];

type Binary = (a: Tensor, b: Tensor) => Tensor;

function binaryCases(
  f: Binary,
  left: (shape: readonly number[], seed: number) => Input,
  right = left,
): Case[] {
  return [
    ...pairs.map(
      ([name, a, b]): Case => ({ name, f: (x, y) => f(x!, y!), inputs: [left(a, 1), right(b, 2)] }),
    ),
    { name: 'the same tensor twice', f: (x) => f(x!, x!), inputs: [left([3], 3)] },
    {
      name: 'transposed and strided operands',
      f: (x, y) => f(x!.transpose(), y!.slice(0, 0, undefined, 2)),
      inputs: [left([3, 2], 4), right([4, 3], 5)],
    },
  ];
}

const away = (shape: readonly number[], seed: number): Input => {
  const { data } = distinct(shape, 0.25, seed);
  return { shape, dtype: 'float', data: data.map((x) => x + Math.sign(x) * 0.5) };
};
const positive = (shape: readonly number[], seed: number): Input => uniform(shape, 0.5, 2, seed);
/** Against `distinct`, which holds odd multiples of 1/16: never equal, nor near. */
const between = (shape: readonly number[], seed: number): Input => {
  const { data } = distinct(shape, 0.125, seed);
  return { shape, dtype: 'float', data: data.map((x) => x + 0.03125) };
};
const apart = (shape: readonly number[], seed: number): Input => distinct(shape, 0.125, seed);

/** Ties have a gradient by convention, not by limit: `max(x, x)` is checked as a whole. */
const extremes = (f: Binary): Case[] => binaryCases(f, apart, between);

function unaryCases(
  f: (x: Tensor) => Tensor,
  input: (shape: readonly number[], seed: number) => Input,
  more: readonly Case[] = [],
): Case[] {
  return [
    { name: 'matrix', f: (x) => f(x!), inputs: [input([2, 3], 1)], secondOrder: true },
    { name: 'scalar', f: (x) => f(x!), inputs: [input([], 2)] },
    { name: 'empty', f: (x) => f(x!), inputs: [input([0, 3], 3)] },
    { name: 'transposed', f: (x) => f(x!.transpose()), inputs: [input([2, 3], 4)] },
    { name: 'odd length, vectorised', f: (x) => f(x!), inputs: [input([37], 5)] },
    ...more,
  ];
}

const any = (shape: readonly number[], seed: number): Input => normal(shape, seed);

export const gradientCases: Cases = {
  add: binaryCases((a, b) => a.add(b), any),
  sub: binaryCases((a, b) => a.sub(b), any),
  mul: binaryCases((a, b) => a.mul(b), any),
  div: [
    ...binaryCases((a, b) => a.div(b), away),
    { name: 'number by tensor', f: (x) => div(3, x!), inputs: [away([4], 3)], secondOrder: true },
    { name: 'by a number that is no power of two', f: (x) => x!.div(3), inputs: [any([4], 3)] },
  ],
  pow: [
    ...binaryCases((a, b) => a.pow(b), positive, any),
    { name: 'third power', f: (x) => x!.pow(3), inputs: [away([6], 3)], secondOrder: true },
    { name: 'a number to a tensor', f: (x) => pow(2, x!), inputs: [any([5], 3)] },
    { name: 'negative power', f: (x) => x!.pow(-1.5), inputs: [positive([5], 3)] },
  ],
  maximum: [
    ...extremes((a, b) => a.maximum(b)),
    { name: 'with a number', f: (x) => x!.maximum(0.25), inputs: [apart([5], 3)] },
  ],
  minimum: [
    ...extremes((a, b) => a.minimum(b)),
    { name: 'with a number', f: (x) => x!.minimum(0.25), inputs: [apart([5], 3)] },
  ],
  where: [
    {
      name: 'plain',
      f: (c, a, b) => where(c!, a!, b!),
      inputs: [bools([2, 3]), any([2, 3], 1), any([2, 3], 2)],
    },
    {
      name: 'broadcast',
      f: (c, a, b) => where(c!, a!, b!),
      inputs: [bools([3, 1]), any([4], 1), any([2, 1, 1], 2)],
    },
    {
      name: 'the condition is the largest',
      f: (c, a, b) => where(c!, a!, b!),
      inputs: [bools([2, 3, 2]), any([], 1), any([1], 2)],
    },
    { name: 'a number', f: (c, a) => where(c!, a!, 0), inputs: [bools([5]), any([5], 1)] },
    { name: 'empty', f: (c, a, b) => where(c!, a!, b!), inputs: [bools([0]), any([1], 1), any([0], 2)] },
    {
      name: 'from a comparison',
      f: (a, b) => where(a!.less(b!), a!.mul(2), b!.mul(b!)),
      inputs: [apart([6], 1), between([6], 2)],
    },
  ],
  cast: [
    {
      name: 'to float32',
      needs: ['float64'],
      f: (x) => x!.cast(x!.dtype === 'float32' ? 'float64' : 'float32').mul(2),
      inputs: [values([0.5, -1, 2])],
    },
  ],
  clip: [
    { name: 'both sides', f: (x) => x!.clip(-0.5, 0.5), inputs: [apart([12], 1)] },
    { name: 'below', f: (x) => x!.clip(-0.25, Number.POSITIVE_INFINITY), inputs: [apart([4, 3], 1)] },
    { name: 'above', f: (x) => x!.clip(Number.NEGATIVE_INFINITY, 0.25), inputs: [apart([4, 3], 1)] },
    {
      name: 'open on both sides',
      f: (x) => x!.clip(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
      inputs: [apart([4], 1)],
    },
    { name: 'empty', f: (x) => x!.clip(0, 1), inputs: [apart([0], 1)] },
  ],
  neg: unaryCases((x) => x.neg(), any),
  reciprocal: unaryCases((x) => x.reciprocal(), away),
  exp: unaryCases((x) => x.exp(), any),
  log: unaryCases((x) => x.log(), positive),
  sqrt: unaryCases((x) => x.sqrt(), positive),
  rsqrt: unaryCases((x) => x.rsqrt(), positive),
  sin: unaryCases((x) => x.sin(), any).map(inexactOnGpu),
  cos: unaryCases((x) => x.cos(), any).map(inexactOnGpu),
  tanh: unaryCases((x) => x.tanh(), any),
  sigmoid: unaryCases((x) => x.sigmoid(), any),
  erf: unaryCases((x) => x.erf(), any),
  abs: unaryCases((x) => x.abs(), away),
};

/** Halves, negatives, and both sides of every boundary. */
const steps = values([-2.5, -2, -1.5, -0.5, -0.25, 0, 0.25, 0.5, 1.5, 2, 2.5, 3.75]);

function comparisonCases(f: Binary): Case[] {
  return [
    {
      name: 'floats with ties',
      f: (a, b) => f(a!, b!),
      inputs: [values([1, 2, 3, -1]), values([1, 3, 2, -1])],
    },
    {
      name: 'broadcast',
      f: (a, b) => f(a!, b!),
      inputs: [integers([3, 1], 0, 3, 'int64', 1), integers([1, 4], 0, 3, 'int64', 2)],
    },
    {
      name: 'int32',
      f: (a, b) => f(a!, b!),
      inputs: [integers([6], 0, 3, 'int32', 1), integers([6], 0, 3, 'int32', 2)],
    },
    { name: 'with a number', f: (a) => f(a!, 1 as unknown as Tensor), inputs: [values([0, 1, 2])] },
    { name: 'empty', f: (a, b) => f(a!, b!), inputs: [values([], [0]), values([1])] },
  ];
}

function logicCases(f: Binary): Case[] {
  return [
    {
      name: 'truth table',
      f: (a, b) => f(a!, b!),
      inputs: [values([0, 0, 1, 1], [4], 'bool'), values([0, 1, 0, 1], [4], 'bool')],
    },
    { name: 'broadcast', f: (a, b) => f(a!, b!), inputs: [bools([2, 1], 1), bools([3], 2)] },
  ];
}

export const forwardCases: Cases = {
  add: [
    { name: 'int64', f: (a, b) => a!.add(b!), inputs: [integers([4], -9, 9), integers([1], -9, 9)] },
    { name: 'int32 with a number', f: (a) => a!.add(3), inputs: [integers([4], -9, 9, 'int32')] },
  ],
  sub: [{ name: 'number minus tensor', f: (a) => sub(1, a!), inputs: [integers([4], -9, 9)] }],
  mul: [{ name: 'number times tensor', f: (a) => mul(3, a!), inputs: [integers([4], -9, 9, 'int32')] }],
  div: [
    {
      name: 'integers truncate',
      f: (a, b) => a!.div(b!),
      inputs: [values([7, -7, 7, -7], [4], 'int64'), values([2, 2, -2, -2], [4], 'int64')],
    },
  ],
  pow: [
    { name: 'negative base, square', f: (a, b) => a!.pow(b!), inputs: [values([-2, -3]), values([2, 3])] },
    { name: 'square by number', f: (a) => a!.pow(2).pow(0.5).pow(3), inputs: [values([-2, -3])] },
  ],
  maximum: [
    { name: 'ties', f: (a, b) => maximum(a!, b!), inputs: [values([1, 2]), values([1, 2])] },
    {
      name: 'int64',
      f: (a, b) => maximum(a!, b!),
      inputs: [integers([5], 0, 9, 'int64', 1), integers([5], 0, 9, 'int64', 2)],
    },
  ],
  minimum: [
    { name: 'ties', f: (a, b) => minimum(a!, b!), inputs: [values([1, 2]), values([1, 2])] },
    {
      name: 'int32',
      f: (a, b) => minimum(a!, b!),
      inputs: [integers([5], 0, 9, 'int32', 1), integers([5], 0, 9, 'int32', 2)],
    },
  ],
  where: [
    {
      name: 'int64',
      f: (c, a, b) => where(c!, a!, b!),
      inputs: [bools([5]), integers([5], 0, 9, 'int64', 1), integers([5], 0, 9, 'int64', 2)],
    },
  ],
  clip: [
    { name: 'integers', f: (x) => x!.clip(-1, 2), inputs: [integers([8], -4, 5, 'int32')] },
    { name: 'on the limits', f: (x) => x!.clip(-1, 1), inputs: [values([-1, 1, -2, 2, 0])] },
    {
      name: 'int64, open above',
      f: (x) => x!.clip(0, Number.POSITIVE_INFINITY),
      inputs: [integers([8], -4, 5)],
    },
  ],
  cast: [
    { name: 'truncates', f: (x) => x!.cast('int32'), inputs: [steps] },
    { name: 'to int64 and back', f: (x) => x!.cast('int64').cast('float32'), inputs: [steps] },
    { name: 'to bool', f: (x) => x!.cast('bool'), inputs: [steps] },
    { name: 'bool to float', f: (x) => x!.cast('float32'), inputs: [bools([5])] },
    {
      name: 'through float16',
      needs: ['float16'],
      f: (x) => x!.cast('float16').cast('float32'),
      inputs: [steps],
    },
    { name: 'float16 out', needs: ['float16'], f: (x) => x!.cast('float16'), inputs: [steps] },
  ],
  equal: [
    ...comparisonCases((a, b) => a.equal(b)),
    { name: 'bools', f: (a, b) => a!.equal(b!), inputs: [bools([8], 1), bools([8], 2)] },
  ],
  less: comparisonCases((a, b) => a.less(b)),
  lessEqual: comparisonCases((a, b) => a.lessEqual(b)),
  greater: comparisonCases((a, b) => a.greater(b)),
  greaterEqual: comparisonCases((a, b) => a.greaterEqual(b)),
  and: logicCases((a, b) => a.and(b)),
  or: logicCases((a, b) => a.or(b)),
  not: [{ name: 'both', f: (x) => x!.not(), inputs: [values([0, 1], [2], 'bool')] }],
  neg: [{ name: 'int64', f: (x) => x!.neg(), inputs: [integers([4], -9, 9)] }],
  abs: [{ name: 'int32, and zero', f: (x) => x!.abs(), inputs: [integers([9], -2, 3, 'int32')] }],
  sign: [{ name: 'both sides and zero', f: (x) => x!.sign(), inputs: [steps] }],
  step: [
    {
      name: 'both sides, zero, and the smallest',
      f: (x) => x!.step(),
      inputs: [values([-1e-37, -3, -0, 0, 1.2e-38, 0.5, 3e38])],
    },
  ],
  floor: [{ name: 'both sides', f: (x) => x!.floor(), inputs: [steps] }],
  ceil: [{ name: 'both sides', f: (x) => x!.ceil(), inputs: [steps] }],
  round: [{ name: 'halves to even', f: (x) => x!.round(), inputs: [steps] }],
  sigmoid: [{ name: 'far out', f: (x) => x!.sigmoid(), inputs: [values([-200, -40, 40, 200])] }],
  exp: [{ name: 'overflow to infinity', f: (x) => x!.exp(), inputs: [values([-200, 0, 1])] }],
  tanh: [{ name: 'far out', f: (x) => x!.tanh(), inputs: [values([-50, 50])] }],
  erf: [{ name: 'tails', f: (x) => x!.erf(), inputs: [values([-7, -3, -1e-4, 0, 1e-4, 3, 7])] }],
  stopGradient: [{ name: 'is the identity', f: (x) => x!.stopGradient().mul(2), inputs: [any([3], 1)] }],
  arange: [
    { name: 'plain', f: () => arange(5), inputs: [] },
    { name: 'start and step', f: () => arange(4, { start: 2, step: -0.5 }), inputs: [] },
    { name: 'int64', f: () => arange(4, { start: 3, step: 2, dtype: 'int64' }), inputs: [] },
    { name: 'empty', f: () => arange(0, { dtype: 'int32' }), inputs: [] },
    { name: 'added to a constant', f: () => arange(3).add(constant(ndarray([1, 2, 3]))), inputs: [] },
  ],
};
