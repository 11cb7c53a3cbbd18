/** Functions of rows, computed block by block so that what they make stays in the processor's caches. */

import { productOf } from '../dims.ts';
import { isOnProcessor, type Provider } from '../provider.ts';
import type { Tensor } from '../tensor.ts';
import { concat, split } from './shape.ts';

/** Bytes of what a function makes of a block of rows, and of all rows beyond which there are several blocks. */
const [blockBytes, mostBytes] = [2 ** 22, 2 ** 23];

let target: Provider | undefined;

/** Runs `body`, which traces a graph for `provider`. */
export function tracingFor<T>(provider: Provider, body: () => T): T {
  const outer = target;
  target = provider;
  try {
    return body();
  } finally {
    target = outer;
  }
}

/**
 * `f` of x [..., D], where f treats all rows alike and makes `width` numbers of each on its way, as a perceptron's
 * hidden layer has them. On a CPU many rows go through it in blocks of 4 MB, forwards and backwards: a wide array would
 * be written to memory and read back by every node. The result is the same. A graph that no device traces, or one of
 * free sizes, is one block.
 */
export function byRows(x: Tensor, width: number, f: (rows: Tensor) => Tensor): Tensor {
  const rows = productOf(x.shape.slice(0, -1));
  if (!isOnProcessor(target) || typeof rows !== 'number') return f(x);
  const bytes = 4 * rows * width;
  if (bytes <= mostBytes) return f(x);
  const size = 64 * Math.ceil(rows / Math.ceil(bytes / blockBytes) / 64);
  const sizes = Array.from({ length: Math.ceil(rows / size) }, (_, i) => Math.min(size, rows - i * size));
  const blocks = split(x.reshape([rows, x.dim(-1)]), sizes, 0).map(f);
  const joined = concat(blocks, 0);
  return joined.reshape([...x.shape.slice(0, -1), joined.dim(-1)]);
}
