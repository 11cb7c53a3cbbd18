/**
 * Transposes that leave the last axes in place move whole rows. ONNX Runtime's Gather moves them with all threads, its
 * Transpose with one.
 */

import { ndarray, sizeOf } from '../array.ts';
import type { Lowering } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import type { Tensor } from '../tensor.ts';

/** A part of a transposed array: `size` places of `axis` from `start` on. */
export interface Part {
  readonly axis: number;
  readonly start: number;
  readonly size: number;
}

/** Bytes of a row below which copying rows one by one is slower, and of an array below which one thread is enough. */
const [leastRow, leastArray] = [64, 2 ** 20];

/** `x` in another order of its axes, or a part of that, where it is rows of a large array that move. */
export function lowerRowOrder(
  onnx: Lowering,
  name: string,
  x: Tensor,
  permutation: readonly number[],
  part?: Part,
): string | undefined {
  if (!isOnProcessor(onnx.provider)) return undefined;
  if (x.dtype !== 'float32' || !x.shape.every((dim) => typeof dim === 'number')) return undefined;
  const shape = x.shape as readonly number[];
  let outer = permutation.length;
  while (outer > 0 && permutation[outer - 1] === outer - 1) outer--;
  const row = sizeOf(shape.slice(outer));
  if (4 * row < leastRow || 4 * sizeOf(shape) < leastArray || (part && part.axis >= outer)) return undefined;

  const dims = permutation.map((axis) => shape[axis]!);
  if (part) dims[part.axis] = part.size;
  const key = `rows ${shape.slice(0, outer)} by ${permutation.slice(0, outer)} ${Object.values(part ?? {})}`;
  const rows = onnx.table(key, () => {
    const strides = shape.slice(0, outer).map((_, axis) => sizeOf(shape.slice(axis + 1, outer)));
    let places = [part ? part.start * strides[permutation[part.axis]!]! : 0];
    for (let axis = 0; axis < outer; axis++) {
      const stride = strides[permutation[axis]!]!;
      places = places.flatMap((place) => Array.from({ length: dims[axis]! }, (_, i) => place + i * stride));
    }
    return ndarray(places, dims.slice(0, outer), 'int32');
  });
  const matrix = onnx.emit('Reshape', [name, onnx.ints([sizeOf(shape.slice(0, outer)), row])]);
  const moved = onnx.emit('Gather', [matrix, rows], { axis: { int: 0 } });
  return outer === shape.length - 1 ? moved : onnx.emit('Reshape', [moved, onnx.ints(dims)]);
}
