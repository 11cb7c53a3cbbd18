import {
  normal as drawNormal,
  uniform as drawUniform,
  dropout,
  randomInteger,
} from '../../src/ops/random.ts';
import { type Cases, normal, values } from './case.ts';

const seed = (value: number) => values([value], [], 'int64');

/** None: what is random is not differentiable, and dropout is a product with a mask. */
export const gradientCases: Cases = {};

export const forwardCases: Cases = {
  randomKey: [
    { name: 'int64 scalar', f: (s) => drawUniform([9], s!), inputs: [seed(2 ** 40 + 12345)] },
    { name: 'negative', f: (s) => drawUniform([9], s!), inputs: [seed(-7)] },
    { name: 'int32 scalar', f: (s) => drawUniform([9], s!), inputs: [values([-7], [], 'int32')] },
    { name: 'two words', f: (s) => drawUniform([9], s!), inputs: [values([17, 4000000000], [2], 'uint32')] },
    { name: 'two int64 words', f: (s) => drawUniform([9], s!), inputs: [values([17, -1], [2], 'int64')] },
  ],
  randomUniform: [
    { name: 'matrix', f: (s) => drawUniform([3, 50], s!, { stream: 3 }), inputs: [seed(1)], tolerance: 0 },
    {
      name: 'seed known while tracing',
      f: () => drawUniform([40], -(2 ** 45) + 3),
      inputs: [],
      tolerance: 0,
    },
    { name: 'scalar', f: (s) => drawUniform([], s!), inputs: [seed(0)], tolerance: 0 },
    { name: 'empty', f: (s) => drawUniform([2, 0], s!), inputs: [seed(0)] },
    // Box and Muller's cosine is as exact as the GPU's
    {
      name: 'normal, odd count',
      providerTolerance: 2e-3,
      f: (s) => drawNormal([3, 5], s!, { mean: 2, std: 3 }),
      inputs: [seed(9)],
    },
    { name: 'integers', f: (s) => randomInteger([60], -3, 4, s!), inputs: [seed(9)], tolerance: 0 },
  ],
  randomMask: [
    { name: 'dropout', f: (x, s) => dropout(x!, 0.3, s!, { stream: 2 }), inputs: [normal([4, 25]), seed(5)] },
    { name: 'drop all', f: (x, s) => dropout(x!, 1, s!), inputs: [normal([4]), seed(5)] },
  ],
};
