/**
 * How a convolution's weight gradient becomes ONNX, which has no operator for it: as products of shifted or sliced
 * copies.
 */

import { type DType, ndarray } from '../array.ts';
import type { Lowering } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { type Copies, fillsBlocks, weightByPlaces } from './conv-weight-blocked.ts';
import { rowCopies, weightOfProducts, zerosOf } from './conv-weight-parts.ts';
import { lowerProduct, lowerRowSum } from './matmul.ts';

/** Everything but the shapes; pads are all "before" amounts, then all "after" amounts, as in ONNX. */
export interface ConvAttributes {
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
  readonly groups: number;
  readonly [key: string]: unknown;
}

/** A convolution's attributes, and the shape of the kernel whose gradient is computed. */
export interface ConvWeightAttributes extends ConvAttributes {
  readonly kernel: readonly number[];
}

/** Σ over batch and positions of x · y, for each tap: x [N, C, ...], y [N, K, ...] → [K, C / groups, ...kernel]. */
export function lowerWeight(
  onnx: Lowering,
  [x, y]: readonly string[],
  { inputs, attributes }: { inputs: readonly Tensor[]; attributes: ConvWeightAttributes },
): string {
  const [tx, ty] = inputs as [Tensor, Tensor];
  const plain = attributes.groups === 1 && attributes.strides.every((stride) => stride === 1);
  return plain
    ? weightByShifts(onnx, x!, y!, tx, ty, attributes)
    : weightBySlices(onnx, x!, y!, tx, ty, attributes);
}

/**
 * Stride 1. A tap (i, j) pairs x shifted by j columns with y shifted by i rows, so the kh · kw products need only kw
 * shifted copies of x and kh of y: each shift of x meets all shifts of y in one product of kh · k rows.
 *
 * Shifts are taken of the flat arrays, one long copy each, since padding row by row costs more than the products.
 * What wraps from one row into the next is masked (columns) or read from a row of zeros instead (rows).
 */
function weightByShifts(
  onnx: Lowering,
  x: string,
  y: string,
  tx: Tensor,
  ty: Tensor,
  { pads, dilations, kernel }: ConvWeightAttributes,
): string {
  const two = kernel.length === 2;
  const [n, c] = tx.shape as number[] as [number, number];
  const k = ty.size(1);
  const [kh, kw] = two ? (kernel as [number, number]) : [1, kernel[0]!];
  const [height, width] = two ? [tx.size(2), tx.size(3)] : [1, tx.size(2)];
  const [outHeight, outWidth] = two ? [ty.size(2), ty.size(3)] : [1, ty.size(2)];
  const [top, left] = two ? [pads[0]!, pads[1]!] : [0, pads[0]!];
  const [dh, dw] = two ? [dilations[0]!, dilations[1]!] : [1, dilations[0]!];

  if (kw > 1 && two && fillsBlocks(onnx, tx)) {
    const copies: Copies = {
      places: [height, outWidth],
      count: kw,
      at: (h, w, j) => [h, w + j * dw - left],
      key: `columns ${[left, dw]}`,
    };
    return weightByPlaces(onnx, [x, y], [tx, ty], copies, { copies: kh, top, step: dh }, kernel);
  }
  const [left2d] = rowCopies(onnx, y, {
    parts: [{ from: 0, to: n, together: 1, spare: 0 }],
    dtype: ty.dtype,
    channels: k,
    copies: kh,
    top,
    step: dh,
    height,
    outHeight,
    outWidth,
  }) as [string];

  // x by columns: column w of copy j is column w + j·dw − left of x.
  const columns = Array.from({ length: kw }, (_, j) => {
    const shifted = shiftColumns(onnx, x, tx.dtype, n * c * height, width, outWidth, j * dw - left, [
      kw,
      dw,
      left,
    ]);
    return onnx.emit('Reshape', [shifted, onnx.ints([n, c, height * outWidth])]);
  });
  if (kw > 1 && c < 16) {
    // kernels make sixteen columns at once: those of all copies take as long as those of one
    const right = onnx.emit('Concat', columns, { axis: { int: 1 } });
    const products = lowerProduct(onnx, left2d, right, { transB: true });
    return weightOfProducts(onnx, products, [n, k, c], kernel, tx.dtype);
  }
  const sums = columns.map((right) => {
    const products = lowerProduct(onnx, left2d, right, { transB: true });
    const sum = lowerRowSum(onnx, products, [n, k * kh * c], tx.dtype);
    return onnx.emit('Reshape', [sum, onnx.ints([k, kh, c, 1])]);
  });
  const joined = sums.length === 1 ? sums[0]! : onnx.emit('Concat', sums, { axis: { int: 3 } });
  const ordered = onnx.emit('Transpose', [joined], { perm: { ints: [0, 2, 1, 3] } });
  return onnx.emit('Reshape', [ordered, onnx.ints([k, c, ...kernel])]);
}

