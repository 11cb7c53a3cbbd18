/** Reductions over axes. */

import { sizeOf } from '../array.ts';
import { type Dim, mulDims, type Shape } from '../dims.ts';
import { apply, defineOperator, type Lowering } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import { normalizeAxis, type Tensor } from '../tensor.ts';
import { constant } from './constant.ts';
import { lowerRowSum } from './matmul.ts';
import { defineMethods } from './methods.ts';

/** Of all reductions. */
export interface ReduceOptions {
  /** Keep reduced axes with size 1; default false. */
  readonly keepDims?: boolean;
}

interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
  readonly [key: string]: unknown;
}

/** The shape without these axes, or with size 1 in their place. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims
    ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim))
    : shape.filter((_, i) => !axes.includes(i));
}

/** Sorted axes from the front; all of them when none are given. */
function normalizeAxes(axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axes === 'number' ? [axes] : axes;
  return [...new Set(list.map((axis) => normalizeAxis(axis, rank)))].sort((a, b) => a - b);
}

/** `x`, whose reduced axes may be gone, with those axes back at size 1. */
function withReducedAxes(x: Tensor, like: Tensor, attributes: ReduceAttributes): Tensor {
  return attributes.keepDims ? x : x.reshape(reducedShape(like.shape, attributes.axes, true));
}

/** How many elements go into one result. */
function countOf(x: Tensor, axes: readonly number[]): Dim {
  return axes.reduce<Dim>((product, axis) => mulDims(product, x.shape[axis]!), 1);
}

function lowerReduction(type: string) {
  return (onnx: Lowering, x: string, { axes, keepDims }: ReduceAttributes): string =>
    onnx.emit(type, [x, onnx.ints(axes)], { keepdims: { int: keepDims ? 1 : 0 } });
}

function reduction(
  name: string,
  rule: {
    doc: string;
    lower: (onnx: Lowering, x: string, attributes: ReduceAttributes, input: Tensor) => string;
    grad: (g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]) => Tensor;
  },
) {
  const operator = defineOperator<ReduceAttributes>({
    name,
    doc: rule.doc,
    infer: ([x], { axes, keepDims }) => ({ shape: reducedShape(x!.shape, axes, keepDims), dtype: x!.dtype }),
    lower: (onnx, [x], { inputs, attributes }) => rule.lower(onnx, x!, attributes, inputs[0]!),
    grad: ([g], { inputs, outputs, attributes }) => {
      const x = inputs[0]!;
      const [wide, y] = [withReducedAxes(g!, x, attributes), withReducedAxes(outputs[0]!, x, attributes)];
      return [rule.grad(wide, x, y, attributes.axes)];
    },
  });
  return (x: Tensor, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor => {
    const list = normalizeAxes(axes, x.rank);
    if (list.length === 0) return x;
    const keepDims = options.keepDims ?? false;
    // Axes of size 1 only: nothing to reduce.
    if (list.every((axis) => x.shape[axis] === 1)) return x.reshape(reducedShape(x.shape, list, keepDims));
    return apply(operator, [x], { axes: list, keepDims });
  };
}

/** The gradient goes to the elements that equal the result, in equal shares. */
function toExtremes(g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]): Tensor {
  const hit = x.equal(y).cast(x.dtype);
  return g.div(hit.sum(axes, { keepDims: true })).mul(hit);
}

/** Sum over axes, over all by default. */
export const sum = reduction('sum', {
  doc: 'Sum over axes (ONNX ReduceSum).',
  lower: (onnx, x, attributes, input) =>
    lowerColumnSums(onnx, x, attributes, input) ?? lowerReduction('ReduceSum')(onnx, x, attributes),
  grad: (g, x) => g.expand(x.shape),
});

/** Σ over all axes but the last, as a bias has it for a gradient, where there are many rows. */
function lowerColumnSums(
  onnx: Lowering,
  x: string,
  { axes, keepDims }: ReduceAttributes,
  { shape, rank, dtype }: Tensor,
): string | undefined {
  if (!isOnProcessor(onnx.provider) || dtype !== 'float32' || !shape.every((dim) => typeof dim === 'number'))
    return undefined;
  if (axes.length !== rank - 1 || axes.includes(rank - 1)) return undefined;
  const columns = shape[rank - 1] as number;
  const rows = sizeOf(shape.slice(0, -1) as number[]);
  if (rows < 64 || rows * columns < 2 ** 16) return undefined;
  const sums = lowerRowSum(onnx, x, [rows, columns], dtype);
  return onnx.emit('Reshape', [sums, onnx.shape(reducedShape(shape, axes, keepDims))]);
}

/** Arithmetic mean over axes, over all by default. */
export const mean = reduction('mean', {
  doc: 'Arithmetic mean over axes (ONNX ReduceMean).',
  lower: lowerReduction('ReduceMean'),
  grad: (g, x, _, axes) => {
    const count = countOf(x, axes);
    // A free dimension has no number yet: the mean of ones, taken in the graph, divides by it.
    const share =
      typeof count === 'number'
        ? g.mul(1 / count)
        : g.div(constant(1, x.dtype).expand(x.shape).sum(axes, { keepDims: true }));
    return share.expand(x.shape);
  },
});

/** Largest over axes, over all by default; ties share the gradient. */
export const max = reduction('max', {
  doc: 'Largest over axes (ONNX ReduceMax); ties share the gradient.',
  lower: lowerReduction('ReduceMax'),
  grad: toExtremes,
});

/** Smallest over axes, over all by default; ties share the gradient. */
export const min = reduction('min', {
  doc: 'Smallest over axes (ONNX ReduceMin); ties share the gradient.',
  lower: lowerReduction('ReduceMin'),
  grad: toExtremes,
});

/** Sum of squares over axes. */
export function sumSquares(
  x: Tensor,
  axes?: number | readonly number[],
  options: ReduceOptions = {},
): Tensor {
  return sum(x.mul(x), axes, options);
}

/** Variance over axes, divided by the count (not by the count − 1). */
export function variance(x: Tensor, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  const centred = x.sub(mean(x, axes, { keepDims: true }));
  return mean(centred.mul(centred), axes, options);
}

declare module '../tensor.ts' {
  interface Tensor {
    sum(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
    mean(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
    max(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
    min(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
    sumSquares(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
    variance(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
  }
}

defineMethods({ sum, mean, max, min, sumSquares, variance });
