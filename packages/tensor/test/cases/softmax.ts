import type { Tensor } from '../../src/tensor.ts';
import { type Case, type Cases, distinct, normal, values } from './case.ts';

function along(f: (x: Tensor, axis?: number) => Tensor): Case[] {
  return [
    { name: 'last axis', f: (x) => f(x!), inputs: [normal([2, 3])], secondOrder: true },
    { name: 'first axis', f: (x) => f(x!, 0), inputs: [normal([3, 2])], secondOrder: true },
    { name: 'middle axis, negative', f: (x) => f(x!, -2), inputs: [normal([2, 3, 2])], secondOrder: true },
    { name: 'vector', f: (x) => f(x!), inputs: [normal([4])], secondOrder: true },
    { name: 'an axis of size 1', f: (x) => f(x!, 1), inputs: [normal([2, 1])] },
    { name: 'transposed', f: (x) => f(x!.transpose()), inputs: [normal([3, 4])] },
    { name: 'strided', f: (x) => f(x!.slice(1, 0, undefined, 2)), inputs: [normal([2, 5])] },
    { name: 'an empty axis beside', f: (x) => f(x!, -1), inputs: [normal([0, 3])] },
  ];
}

export const gradientCases: Cases = {
  softmax: along((x, axis) => x.softmax(axis)),
  logSoftmax: along((x, axis) => x.logSoftmax(axis)),
  // logSumExp is made of other operators, with the maximum as a constant
  max: along((x, axis) => x.logSumExp(axis)).filter(({ name }) => name !== 'an axis of size 1'),
};

const far = values([1000, 0, -1000, 88, 89, 90], [2, 3]);

export const forwardCases: Cases = {
  softmax: [{ name: 'large numbers', f: (x) => x!.softmax(), inputs: [far] }],
  logSoftmax: [{ name: 'large numbers', f: (x) => x!.logSoftmax(), inputs: [far] }],
  max: [
    { name: 'logSumExp of large numbers', f: (x) => x!.logSumExp(-1, { keepDims: true }), inputs: [far] },
    { name: 'logSumExp along the first axis', f: (x) => x!.logSumExp(0), inputs: [distinct([3, 2])] },
  ],
};
