import { gradients } from '../../src/autodiff.ts';
import { type ConvOptions, type ConvTransposeOptions, conv, convTranspose } from '../../src/ops/conv.ts';
import { type Case, type Cases, normal } from './case.ts';

type Setting<O> = readonly [name: string, x: readonly number[], w: readonly number[], options?: O];

const settings: readonly Setting<ConvOptions>[] = [
  ['1-D', [2, 2, 5], [3, 2, 3]],
  ['1-D, stride and padding', [2, 2, 7], [3, 2, 3], { stride: 2, padding: 1 }],
  ['1-D, asymmetric padding', [1, 2, 4], [2, 2, 3], { padding: [[2, 0]] }],
  ['1-D, dilation', [1, 2, 7], [2, 2, 3], { dilation: 2, padding: 2 }],
  ['1-D, as many groups as channels', [1, 3, 5], [3, 1, 3], { groups: 3, padding: 1 }],
  ['2-D', [2, 2, 4, 5], [3, 2, 3, 2]],
  ['2-D, same size', [2, 2, 4, 4], [3, 2, 3, 3], { padding: 1 }],
  ['2-D, one tap', [2, 3, 3, 3], [2, 3, 1, 1]],
  ['2-D, one tap with stride', [1, 2, 5, 4], [2, 2, 1, 1], { stride: 2 }],
  ['2-D, stride that leaves rows over', [1, 2, 6, 6], [2, 2, 3, 3], { stride: 2 }],
  ['2-D, stride and padding', [2, 2, 5, 6], [2, 2, 3, 3], { stride: [2, 3], padding: [1, 2] }],
  [
    '2-D, asymmetric padding',
    [1, 2, 3, 4],
    [2, 2, 2, 3],
    {
      padding: [
        [1, 0],
        [0, 2],
      ],
    },
  ],
  ['2-D, padding wider than the kernel', [1, 1, 3, 3], [2, 1, 2, 2], { padding: 3 }],
  [
    '2-D, dilation',
    [1, 2, 6, 5],
    [2, 2, 2, 2],
    {
      dilation: [3, 2],
      padding: [
        [1, 2],
        [0, 1],
      ],
    },
  ],
  ['2-D, groups', [2, 4, 3, 3], [6, 2, 2, 2], { groups: 2, padding: 1 }],
  ['2-D, depthwise with stride', [1, 3, 5, 5], [6, 1, 3, 3], { groups: 3, stride: 2, padding: 1 }],
  [
    '2-D, all at once',
    [1, 4, 7, 6],
    [2, 2, 2, 3],
    {
      groups: 2,
      stride: [2, 1],
      padding: [
        [1, 2],
        [0, 1],
      ],
      dilation: [2, 1],
    },
  ],
  ['2-D, size-1 axes', [1, 1, 1, 1], [1, 1, 1, 1]],
];

const transposedSettings: readonly Setting<ConvTransposeOptions>[] = [
  ['1-D', [2, 2, 4], [2, 3, 3]],
  ['1-D, stride', [1, 2, 4], [2, 2, 3], { stride: 2, padding: 1, outputPadding: 1 }],
  ['2-D', [1, 2, 3, 3], [2, 3, 2, 2]],
  ['2-D, doubling', [2, 2, 3, 3], [2, 2, 2, 2], { stride: 2 }],
  [
    '2-D, stride, padding, output padding',
    [1, 2, 3, 4],
    [2, 2, 3, 3],
    { stride: 2, padding: 1, outputPadding: 1 },
  ],
  [
    '2-D, asymmetric padding',
    [1, 2, 3, 3],
    [2, 2, 3, 3],
    {
      stride: [2, 1],
      padding: [
        [1, 0],
        [0, 2],
      ],
    },
  ],
  ['2-D, dilation', [1, 2, 3, 3], [2, 2, 2, 2], { dilation: 2, padding: 1 }],
  ['2-D, padding wider than the kernel', [1, 1, 6, 6], [1, 2, 2, 2], { padding: 2 }],
  ['2-D, groups', [1, 4, 3, 3], [4, 2, 2, 2], { groups: 2, stride: 2 }],
];

const convCases = settings.map(
  ([name, x, w, options]): Case => ({
    name,
    f: (a, b) => conv(a!, b!, undefined, options),
    inputs: [normal(x, 1), normal(w, 2)],
    secondOrder: true,
  }),
);

export const gradientCases: Cases = {
  conv: [
    ...convCases,
    {
      name: 'bias',
      f: (x, w, b) => conv(x!, w!, b!, { padding: 1 }),
      inputs: [normal([2, 2, 3, 3], 1), normal([3, 2, 3, 3], 2), normal([3], 3)],
      secondOrder: true,
    },
    {
      name: '1-D bias',
      f: (x, w, b) => conv(x!, w!, b!),
      inputs: [normal([2, 2, 3], 1), normal([3, 2, 3], 2), normal([3], 3)],
    },
    {
      name: 'strided input',
      f: (x, w) => conv(x!.slice(2, 0, undefined, 2), w!),
      inputs: [normal([1, 2, 5, 3], 1), normal([2, 2, 2, 2], 2)],
    },
  ],
  convTranspose: [
    ...transposedSettings.map(
      ([name, x, w, options]): Case => ({
        name,
        f: (a, b) => convTranspose(a!, b!, undefined, options),
        inputs: [normal(x, 1), normal(w, 2)],
        secondOrder: true,
      }),
    ),
    {
      name: 'bias',
      f: (x, w, b) => convTranspose(x!, w!, b!, { stride: 2 }),
      inputs: [normal([1, 2, 3, 3], 1), normal([2, 3, 2, 2], 2), normal([3], 3)],
    },
  ],
  // the gradient of conv for its weight, itself differentiated
  convWeight: settings.map(([name, x, w, options]): Case => {
    const y = outputShape(x, w, options);
    return {
      name,
      f: (a, b, g) => gradients(conv(a!, b!, undefined, options), [b!], g!)[0]!.mul(b!),
      inputs: [normal(x, 1), normal(w, 2), normal(y, 3)],
    };
  }),
};

function outputShape(
  x: readonly number[],
  w: readonly number[],
  { stride = 1, padding = 0, dilation = 1 }: ConvOptions = {},
): number[] {
  const spatial = x.slice(2).map((size, i) => {
    const pick = (value: number | readonly number[]): number =>
      typeof value === 'number' ? value : value[i]!;
    const both = typeof padding === 'number' ? padding : padding[i]!;
    const pads = typeof both === 'number' ? 2 * both : both[0] + both[1];
    return Math.floor((size + pads - pick(dilation) * (w[i + 2]! - 1) - 1) / pick(stride)) + 1;
  });
  return [x[0]!, w[0]!, ...spatial];
}

export const forwardCases: Cases = {
  conv: [
    {
      name: 'many channels, vectorised',
      f: (x, w) => conv(x!, w!, undefined, { padding: 1 }),
      inputs: [normal([1, 9, 5, 5], 1), normal([17, 9, 3, 3], 2)],
      tolerance: 2e-5,
    },
  ],
};