/** Columns `offset` to `offset + outWidth` of [rows, width], with zeros outside. */
function shiftColumns(
  onnx: Lowering,
  x: string,
  dtype: DType,
  rows: number,
  width: number,
  outWidth: number,
  offset: number,
  [kw, dw, left]: readonly [number, number, number],
): string {
  if (offset === 0 && width === outWidth) return x;
  if (width !== outWidth) {
    const flat = onnx.emit('Reshape', [x, onnx.ints([rows, width])]);
    return onnx.emit('Pad', [flat, onnx.ints([0, -offset, 0, outWidth - width + offset])]);
  }
  const flat = onnx.emit('Reshape', [x, onnx.ints([rows * width])]);
  const [before, after] = [left, Math.max(0, (kw - 1) * dw - left)];
  const ends = [before, after].map((count) => (count > 0 ? [zerosOf(onnx, dtype, [count])] : []));
  const padded = onnx.emit('Concat', [...ends[0]!, flat, ...ends[1]!], { axis: { int: 0 } });
  const start = before + offset;
  const slice = onnx.emit('Slice', [
    padded,
    onnx.ints([start]),
    onnx.ints([start + rows * width]),
    onnx.ints([0]),
  ]);
  // the mask spans several rows, because a broadcast over short rows is slow
  const span = largestDivisor(rows, Math.max(1, Math.floor(4096 / width)));
  const mask = onnx.table(`columns ${[dtype, width, offset, span]}`, () => {
    const inside = (w: number) => (w + offset >= 0 && w + offset < width ? 1 : 0);
    return ndarray(
      Array.from({ length: span * width }, (_, at) => inside(at % width)),
      [span * width],
      dtype,
    );
  });
  const wide = onnx.emit('Reshape', [slice, onnx.ints([rows / span, span * width])]);
  return onnx.emit('Mul', [wide, mask]);
}

function largestDivisor(of: number, most: number): number {
  for (let candidate = Math.min(of, most); candidate > 1; candidate--)
    if (of % candidate === 0) return candidate;
  return 1;
}

/** Any stride and groups: one slice of the padded input for each tap, joined along the channels. */
function weightBySlices(
  onnx: Lowering,
  x: string,
  y: string,
  tx: Tensor,
  ty: Tensor,
  { strides, pads, dilations, groups, kernel }: ConvWeightAttributes,
): string {
  const [n, c] = tx.shape as number[] as [number, number];
  const k = ty.size(1);
  const spatial = ty.shape.slice(2) as number[];
  const positions = spatial.reduce((a, b) => a * b, 1);
  const [kh, kw] = kernel as [number, number];
  if (groups === 1 && fillsBlocks(onnx, tx)) {
    const [top, left] = pads as [number, number];
    const copies: Copies = {
      places: spatial as [number, number],
      count: kh * kw,
      at: (h, w, tap) => [
        h * strides[0]! + Math.floor(tap / kw) * dilations[0]! - top,
        w * strides[1]! + (tap % kw) * dilations[1]! - left,
      ],
      key: `taps ${[kernel, strides, dilations, top, left]}`,
    };
    return weightByPlaces(onnx, [x, y], [tx, ty], copies, { copies: 1, top: 0, step: 0 }, kernel);
  }
  const axes = onnx.ints(strides.map((_, i) => i + 2));
  const count = strides.length;
  const amounts = [0, 0, ...pads.slice(0, count), 0, 0, ...pads.slice(count)]; // not by `axes`: see `pad`
  const padded = pads.some((amount) => amount > 0) ? onnx.emit('Pad', [x, onnx.ints(amounts)]) : x;
  const taps = kernel.reduce<number[][]>(
    (all, size) => all.flatMap((tap) => Array.from({ length: size }, (_, i) => [...tap, i])),
    [[]],
  );
  const slices = taps.map((tap) => {
    const starts = tap.map((t, i) => t * dilations[i]!);
    const ends = starts.map((start, i) => start + (spatial[i]! - 1) * strides[i]! + 1);
    return onnx.emit('Slice', [padded, onnx.ints(starts), onnx.ints(ends), axes, onnx.ints(strides)]);
  });
  const joined = slices.length === 1 ? slices[0]! : onnx.emit('Concat', slices, { axis: { int: 1 } });
  const perGroup = c / groups;
  let columns = onnx.emit('Reshape', [joined, onnx.ints([n, taps.length, groups, perGroup, positions])]);
  if (groups > 1) columns = onnx.emit('Transpose', [columns], { perm: { ints: [0, 2, 1, 3, 4] } });
  const left = onnx.emit('Reshape', [y, onnx.ints([n, groups, k / groups, positions])]);
  const right = onnx.emit('Reshape', [columns, onnx.ints([n, groups, taps.length * perGroup, positions])]);
  const products = lowerProduct(onnx, left, right, { transB: true, rank: 4 });
  return weightOfProducts(onnx, products, [n, k, perGroup], kernel, tx.dtype);
}
