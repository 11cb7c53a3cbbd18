import { batchNorm, batchNormTraining, groupNorm, layerNorm, rmsNorm } from '../../src/ops/normalization.ts';
import { type Cases, normal, uniform } from './case.ts';

export const gradientCases: Cases = {
  layerNorm: [
    {
      name: 'scale and bias',
      f: (x, s, b) => layerNorm(x!, s!, b!),
      inputs: [normal([2, 5], 1), normal([5], 2), normal([5], 3)],
      secondOrder: true,
    },
    { name: 'plain', f: (x) => layerNorm(x!), inputs: [normal([3, 4], 1)], secondOrder: true },
    {
      name: 'three axes, scale alone',
      f: (x, s) => layerNorm(x!, s!),
      inputs: [normal([2, 2, 4], 1), normal([4], 2)],
    },
    { name: 'vector', f: (x) => layerNorm(x!), inputs: [normal([6], 1)] },
    {
      name: 'large epsilon',
      f: (x) => layerNorm(x!, undefined, undefined, 0.5),
      inputs: [normal([2, 4], 1)],
      secondOrder: true,
    },
    {
      name: 'an axis of size 1',
      f: (x, s, b) => layerNorm(x!, s!, b!, 1),
      inputs: [normal([3, 1], 1), normal([1], 2), normal([1], 3)],
    },
    { name: 'transposed', f: (x) => layerNorm(x!.transpose()), inputs: [normal([5, 2], 1)] },
    {
      name: 'no rows',
      f: (x, s, b) => layerNorm(x!, s!, b!),
      inputs: [normal([0, 3], 1), normal([3], 2), normal([3], 3)],
    },
    {
      name: 'groupNorm',
      f: (x, s, b) => groupNorm(x!, 2, s!, b!),
      inputs: [normal([2, 4, 3], 1), normal([4], 2), normal([4], 3)],
    },
    {
      name: 'groupNorm of images, no affine',
      f: (x) => groupNorm(x!, 3),
      inputs: [normal([1, 3, 2, 2], 1)],
      secondOrder: true,
    },
  ],
  rmsNorm: [
    {
      name: 'scale',
      f: (x, s) => rmsNorm(x!, s!),
      inputs: [normal([2, 4], 1), normal([4], 2)],
      secondOrder: true,
    },
    { name: 'no scale', f: (x) => rmsNorm(x!, undefined, 1e-3), inputs: [normal([2, 2, 3], 1)] },
    { name: 'vector', f: (x, s) => rmsNorm(x!, s!), inputs: [normal([6], 1), normal([6], 2)] },
    { name: 'no rows', f: (x, s) => rmsNorm(x!, s!), inputs: [normal([0, 3], 1), normal([3], 2)] },
  ],
  batchNorm: [
    {
      name: 'images',
      f: (x, s, b, m, v) => batchNorm(x!, s!, b!, m!, v!),
      inputs: [
        normal([2, 3, 2, 2], 1),
        normal([3], 2),
        normal([3], 3),
        normal([3], 4),
        uniform([3], 0.5, 2, 5),
      ],
      secondOrder: true,
    },
    {
      name: 'rows, large epsilon',
      f: (x, s, b, m, v) => batchNorm(x!, s!, b!, m!, v!, 0.1),
      inputs: [normal([3, 2], 1), normal([2], 2), normal([2], 3), normal([2], 4), uniform([2], 0.5, 2, 5)],
    },
    {
      name: 'no rows',
      f: (x, s, b, m, v) => batchNorm(x!, s!, b!, m!, v!),
      inputs: [normal([0, 2], 1), normal([2], 2), normal([2], 3), normal([2], 4), uniform([2], 0.5, 2, 5)],
    },
  ],
  batchNormTraining: [
    {
      name: 'output',
      f: (x, s, b) => batchNormTraining(x!, s!, b!).output,
      inputs: [normal([3, 2, 2, 2], 1), normal([2], 2), normal([2], 3)],
      secondOrder: true,
    },
    {
      name: 'output and statistics',
      f: (x, s, b) => {
        const { output, mean, variance } = batchNormTraining(x!, s!, b!, 0.01);
        return [output, mean, variance];
      },
      inputs: [normal([4, 3, 2], 1), normal([3], 2), normal([3], 3)],
      secondOrder: true,
    },
    {
      name: 'statistics alone',
      f: (x, s, b) => {
        const { mean, variance } = batchNormTraining(x!, s!, b!);
        return [mean, variance];
      },
      inputs: [normal([4, 3], 1), normal([3], 2), normal([3], 3)],
    },
    {
      name: 'twice, with one scale',
      f: (x, s, b) => batchNormTraining(batchNormTraining(x!, s!, b!).output, s!, b!).output,
      inputs: [normal([4, 2, 2], 1), normal([2], 2), normal([2], 3)],
    },
  ],
};

export const forwardCases: Cases = {
  layerNorm: [
    {
      name: 'far from zero',
      f: (x) => layerNorm(x!),
      inputs: [uniform([2, 64], 100, 101, 1)],
      tolerance: 1e-3,
      providerTolerance: 2e-2,
    },
  ],
};
