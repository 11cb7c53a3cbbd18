import {
  argMax,
  argMin,
  cumSum,
  gather,
  nonZero,
  oneHot,
  scatterAdd,
  scatterAddRows,
  sort,
  takeAlongAxis,
  topK,
} from '../../src/ops/indexing.ts';
import { type Cases, distinct, integers, normal, values } from './case.ts';

const indices = (data: readonly number[], shape?: readonly number[]) => values(data, shape, 'int64');

export const gradientCases: Cases = {
  gather: [
    {
      name: 'embedding with repeated rows',
      f: (x, i) => gather(x!, i!),
      inputs: [normal([5, 3]), indices([4, 0, 4, 4, 1, 0], [2, 3])],
      secondOrder: true,
    },
    {
      name: 'last axis, int32, from the end',
      f: (x, i) => gather(x!, i!, -1),
      inputs: [normal([2, 3, 4]), values([-1, 0, 2], [3], 'int32')],
    },
    {
      name: 'middle axis, matrix of indices',
      f: (x, i) => gather(x!, i!, 1),
      inputs: [normal([2, 3, 2]), indices([2, 0, 1, 1], [2, 2])],
    },
    { name: 'scalar index', f: (x, i) => gather(x!, i!, 0), inputs: [normal([4, 2]), indices([3], [])] },
    {
      name: 'rows that the graph chooses, and back',
      f: (x, i) => {
        const rows = nonZero(i!.greaterEqual(0), 'm');
        return scatterAddRows(gather(x!, rows).mul(gather(x!, rows)), rows, 5);
      },
      inputs: [normal([5, 3]), indices([1, -1, 0, -2, 7])],
    },
    { name: 'no indices', f: (x, i) => gather(x!, i!), inputs: [normal([4, 2]), indices([], [0])] },
  ],
  scatterAddRows: [
    {
      name: 'rows of equal index add up',
      f: (u, i) => scatterAddRows(u!, i!, 4),
      inputs: [normal([2, 3, 2]), indices([1, 1, 3, 1, 0, 3], [2, 3])],
      secondOrder: true,
    },
    {
      name: 'last axis',
      f: (u, i) => scatterAddRows(u!, i!, 3, -1),
      inputs: [normal([2, 4]), indices([2, 2, 0, -1])],
    },
    {
      name: 'middle axis',
      f: (u, i) => scatterAddRows(u!, i!, 3, 1),
      inputs: [normal([2, 4, 2]), values([2, 1, 1, 0], [4], 'int32')],
    },
    {
      name: 'nothing to add',
      f: (u, i) => scatterAddRows(u!, i!, 3),
      inputs: [normal([0, 2]), indices([], [0])],
    },
  ],
  takeAlongAxis: [
    {
      name: 'one of each row',
      f: (x, i) => takeAlongAxis(x!, i!),
      inputs: [normal([4, 5]), indices([0, 4, 2, 2], [4, 1])],
      secondOrder: true,
    },
    {
      name: 'several with repeats along a middle axis',
      f: (x, i) => takeAlongAxis(x!, i!, 1),
      inputs: [normal([2, 3, 2]), integers([2, 4, 2], -3, 3)],
    },
    { name: 'empty', f: (x, i) => takeAlongAxis(x!, i!), inputs: [normal([3, 5]), indices([], [3, 0])] },
  ],
  scatterAdd: [
    {
      name: 'repeated indices',
      f: (x, i, u) => scatterAdd(x!, i!, u!, 0),
      inputs: [normal([3, 2]), integers([5, 2], 0, 3), normal([5, 2], 2)],
      secondOrder: true,
    },
    {
      name: 'last axis of three',
      f: (x, i, u) => scatterAdd(x!, i!, u!),
      inputs: [normal([2, 2, 3]), integers([2, 2, 2], -3, 3), normal([2, 2, 2], 2)],
    },
  ],
  topK: [
    {
      name: 'largest of the last axis',
      f: (x) => topK(x!, 2).values,
      inputs: [distinct([3, 5])],
      secondOrder: true,
    },
    {
      name: 'smallest of the first axis',
      f: (x) => topK(x!, 2, 0, { largest: false }).values,
      inputs: [distinct([4, 2])],
    },
    { name: 'all: sorted', f: (x) => sort(x!, 1).values, inputs: [distinct([2, 5, 2])] },
    { name: 'none', f: (x) => topK(x!, 0).values, inputs: [distinct([2, 3])] },
  ],
  cumSum: [
    { name: 'last axis', f: (x) => cumSum(x!, -1), inputs: [normal([3, 4])], secondOrder: true },
    { name: 'from the end', f: (x) => cumSum(x!, 0, { reverse: true }), inputs: [normal([3, 2])] },
    {
      name: 'without the element itself',
      f: (x) => cumSum(x!, 1, { exclusive: true }),
      inputs: [normal([2, 3, 2])],
    },
    { name: 'both', f: (x) => cumSum(x!, 1, { reverse: true, exclusive: true }), inputs: [normal([2, 3])] },
    { name: 'size 1', f: (x) => cumSum(x!, 0, { exclusive: true }), inputs: [normal([1, 2])] },
  ],
};

const ties = values([1, 3, 3, 0, 3, 1, 1, 1, 1, 0, 0, 2], [3, 4]);

export const forwardCases: Cases = {
  nonZero: [
    { name: 'some', f: (x) => nonZero(x!.greater(0), 'm'), inputs: [values([1, 0, -1, 2, 3], [5])] },
    { name: 'none', f: (x) => nonZero(x!.greater(9), 'm'), inputs: [normal([4])] },
    { name: 'all', f: (x) => nonZero(x!.greater(-9), 'm'), inputs: [normal([4])] },
    { name: 'of nothing', f: (x) => nonZero(x!.greater(0), 'm'), inputs: [normal([0])] },
  ],
  argMax: [
    { name: 'ties give the first', f: (x) => argMax(x!), inputs: [ties] },
    { name: 'first axis, kept', f: (x) => argMax(x!, 0, { keepDims: true }), inputs: [ties] },
    { name: 'axis of size 1', f: (x) => argMax(x!, 1), inputs: [normal([3, 1, 2])] },
    { name: 'no rows', f: (x) => argMax(x!, 1), inputs: [normal([0, 3])] },
  ],
  argMin: [
    { name: 'ties give the first', f: (x) => argMin(x!), inputs: [ties] },
    { name: 'middle axis', f: (x) => argMin(x!, 1), inputs: [normal([2, 3, 4])] },
  ],
  topK: [
    { name: 'ties come in order, with indices', f: (x) => Object.values(topK(x!, 3)), inputs: [ties] },
    {
      name: 'descending sort with indices',
      f: (x) => Object.values(sort(x!, 0, { descending: true })),
      inputs: [ties],
    },
  ],
  equal: [
    { name: 'one-hot', f: (i) => oneHot(i!, 4), inputs: [indices([0, 3, 3, 1], [2, 2])] },
    {
      name: 'one-hot on the first axis',
      f: (i) => oneHot(i!, 3, { axis: 0 }),
      inputs: [values([2, 0], [2], 'int32')],
    },
    { name: 'one-hot of an index outside', f: (i) => oneHot(i!, 3), inputs: [indices([3, -1, 1])] },
  ],
};
