import { linear, matmul } from '../../src/ops/matmul.ts';
import type { Tensor } from '../../src/tensor.ts';
import { type Case, type Cases, normal } from './case.ts';

function product(
  name: string,
  a: readonly number[],
  b: readonly number[],
  f = (x: Tensor, y: Tensor) => matmul(x, y),
): Case {
  return { name, f: (x, y) => f(x!, y!), inputs: [normal(a, 1), normal(b, 2)], secondOrder: true };
}

export const gradientCases: Cases = {
  matmul: [
    product('matrices', [2, 3], [3, 4]),
    product('batched', [2, 2, 3], [2, 3, 2]),
    product('batch of matrices by one matrix', [2, 3, 2], [2, 3]),
    product('one matrix by a batch', [2, 3], [2, 3, 2]),
    product('batches that broadcast both ways', [2, 1, 2, 3], [3, 3, 2]),
    product('size-1 axes', [1, 1], [1, 1]),
    product('rows', [1, 4], [4, 1]),
    product('left transposed', [3, 2], [3, 4], (a, b) => a.transpose().matmul(b)),
    product('right transposed', [2, 3], [4, 3], (a, b) => a.matmul(b.transpose())),
    product('both transposed', [3, 2], [4, 3], (a, b) => a.transpose().matmul(b.transpose())),
    product('batched, left transposed', [2, 3, 2], [2, 3, 2], (a, b) => a.transpose().matmul(b)),
    product('batched, right transposed', [2, 2, 3], [2, 2, 3], (a, b) => a.matmul(b.transpose())),
    product('batched, both transposed', [2, 3, 2], [2, 2, 3], (a, b) => a.transpose().matmul(b.transpose())),
    product('batch by one matrix, right transposed', [2, 3, 2], [3, 2], (a, b) => a.matmul(b.transpose())),
    product('batch by one matrix, left transposed', [2, 3, 2], [3, 2], (a, b) => a.transpose().matmul(b)),
    product('batch by one matrix, both transposed', [2, 3, 2], [2, 3], (a, b) =>
      a.transpose().matmul(b.transpose()),
    ),
    product('one matrix by a batch, both transposed', [3, 2], [2, 4, 3], (a, b) =>
      a.transpose().matmul(b.transpose()),
    ),
    product('broadcast batch, right transposed', [2, 1, 2, 3], [2, 2, 3], (a, b) => a.matmul(b.transpose())),
    product('heads, as attention makes them', [2, 3, 4], [2, 3, 4], (q, k) => {
      const heads = (x: Tensor) => x.reshape([2, 3, 2, 2]).transpose([0, 2, 1, 3]);
      return heads(q).matmul(heads(k).transpose());
    }),
    product('a permutation that is no plain transpose', [2, 3, 2], [2, 2, 3], (a, b) =>
      a.transpose([1, 0, 2]).matmul(b.transpose([1, 0, 2]).transpose([1, 0, 2]).slice(0, 0, 1)),
    ),
    product('strided', [4, 3], [3, 4], (a, b) =>
      a.slice(0, 0, undefined, 2).matmul(b.slice(1, 1, undefined, 2)),
    ),
    product('the inner axis is empty', [2, 0], [0, 3], (a, b) => a.matmul(b).add(1)),
    product('batched, the inner axis is empty', [2, 2, 0], [3, 0], (a, b) => a.matmul(b.transpose()).add(1)),
    product('no rows', [0, 3], [3, 2]),
    product('an empty batch', [0, 2, 3], [3, 2]),
    { name: 'a tensor with itself', f: (x) => x!.matmul(x!), inputs: [normal([3, 3])], secondOrder: true },
    {
      name: 'a tensor with its transpose',
      f: (x) => x!.matmul(x!.transpose()),
      inputs: [normal([2, 3])],
      secondOrder: true,
    },
    {
      name: 'linear',
      f: (x, w, b) => linear(x!, w!, b!),
      inputs: [normal([2, 3]), normal([4, 3], 2), normal([4], 3)],
      secondOrder: true,
    },
    {
      name: 'linear of a batch',
      f: (x, w, b) => linear(x!, w!, b!),
      inputs: [normal([2, 2, 3]), normal([4, 3], 2), normal([4], 3)],
      secondOrder: true,
    },
    {
      name: 'linear of a vector',
      f: (x, w, b) => linear(x!, w!, b!),
      inputs: [normal([3]), normal([4, 3], 2), normal([4], 3)],
    },
    {
      name: 'linear without bias',
      f: (x, w) => linear(x!, w!),
      inputs: [normal([2, 2, 3]), normal([4, 3], 2)],
    },
    {
      name: 'linear of nothing',
      f: (x, w, b) => linear(x!, w!, b!),
      inputs: [normal([0, 2, 3]), normal([4, 3], 2), normal([4], 3)],
    },
  ],
};

export const forwardCases: Cases = {};
