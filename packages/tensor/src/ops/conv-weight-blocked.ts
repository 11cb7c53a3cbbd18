/**
 * Shifted copies of a convolution's input for its weight gradient, from a value in ONNX Runtime's blocked layout
 * [N, C / b, H, W, b], which the convolutions around it have it in: the b channels of a place are a row, and a shifted
 * or strided copy is rows read from other places, with all threads.
 */

import { ndarray } from '../array.ts';
import type { Lowering } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { type Part, productsOf, rowCopies, weightOfProducts, zerosOf } from './conv-weight-parts.ts';

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

/** Bytes of copies that a part may come to: what is made of it should still be in the caches when it is multiplied. */
const partBytes = 2 ** 22;
/** Places that one product sums over at least: with fewer, writing and adding up the products takes longer than they do. */
const fewestPlaces = 512;

/** So many images in parts, when the copies of one have height · width places and are of so many numbers at each. */
export function partsOf(images: number, [height, width]: Copies['places'], numbers: number): readonly Part[] {
  const places = height * width;
  const part = (from: number, to: number, together: number): Part => ({
    ...{ from, to, together },
    // lines of memory that are a multiple of 4096 bytes apart push each other out of the first cache
    spare: (together * places) % 1024 === 0 ? 1 : 0,
  });
  const together = Math.min(images, Math.ceil(fewestPlaces / places));
  const rest = images % together;
  const whole = images - rest;
  const count = Math.min(whole / together, Math.ceil((4 * whole * places * numbers) / partBytes));
  const size = together * 2 * Math.ceil(whole / together / count / 2); // an even number of products, for two threads
  const parts = Array.from({ length: Math.ceil(whole / size) }, (_, i) =>
    part(i * size, Math.min(whole, (i + 1) * size), together),
  );
  return rest === 0 ? parts : [...parts, part(whole, images, rest)];
}

/** The weight's gradient from the copies of x and those rows of y, [N, K, ...], that meet them. */
export function weightByPlaces(
  onnx: Lowering,
  [x, y]: readonly [string, string],
  [tx, ty]: readonly [Tensor, Tensor],
  copies: Copies,
  rows: { readonly copies: number; readonly top: number; readonly step: number },
  kernel: readonly number[],
): string {
  const [n, k, outHeight, outWidth] = ty.shape as number[] as [number, number, number, number];
  const c = tx.size(1);
  const [height] = copies.places;
  const parts = partsOf(n, copies.places, rows.copies * k + copies.count * c);
  const { dtype } = ty;
  const lefts = rowCopies(onnx, y, { ...rows, parts, dtype, channels: k, height, outHeight, outWidth });
  const rights = copiesByPlace(onnx, x, tx, copies, parts);
  const products = lefts.map((left, i) => onnx.emit('MatMul', [left, rights[i]!]));
  const joined = products.length > 1 ? onnx.emit('Concat', products, { axis: { int: 0 } }) : products[0]!;
  const count = parts.reduce((sum, part) => sum + productsOf(part), 0);
  return weightOfProducts(onnx, joined, [count, k, c], kernel);
}

/** For each product of each part the places of its images, at each the channels of all copies: [products, places, copies · C]. */
function copiesByPlace(
  onnx: Lowering,
  x: string,
  { shape }: Tensor,
  copies: Copies,
  parts: readonly Part[],
): readonly string[] {
  const block = onnx.channelBlock!;
  const [n, channels, height, width] = shape as [number, number, number, number];
  const count = (n * channels * height * width) / block;
  const blocked = onnx.emit('ReorderInput', [x], {}, 'com.microsoft.nchwc');
  const rows = onnx.emit('Reshape', [blocked, onnx.ints([count, block])]);
  const withZeros = onnx.emit('Concat', [rows, zerosOf(onnx, 'float32', [1, block])], { axis: { int: 0 } });
  const [high, wide] = copies.places;
  return parts.map((part) => {
    const { from, to, together, spare } = part;
    const key = `places ${[shape, high, wide, copies.count, copies.key, from, to, together, spare]}`;
    const sources = onnx.table(key, () => sourcesOf(shape as number[], block, copies, part));
    const moved = onnx.emit('Gather', [withZeros, sources], { axis: { int: 0 } });
    const places = (together * high + spare) * wide;
    return onnx.emit('Reshape', [moved, onnx.ints([productsOf(part), places, copies.count * channels])]);
  });
}

/** For each image, place, copy and block the row of the blocked value, or the one behind the last for zeros. */
function sourcesOf(shape: readonly number[], block: number, copies: Copies, part: Part) {
  const { places, count, at } = copies;
  const [n, channels, height, width] = shape as [number, number, number, number];
  const blocks = channels / block;
  const outside = n * blocks * height * width;
  const row = places[1] * count * blocks;
  const sources = new Int32Array(productsOf(part) * (part.together * places[0] + part.spare) * row);
  let next = 0;
  for (let image = part.from; image < part.to; image++) {
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
    if ((image + 1 - part.from) % part.together === 0) {
      sources.fill(outside, next, next + part.spare * row);
      next += part.spare * row;
    }
  }
  return ndarray(sources, [sources.length], 'int32');
}
