import { gelu, leakyRelu, relu, silu, softplus } from '../../src/ops/activation.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, type Cases, distinct, values } from './case.ts';

/** No element near 0, where some of them have a corner. */
function shapes(f: (x: Tensor) => Tensor): Case[] {
  return [
    { name: 'matrix', f: (x) => f(x!), inputs: [distinct([4, 6], 0.25)], secondOrder: true },
    { name: 'scalar', f: (x) => f(x!), inputs: [values([0.75], [])] },
    { name: 'empty', f: (x) => f(x!), inputs: [distinct([0, 2])] },
    { name: 'transposed', f: (x) => f(x!.transpose()), inputs: [distinct([3, 5])] },
    { name: 'odd length, vectorised', f: (x) => f(x!), inputs: [distinct([37], 0.25)] },
  ];
}

export const gradientCases: Cases = {
  relu: shapes(relu),
  leakyRelu: [
    ...shapes((x) => leakyRelu(x)),
    { name: 'steep', f: (x) => leakyRelu(x!, 0.3), inputs: [distinct([5])] },
  ],
  softplus: shapes(softplus),
  silu: shapes(silu),
  gelu: shapes((x) => gelu(x)),
  geluTanh: shapes((x) => gelu(x, 'tanh')),
};

const far = values([-90, -20, -1e-3, 0, 1e-3, 20, 90]);

export const forwardCases: Cases = {
  relu: [{ name: 'far out and at zero', f: (x) => relu(x!), inputs: [far] }],
  leakyRelu: [{ name: 'far out and at zero', f: (x) => leakyRelu(x!), inputs: [far] }],
  softplus: [{ name: 'far out and at zero', f: (x) => softplus(x!), inputs: [far] }],
  silu: [{ name: 'far out and at zero', f: (x) => silu(x!), inputs: [far] }],
  gelu: [{ name: 'far out and at zero', f: (x) => gelu(x!), inputs: [far] }],
  geluTanh: [{ name: 'far out and at zero', f: (x) => gelu(x!, 'tanh'), inputs: [far] }],
};
