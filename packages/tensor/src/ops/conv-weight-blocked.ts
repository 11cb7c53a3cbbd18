/**
 * Shifted copies of a convolution's input for its weight gradient, from a value in ONNX Runtime's blocked layout
 * [N, C / b, H, W, b], which the convolutions around it have it in: the b channels of a place are a row, and a shifted
 * or strided copy is rows read from other places, with all threads.
 */

import { type DType, ndarray } from '../array.ts';
import type { Lowering } from '../operator.ts';
import type { Tensor } from '../tensor.ts';

/** Which copies of an image [N, C, H, W] are wanted. */
export interface Copies {
  /** Rows and columns of a copy. */
  readonly places: readonly [number, number];
  readonly count: number;
  /** The row and column of the image that a copy has at a place; zeros where there is none. */
  readonly at: (row: number, column: number, copy: number) => readonly [number, number];
  /** Says all that `at` depends on. */
  readonly key: string;
}

/** Whether x can be read by rows: two spatial axes, and channels that fill blocks. */
export function fillsBlocks(onnx: Lowering, x: Tensor): boolean {
  const block = onnx.channelBlock;
  if (block === undefined || x.rank !== 4 || x.dtype !== 'float32') return false;
  return x.shape.every((dim) => typeof dim === 'number' && dim > 0) && x.size(1) % block === 0;
}

/** Images from one number to another (exclusive). */
export type Part = readonly [from: number, to: number];

/** Bytes of copies that a part may come to: what is made of it should still be in the caches when it is multiplied. */
const partBytes = 2 ** 22;

/** So many images in even parts, when the copies of one are of so many numbers. */
export function partsOf(images: number, numbers: number): readonly Part[] {
  const count = Math.min(images, Math.ceil((4 * images * numbers) / partBytes));
  const size = Math.ceil(images / count);
  return Array.from({ length: Math.ceil(images / size) }, (_, i) => [
    i * size,
    Math.min(images, (i + 1) * size),
  ]);
}

/** For each place the channels of all copies there: [images, places, copies · C] of each part. */
export function copiesByPlace(
  onnx: Lowering,
  x: string,
  { shape }: Tensor,
  copies: Copies,
  parts: readonly Part[] = [[0, shape[0] as number]],
): readonly string[] {
  const block = onnx.channelBlock!;
  const [n, channels, height, width] = shape as [number, number, number, number];
  const count = (n * channels * height * width) / block;
  const blocked = onnx.emit('ReorderInput', [x], {}, 'com.microsoft.nchwc');
  const rows = onnx.emit('Reshape', [blocked, onnx.ints([count, block])]);
  const withZeros = onnx.emit('Concat', [rows, zerosOf(onnx, 'float32', [1, block])], { axis: { int: 0 } });
  const [high, wide] = copies.places;
  return parts.map((part) => {
    const sources = onnx.table(`places ${[shape, high, wide, copies.count, copies.key, part]}`, () =>
      sourcesOf(shape as number[], block, copies, part),
    );
    const moved = onnx.emit('Gather', [withZeros, sources], { axis: { int: 0 } });
    return onnx.emit('Reshape', [
      moved,
      onnx.ints([part[1] - part[0], high * wide, copies.count * channels]),
    ]);
  });
}

/** Zeros to join to a long array: ONNX Runtime copies with all threads in Concat, with one in Pad. */
export function zerosOf(onnx: Lowering, dtype: DType, shape: readonly number[]): string {
  const size = shape.reduce((a, b) => a * b, 1);
  return onnx.table(`zeros ${[dtype, shape]}`, () => ndarray(Array(size).fill(0), shape, dtype));
}

/** For each picture, place, copy and block the row of the blocked value, or the one behind the last for zeros. */
function sourcesOf(shape: readonly number[], block: number, { places, count, at }: Copies, [from, to]: Part) {
  const [n, channels, height, width] = shape as [number, number, number, number];
  const blocks = channels / block;
  const outside = n * blocks * height * width;
  const sources = new Int32Array((to - from) * places[0] * places[1] * count * blocks);
  let next = 0;
  for (let image = from; image < to; image++) {
    for (let h = 0; h < places[0]; h++) {
      for (let w = 0; w < places[1]; w++) {
        for (let copy = 0; copy < count; copy++) {
          const [row, column] = at(h, w, copy);
          const inside = row >= 0 && row < height && column >= 0 && column < width;
          for (let b = 0; b < blocks; b++)
            sources[next++] = inside ? ((image * blocks + b) * height + row) * width + column : outside;
        }
      }
    }
  }
  return ndarray(sources, [sources.length], 'int32');
}
