/** Operators that move elements. */

import type { Dim } from '../../src/dims.ts';
import { at, build, replaced } from './dense.ts';
import { type Dense, register } from './registry.ts';

register('reshape', ([x], { shape }, _, resolve) => ({
  shape: resolve.shape(shape as Dim[]),
  data: x!.data,
}));

register('transpose', ([x], attributes) => {
  const permutation = attributes.permutation as number[];
  return build(
    permutation.map((axis) => x!.shape[axis]!),
    (index) => {
      const from: number[] = [];
      permutation.forEach((axis, i) => {
        from[axis] = index[i]!;
      });
      return at(x!, from);
    },
  );
});

register('concat', (inputs, { axis: axisAttribute }) => {
  const axis = axisAttribute as number;
  const total = inputs.reduce((sum, x) => sum + x.shape[axis]!, 0);
  return build(replaced(inputs[0]!.shape, axis, total), (index) => {
    let position = index[axis]!;
    for (const x of inputs) {
      if (position < x.shape[axis]!) return at(x, replaced(index, axis, position));
      position -= x.shape[axis]!;
    }
    throw new RangeError('concat: no input holds the index');
  });
});

register('split', ([x], attributes, _, resolve) => {
  const axis = attributes.axis as number;
  let start = 0;
  return resolve.shape(attributes.sizes as Dim[]).map((size) => {
    const from = start;
    start += size;
    return build(replaced(x!.shape, axis, size), (index) =>
      at(x!, replaced(index, axis, index[axis]! + from)),
    );
  });
});

register('slice', ([x], attributes, _, resolve) => {
  const { axis, step } = attributes as { axis: number; step: number };
  const [start, size] = [resolve.dim(attributes.start as Dim), resolve.dim(attributes.size as Dim)];
  return build(replaced(x!.shape, axis, size), (index) =>
    at(x!, replaced(index, axis, start + step * index[axis]!)),
  );
});

register('pad', ([x], attributes, _, resolve): Dense => {
  const { axis, mode, value } = attributes as { axis: number; mode: string; value: number };
  const [before, after] = [resolve.dim(attributes.before as Dim), resolve.dim(attributes.after as Dim)];
  const size = x!.shape[axis]!;
  return build(replaced(x!.shape, axis, before + size + after), (index) => {
    let position = index[axis]! - before;
    if (mode === 'constant' && (position < 0 || position >= size)) return value;
    if (mode === 'edge') position = Math.min(Math.max(position, 0), size - 1);
    if (mode === 'reflect')
      position = position < 0 ? -position : position >= size ? 2 * (size - 1) - position : position;
    return at(x!, replaced(index, axis, position));
  });
});

register('triangle', ([x], attributes) => {
  const { upper, diagonal } = attributes as { upper: boolean; diagonal: number };
  return build(x!.shape, (index, offset) => {
    const above = index.at(-1)! - index.at(-2)!;
    return (upper ? above >= diagonal : above <= diagonal) ? x!.data[offset]! : 0;
  });
});
