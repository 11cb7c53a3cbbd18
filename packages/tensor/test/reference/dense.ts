/** Helpers for reference evaluators. They are written to be obviously right, not fast. */

import type { Dense } from './registry.ts';

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

export function dense(shape: readonly number[], data: ArrayLike<number>): Dense {
  if (data.length !== sizeOf(shape)) throw new RangeError(`[${shape}] does not hold ${data.length} elements`);
  return { shape, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

/** Where the element of this index lies. */
export function offsetOf(shape: readonly number[], index: readonly number[]): number {
  let offset = 0;
  for (let i = 0; i < shape.length; i++) offset = offset * shape[i]! + index[i]!;
  return offset;
}

export function at(x: Dense, index: readonly number[]): number {
  return x.data[offsetOf(x.shape, index)]!;
}

/** Calls `visit` with every index in row-major order; the array is reused between calls. */
export function eachIndex(shape: readonly number[], visit: (index: number[], offset: number) => void): void {
  const size = sizeOf(shape);
  const index = shape.map(() => 0);
  for (let offset = 0; offset < size; offset++) {
    visit(index, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** An array whose element at each index is what `value` gives; the index array is reused between calls. */
export function build(shape: readonly number[], value: (index: number[], offset: number) => number): Dense {
  const data = new Float64Array(sizeOf(shape));
  eachIndex(shape, (index, offset) => {
    data[offset] = value(index, offset);
  });
  return { shape, data };
}

/** The shape that NumPy's rule gives. */
export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape[shape.length - rank + i] ?? 1).filter((dim) => dim !== 1);
    if (new Set(dims).size > 1) throw new RangeError(`${shapes.map((s) => `[${s}]`)} do not broadcast`);
    return dims[0] ?? 1;
  });
}

/** The element that broadcasting puts at an index of the larger shape. */
export function broadcastAt(x: Dense, index: readonly number[]): number {
  const added = index.length - x.shape.length;
  return at(
    x,
    x.shape.map((dim, i) => (dim === 1 ? 0 : index[added + i]!)),
  );
}

/** A copy of `index` with one entry changed. */
export function replaced(index: readonly number[], axis: number, value: number): number[] {
  const out = [...index];
  out[axis] = value;
  return out;
}
