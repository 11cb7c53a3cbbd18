/** What all ways to a convolution's weight gradient share: rows of the outgoing gradient, and the sum of products. */

import { type DType, ndarray } from '../array.ts';
import type { Lowering } from '../operator.ts';
import { lowerRowSum } from './matmul.ts';

/** Images whose products are made at once. */
export interface Part {
  /** The first, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  /** So many of them meet in one product; from → to is a multiple. */
  readonly together: number;
  /** Rows of zeros behind theirs in each product. */
  readonly spare: number;
}

export const productsOf = ({ from, to, together }: Part): number => (to - from) / together;

/** What `rowCopies` makes of y [N, channels, outHeight, outWidth]. */
export interface RowCopies {
  readonly parts: readonly Part[];
  readonly dtype: DType;
  readonly channels: number;
  readonly copies: number;
  readonly top: number;
  readonly step: number;
  readonly height: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

/**
 * Row h of copy i is row h + top − i · step of y, or zeros. For each product of each part all images side by side:
 * [products, channels · copies, (together · height + spare) · outWidth].
 */
export function rowCopies(
  onnx: Lowering,
  y: string,
  { parts, dtype, channels, copies, top, step, height, outHeight, outWidth }: RowCopies,
): readonly string[] {
  const images = parts.at(-1)!.to;
  const shaped = (copied: string, part: Part) => {
    const places = (part.together * height + part.spare) * outWidth;
    return onnx.emit('Reshape', [copied, onnx.ints([productsOf(part), channels * copies, places])]);
  };
  const [{ together, spare }, ...others] = parts as [Part];
  const isAsIs = others.length === 0 && together === 1 && spare === 0;
  if (isAsIs && copies === 1 && top === 0 && height === outHeight) return [shaped(y, parts[0]!)];
  const outside = images * channels * outHeight;
  const rows = onnx.emit('Reshape', [y, onnx.ints([outside, outWidth])]);
  const withZeros = onnx.emit('Concat', [rows, zerosOf(onnx, dtype, [1, outWidth])], { axis: { int: 0 } });
  return parts.map((part) => {
    const { from, to, together, spare } = part;
    const key = `rows ${[channels, copies, top, step, height, outHeight, outside, from, to, together, spare]}`;
    const sources = onnx.table(key, () => {
      const found: number[] = [];
      for (let first = from; first < to; first += together) {
        for (let channel = 0; channel < channels; channel++) {
          for (let copy = 0; copy < copies; copy++) {
            for (let image = first; image < first + together; image++) {
              for (let at = 0; at < height; at++) {
                const h = at + top - copy * step;
                const isInside = h >= 0 && h < outHeight;
                found.push(isInside ? (image * channels + channel) * outHeight + h : outside);
              }
            }
            for (let i = 0; i < spare; i++) found.push(outside);
          }
        }
      }
      return ndarray(found, [found.length], 'int32');
    });
    return shaped(onnx.emit('Gather', [withZeros, sources], { axis: { int: 0 } }), part);
  });
}

/** The weight's gradient [K, C, ...kernel] from a product for each picture, [n, K · taps · C] in this order. */
export function weightOfProducts(
  onnx: Lowering,
  products: string,
  [n, k, c]: readonly [number, number, number],
  kernel: readonly number[],
  dtype: DType = 'float32',
): string {
  const taps = kernel.reduce((a, b) => a * b, 1);
  const sum = lowerRowSum(onnx, products, [n, k * taps * c], dtype);
  const parts = onnx.emit('Reshape', [sum, onnx.ints([k, taps, c])]);
  const ordered = onnx.emit('Transpose', [parts], { perm: { ints: [0, 2, 1] } });
  return onnx.emit('Reshape', [ordered, onnx.ints([k, c, ...kernel])]);
}

/** Zeros to join to a long array: ONNX Runtime copies with all threads in Concat, with one in Pad. */
export function zerosOf(onnx: Lowering, dtype: DType, shape: readonly number[]): string {
  const size = shape.reduce((a, b) => a * b, 1);
  return onnx.table(`zeros ${[dtype, shape]}`, () => ndarray(Array(size).fill(0), shape, dtype));
}
