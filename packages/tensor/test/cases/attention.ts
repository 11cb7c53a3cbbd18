import { recomputedAttention } from '../../src/ops/attention.ts';
import { type Cases, normal } from './case.ts';

const attend: Cases[string][number]['f'] = (q, k, v) => recomputedAttention(q!, k!, v!);

export const gradientCases: Cases = {
  recomputedAttention: [
    {
      name: 'groups of heads',
      f: attend,
      inputs: [normal([2, 4, 3, 2], 1), normal([2, 2, 3, 2], 2), normal([2, 2, 3, 3], 3)],
    },
    {
      name: 'more keys than queries',
      f: attend,
      inputs: [normal([1, 2, 3], 1), normal([1, 5, 3], 2), normal([1, 5, 3], 3)],
    },
  ],
};

export const forwardCases: Cases = {};
