import { rotary } from '../../src/ops/rotary.ts';
import { type Case, type Cases, inexactOnGpu, normal, uniform } from './case.ts';

const turn: Cases[string][number]['f'] = (x, angles) => rotary(x!, angles!.cos(), angles!.sin());

const rotaryCases: readonly Case[] = [
  { name: 'batches', f: turn, inputs: [normal([2, 3, 2, 4], 1), uniform([3, 2], -3, 3, 2)] },
  {
    name: 'no batch',
    f: turn,
    inputs: [normal([3, 2, 6], 1), uniform([3, 3], -3, 3, 2)],
    secondOrder: true,
  },
  { name: 'no positions', f: turn, inputs: [normal([0, 2, 4], 1), uniform([0, 2], -3, 3, 2)] },
];

export const gradientCases: Cases = { rotary: rotaryCases.map(inexactOnGpu) };

export const forwardCases: Cases = {};
