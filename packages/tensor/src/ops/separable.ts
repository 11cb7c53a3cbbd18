/**
 * Linear maps of the spatial axes, one known matrix an axis: y = A x Bᵀ on the last two axes. Average pooling and
 * interpolation are such maps, and so are their gradients, with the matrices transposed.
 */

import { type DType, ndarray } from '../array.ts';
import type { Lowering } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { constant } from './constant.ts';
import { linear, matmul } from './matmul.ts';

/** The weights of one axis: `weights[o * size + i]` is the share of input i in output o. */
export interface AxisMap {
  readonly size: number;
  readonly outputs: number;
  readonly weights: Float64Array;
}

/** A map from the terms of each output. Terms of one input add up. */
export function axisMap(
  size: number,
  outputs: number,
  terms: (output: number) => readonly (readonly [input: number, weight: number])[],
): AxisMap {
  const weights = new Float64Array(outputs * size);
  for (let o = 0; o < outputs; o++) {
    for (const [i, weight] of terms(o)) weights[o * size + i]! += weight;
  }
  return { size, outputs, weights };
}

/** The map's transpose: what its gradient goes through. */
export function transposed({ size, outputs, weights }: AxisMap): AxisMap {
  return axisMap(outputs, size, (i) =>
    Array.from({ length: outputs }, (_, o) => [o, weights[o * size + i]!]),
  );
}

function isIdentity({ size, outputs, weights }: AxisMap): boolean {
  return size === outputs && weights.every((weight, at) => weight === (at % (size + 1) === 0 ? 1 : 0));
}

/** x [N, C, L] or [N, C, H, W] with one map for each spatial axis. */
export function mapAxes(x: Tensor, maps: readonly AxisMap[]): Tensor {
  const matrix = ({ size, outputs, weights }: AxisMap) =>
    constant(ndarray(weights, [outputs, size], x.dtype));
  return inOrder(maps).reduce((y, axis) => {
    const map = maps[axis]!;
    if (isIdentity(map)) return y;
    return axis === maps.length - 1 ? linear(y, matrix(map)) : matmul(matrix(map), y);
  }, x);
}

/** `mapAxes` of a lowering. */
export function emitMapAxes(onnx: Lowering, x: string, maps: readonly AxisMap[], dtype: DType): string {
  return inOrder(maps).reduce((y, axis) => {
    const map = maps[axis]!;
    if (isIdentity(map)) return y;
    const last = axis === maps.length - 1;
    const { size, outputs, weights } = last ? transposed(map) : map;
    const matrix = onnx.constant(ndarray(weights, [outputs, size], dtype));
    return onnx.emit('MatMul', last ? [y, matrix] : [matrix, y]);
  }, x);
}

/** The axis that shrinks most comes first: what follows has less to do. */
function inOrder(maps: readonly AxisMap[]): number[] {
  const growth = (axis: number) => maps[axis]!.outputs / maps[axis]!.size;
  return maps.map((_, axis) => axis).sort((a, b) => growth(a) - growth(b) || b - a);
}
