import { concat, split, stack } from '../../src/ops/shape.ts';
import { dilate } from '../../src/ops/slice.ts';
import { type Cases, integers, normal } from './case.ts';

const x23 = normal([2, 3]);
const x234 = normal([2, 3, 4]);

export const gradientCases: Cases = {
  reshape: [
    { name: 'merge', f: (x) => x!.reshape([6]), inputs: [x23] },
    { name: 'with -1', f: (x) => x!.reshape([2, -1, 2]), inputs: [x234] },
    { name: 'to a scalar', f: (x) => x!.reshape([]), inputs: [normal([1, 1])] },
    { name: 'from a scalar', f: (x) => x!.reshape([1, 1]), inputs: [normal([])] },
    { name: 'empty', f: (x) => x!.reshape([0, 5, 2]), inputs: [normal([3, 0])] },
    { name: 'flatten', f: (x) => x!.flatten(1), inputs: [x234] },
    { name: 'squeeze', f: (x) => x!.squeeze(), inputs: [normal([1, 3, 1])] },
    { name: 'squeeze one', f: (x) => x!.squeeze(-1), inputs: [normal([1, 3, 1])] },
    { name: 'unsqueeze', f: (x) => x!.unsqueeze(-1), inputs: [x23] },
    { name: 'transposed', f: (x) => x!.transpose().reshape([6]), inputs: [x23] },
  ],
  transpose: [
    { name: 'last two', f: (x) => x!.transpose(), inputs: [x234] },
    { name: 'cycle', f: (x) => x!.transpose([2, 0, 1]), inputs: [x234] },
    { name: 'negative axes', f: (x) => x!.transpose([-1, 0, -2]), inputs: [x234] },
    { name: 'two in a row', f: (x) => x!.transpose([2, 0, 1]).transpose([2, 0, 1]), inputs: [x234] },
    { name: 'empty', f: (x) => x!.transpose(), inputs: [normal([0, 3])] },
    { name: 'size-1 axes', f: (x) => x!.transpose([1, 0, 2]), inputs: [normal([1, 3, 1])] },
  ],
  expand: [
    { name: 'size-1 axes', f: (x) => x!.expand([3, 2, 4]), inputs: [normal([1, 2, 1])] },
    { name: 'new leading axes', f: (x) => x!.expand([2, 2, 3]), inputs: [normal([3])] },
    { name: 'a scalar', f: (x) => x!.expand([2, 3]), inputs: [normal([])] },
    { name: 'to an empty axis', f: (x) => x!.expand([0, 2]), inputs: [normal([1, 2])] },
    { name: 'keeps 1', f: (x) => x!.expand([1, 2]), inputs: [normal([2])] },
  ],
  concat: [
    { name: 'first axis', f: (a, b) => concat([a!, b!], 0), inputs: [x23, normal([1, 3], 2)] },
    {
      name: 'last axis, three',
      f: (a, b, c) => concat([a!, b!, c!], -1),
      inputs: [x23, normal([2, 1], 2), normal([2, 2], 3)],
    },
    { name: 'with an empty one', f: (a, b) => concat([a!, b!], 0), inputs: [x23, normal([0, 3], 2)] },
    { name: 'one twice', f: (a) => concat([a!, a!.mul(a!)], 1), inputs: [x23] },
    { name: 'stack', f: (a, b) => stack([a!, b!], 1), inputs: [x23, normal([2, 3], 2)] },
    { name: 'stack at the end', f: (a, b) => stack([a!, b!], -1), inputs: [x23, normal([2, 3], 2)] },
    { name: 'stack scalars', f: (a, b) => stack([a!, b!]), inputs: [normal([], 1), normal([], 2)] },
  ],
  split: [
    { name: 'equal parts', f: (x) => split(x!, 2, -1), inputs: [x234] },
    { name: 'given sizes', f: (x) => split(x!, [1, 3], 2), inputs: [x234] },
    { name: 'one part is not used', f: (x) => split(x!, 3, 1)[1]!, inputs: [x234] },
    { name: 'an empty part', f: (x) => split(x!, [0, 3], 1), inputs: [x23] },
  ],
  slice: [
    { name: 'middle', f: (x) => x!.slice(1, 1, 3), inputs: [x234] },
    { name: 'negative start', f: (x) => x!.slice(-1, -2), inputs: [x234] },
    { name: 'negative end', f: (x) => x!.slice(2, 1, -1), inputs: [x234] },
    { name: 'steps that end on the last', f: (x) => x!.slice(0, 0, undefined, 2), inputs: [normal([7, 2])] },
    { name: 'steps that end before', f: (x) => x!.slice(0, 1, 8, 3), inputs: [normal([9])] },
    { name: 'step of one past the middle', f: (x) => x!.slice(0, 2, 5, 2), inputs: [normal([8])] },
    { name: 'nothing left', f: (x) => x!.slice(0, 2, 2), inputs: [x23] },
    { name: 'steps, nothing left', f: (x) => x!.slice(0, 2, 2, 3), inputs: [normal([5])] },
    { name: 'start beyond the end', f: (x) => x!.slice(0, 4, 2), inputs: [normal([5])] },
    { name: 'beyond the size', f: (x) => x!.slice(1, 1, 99), inputs: [x23] },
    {
      name: 'of a transposed tensor',
      f: (x) => x!.transpose([2, 0, 1]).slice(0, 1, 3).slice(2, 1).transpose([1, 2, 0]).exp(),
      inputs: [x234],
    },
    { name: 'select', f: (x) => x!.select(1, 2), inputs: [x234] },
    { name: 'select the last', f: (x) => x!.select(0, -1), inputs: [x234] },
    { name: 'flip', f: (x) => x!.flip(1), inputs: [x234] },
    { name: 'flip an empty axis', f: (x) => x!.flip(0), inputs: [normal([0, 2])] },
    { name: 'flip one element', f: (x) => x!.flip(0), inputs: [normal([1, 2])] },
    { name: 'of an empty axis', f: (x) => x!.slice(1, 0, 1), inputs: [normal([0, 2])] },
  ],
  pad: [
    {
      name: 'constant',
      f: (x) =>
        x!.pad(
          [
            [0, 1, 2],
            [-1, 0, 1],
          ],
          { value: 3 },
        ),
      inputs: [x23],
    },
    { name: 'zeros of an empty axis', f: (x) => x!.pad([[0, 1, 1]]), inputs: [normal([0, 2])] },
    { name: 'edge', f: (x) => x!.pad([[1, 2, 1]], { mode: 'edge' }), inputs: [x23] },
    { name: 'edge, one side', f: (x) => x!.pad([[0, 0, 3]], { mode: 'edge' }), inputs: [x23] },
    { name: 'edge, one element', f: (x) => x!.pad([[0, 2, 2]], { mode: 'edge' }), inputs: [normal([1])] },
    { name: 'reflect', f: (x) => x!.pad([[2, 2, 1]], { mode: 'reflect' }), inputs: [x234] },
    {
      name: 'reflect as far as it goes',
      f: (x) => x!.pad([[0, 3, 3]], { mode: 'reflect' }),
      inputs: [normal([4])],
    },
    {
      name: 'reflect two axes',
      f: (x) =>
        x!.pad(
          [
            [-1, 1, 1],
            [-2, 0, 2],
          ],
          { mode: 'reflect' },
        ),
      inputs: [normal([1, 3, 4])],
    },
    {
      name: 'of a transposed tensor',
      f: (x) =>
        x!
          .transpose([2, 0, 1])
          .pad([[1, 1, 2]])
          .transpose([1, 2, 0])
          .exp(),
      inputs: [x234],
    },
    {
      name: 'of a transposed tensor, two axes',
      f: (x) =>
        x!
          .transpose([0, 2, 1])
          .pad([
            [2, 0, 1],
            [0, 3, 0],
          ])
          .transpose([0, 2, 1]),
      inputs: [x234],
    },
    { name: 'dilate', f: (x) => dilate(x!, 1, 3), inputs: [x23] },
  ],
  triangle: [
    { name: 'lower', f: (x) => x!.tril(), inputs: [normal([3, 3])] },
    { name: 'lower, batched, above', f: (x) => x!.tril(1), inputs: [normal([2, 3, 4])] },
    { name: 'upper, below', f: (x) => x!.triu(-1), inputs: [normal([4, 3])] },
    { name: 'upper, far', f: (x) => x!.triu(9), inputs: [normal([2, 2])] },
    { name: 'empty', f: (x) => x!.tril(), inputs: [normal([0, 3])] },
  ],
};

