/** Reductions. */

import { build, eachIndex, offsetOf, sizeOf } from './dense.ts';
import { register } from './registry.ts';

function reduction(
  name: string,
  first: number,
  combine: (a: number, b: number) => number,
  finish = (x: number, _: number) => x,
) {
  register(name, ([x], attributes) => {
    const { axes, keepDims } = attributes as { axes: number[]; keepDims: boolean };
    const wide = x!.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const out = build(wide, () => first);
    eachIndex(x!.shape, (index, offset) => {
      const to = offsetOf(
        wide,
        index.map((at, axis) => (axes.includes(axis) ? 0 : at)),
      );
      out.data[to] = combine(out.data[to]!, x!.data[offset]!);
    });
    const count = sizeOf(axes.map((axis) => x!.shape[axis]!));
    const shape = keepDims ? wide : x!.shape.filter((_, axis) => !axes.includes(axis));
    return { shape, data: out.data.map((value) => finish(value, count)) };
  });
}

reduction('sum', 0, (a, b) => a + b);
reduction(
  'mean',
  0,
  (a, b) => a + b,
  (total, count) => total / count,
);
reduction('max', Number.NEGATIVE_INFINITY, Math.max);
reduction('min', Number.POSITIVE_INFINITY, Math.min);
