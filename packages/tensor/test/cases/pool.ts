import {
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  globalAveragePool,
  maxPool,
} from '../../src/ops/pool.ts';
import { type Cases, distinct, normal, values } from './case.ts';

const ties = values([1, 1, 0, 0, 1, 1, 0, 0, 2, 3, 3, 2, 3, 3, 2, 2], [1, 1, 4, 4]);

export const gradientCases: Cases = {
  maxPool: [
    { name: '2×2', f: (x) => maxPool(x!, 2), inputs: [distinct([2, 2, 4, 6])], secondOrder: true },
    {
      name: 'overlapping, padded',
      f: (x) => maxPool(x!, 3, { stride: 2, padding: 1 }),
      inputs: [distinct([1, 2, 5, 6])],
      secondOrder: true,
    },
    { name: 'a remainder is left out', f: (x) => maxPool(x!, [2, 3]), inputs: [distinct([1, 1, 5, 7])] },
    {
      name: 'dilated',
      f: (x) => maxPool(x!, 2, { stride: 1, dilation: [2, 1] }),
      inputs: [distinct([1, 1, 4, 3])],
    },
    {
      name: 'one spatial axis',
      f: (x) => maxPool(x!, 3, { stride: 2, padding: 1 }),
      inputs: [distinct([2, 2, 6])],
    },
    {
      name: 'all negative with padding',
      f: (x) => maxPool(x!.sub(100), 2, { padding: 1 }),
      inputs: [distinct([1, 1, 3, 3])],
    },
    {
      name: 'adaptive with whole bins',
      f: (x) => adaptiveMaxPool(x!, [2, 3]),
      inputs: [distinct([1, 2, 4, 6])],
    },
    { name: 'size 1', f: (x) => maxPool(x!, 1), inputs: [distinct([1, 1, 1, 1])] },
  ],
  averagePool: [
    { name: '2×2', f: (x) => averagePool(x!, 2), inputs: [normal([2, 2, 4, 6])], secondOrder: true },
    {
      name: 'overlapping, padding counted',
      f: (x) => averagePool(x!, 3, { stride: 2, padding: 1 }),
      inputs: [normal([1, 2, 5, 6])],
      secondOrder: true,
    },
    {
      name: 'overlapping, padding not counted',
      f: (x) => averagePool(x!, 3, { stride: 1, padding: 1, countIncludePad: false }),
      inputs: [normal([1, 2, 3, 4])],
    },
    { name: 'a remainder is left out', f: (x) => averagePool(x!, 2), inputs: [normal([1, 1, 5, 3])] },
    { name: 'one spatial axis', f: (x) => averagePool(x!, 2), inputs: [normal([2, 2, 7])] },
    {
      name: 'adaptive with whole bins',
      f: (x) => adaptiveAveragePool(x!, [2, 3]),
      inputs: [normal([1, 2, 4, 6])],
    },
  ],
};

export const forwardCases: Cases = {
  maxPool: [{ name: 'ties', f: (x) => maxPool(x!, 2), inputs: [ties] }],
  mean: [
    { name: 'global average pooling', f: (x) => globalAveragePool(x!), inputs: [normal([2, 3, 4, 5])] },
    { name: 'adaptive to one bin', f: (x) => adaptiveAveragePool(x!, 1), inputs: [normal([2, 3, 5])] },
  ],
};
