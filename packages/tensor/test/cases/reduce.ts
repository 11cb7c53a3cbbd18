import type { Tensor } from '../../src/tensor.ts';
import { type Case, type Cases, distinct, type Input, integers, normal, values } from './case.ts';

type Options = { readonly keepDims?: boolean };
type Reduce = (x: Tensor, axes?: number | readonly number[], options?: Options) => Tensor;

const apart = (shape: readonly number[], seed = 1): Input => distinct(shape, 0.125, seed);

function reductions(f: Reduce, neutral: boolean): Case[] {
  const cases: Case[] = [
    { name: 'all axes', f: (x) => f(x!), inputs: [apart([2, 3])] },
    { name: 'first axis', f: (x) => f(x!, 0), inputs: [apart([2, 3, 2])] },
    { name: 'negative axis, kept', f: (x) => f(x!, -1, { keepDims: true }), inputs: [apart([2, 3])] },
    { name: 'two axes apart', f: (x) => f(x!, [0, 2]), inputs: [apart([2, 3, 4])] },
    {
      name: 'two axes, kept, in reverse order',
      f: (x) => f(x!, [-1, 0], { keepDims: true }),
      inputs: [apart([2, 3, 4])],
    },
    { name: 'with an axis of size 1', f: (x) => f(x!, [0, 1]), inputs: [apart([1, 3])] },
    { name: 'size 1 beside', f: (x) => f(x!, 1), inputs: [apart([1, 3, 1])] },
    { name: 'transposed input', f: (x) => f(x!.transpose(), 0), inputs: [apart([3, 4])] },
    { name: 'strided input', f: (x) => f(x!.slice(1, 1, undefined, 2), 1), inputs: [apart([2, 6])] },
    { name: 'vector to scalar', f: (x) => f(x!, 0), inputs: [apart([5])] },
    { name: 'an empty axis beside', f: (x) => f(x!, 1), inputs: [apart([0, 3])] },
  ];
  if (neutral) cases.push({ name: 'an empty axis', f: (x) => f(x!, 0).add(1), inputs: [apart([0, 3])] });
  return cases;
}

export const gradientCases: Cases = {
  sum: [
    ...reductions((x, axes, options) => x.sum(axes, options), true),
    {
      name: 'second order through a square',
      f: (x) => x!.mul(x!).sum(0),
      inputs: [apart([3, 2])],
      secondOrder: true,
    },
    { name: 'sumSquares', f: (x) => x!.sumSquares(1), inputs: [apart([3, 2])], secondOrder: true },
  ],
  mean: [
    ...reductions((x, axes, options) => x.mean(axes, options), false),
    {
      name: 'variance',
      f: (x) => x!.variance(-1, { keepDims: true }),
      inputs: [apart([3, 4])],
      secondOrder: true,
    },
  ],
  max: reductions((x, axes, options) => x.max(axes, options), false),
  min: reductions((x, axes, options) => x.min(axes, options), false),
};

const tied = values([2, 1, 2, 2, 0, 2], [2, 3]);

export const forwardCases: Cases = {
  sum: [
    { name: 'columns of many rows', f: (x) => x!.sum([0, 1]), inputs: [normal([8, 9, 1024])] },
    {
      name: 'columns of many rows, kept',
      f: (x) => x!.sum(0, { keepDims: true }),
      inputs: [normal([64, 1024])],
    },
    { name: 'int64', f: (x) => x!.sum(0), inputs: [integers([3, 2], -9, 9)] },
    { name: 'int32, all', f: (x) => x!.sum(), inputs: [integers([3, 2], -9, 9, 'int32')] },
  ],
  max: [
    { name: 'ties', f: (x) => x!.max(1), inputs: [tied] },
    { name: 'int64', f: (x) => x!.max(0), inputs: [integers([3, 2], -9, 9)] },
  ],
  min: [
    { name: 'ties', f: (x) => x!.min(1), inputs: [tied] },
    { name: 'int32', f: (x) => x!.min(0), inputs: [integers([3, 2], -9, 9, 'int32')] },
  ],
};
