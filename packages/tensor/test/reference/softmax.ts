/** Softmax and its logarithm. */

import { at, build, replaced } from './dense.ts';
import { register } from './registry.ts';

function along(name: string, f: (value: number, logSum: number) => number): void {
  register(name, ([x], attributes) => {
    const axis = attributes.axis as number;
    return build(x!.shape, (index, offset) => {
      const line = Array.from({ length: x!.shape[axis]! }, (_, i) => at(x!, replaced(index, axis, i)));
      const largest = Math.max(...line);
      const total = line.reduce((sum, value) => sum + Math.exp(value - largest), 0);
      return f(x!.data[offset]!, largest + Math.log(total));
    });
  });
}

along('softmax', (value, logSum) => Math.exp(value - logSum));
along('logSoftmax', (value, logSum) => value - logSum);