export const forwardCases: Cases = {
  reshape: [{ name: 'int64', f: (x) => x!.reshape([6]), inputs: [integers([2, 3], 0, 9)] }],
  transpose: [
    { name: 'int32', f: (x) => x!.transpose(), inputs: [integers([2, 3], 0, 9, 'int32')] },
    { name: 'large, rows move', f: (x) => x!.transpose([2, 0, 1, 3]), inputs: [normal([31, 33, 17, 16])] },
    {
      name: 'large, rows of two axes move',
      f: (x) => x!.transpose([1, 0, 2, 3]),
      inputs: [normal([127, 65, 3, 11])],
    },
  ],
  split: [
    {
      name: 'of a large transposed array',
      f: (x) => split(x!.transpose([2, 0, 3, 1, 4]), [1, 2], 0),
      inputs: [normal([9, 40, 3, 16, 17])],
    },
    {
      name: 'of a large transposed array, an axis that stays',
      f: (x) => split(x!.transpose([1, 0, 2]), 2, 2),
      inputs: [normal([90, 91, 34])],
    },
  ],
  concat: [
    { name: 'int64', f: (a, b) => concat([a!, b!], 0), inputs: [integers([2], 0, 9), integers([3], 0, 9)] },
  ],
  slice: [
    { name: 'bools from a comparison', f: (x) => x!.greater(3).slice(0, 1), inputs: [integers([5], 0, 9)] },
  ],
  pad: [{ name: 'int64', f: (x) => x!.pad([[0, 1, 1]], { value: -1 }), inputs: [integers([2], 0, 9)] }],
};
