/** Matrix products. */

import { type DType, ndarray } from '../array.ts';
import { broadcastShapes, productOf } from '../dims.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import type { Tensor } from '../tensor.ts';
import { unbroadcast } from './broadcast.ts';
import { defineMethods } from './methods.ts';
import { lowerReshape, transpose, transposition } from './shape.ts';

interface MatmulAttributes {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly [key: string]: unknown;
}

/**
 * One product with both operands optionally read transposed, so that no gradient needs a Transpose node. With a
 * bias (third input, one row) it is PyTorch's `addmm`.
 */
const matmulOperator = defineOperator<MatmulAttributes>({
  name: 'matmul',
  doc: 'Batched matrix product with optional transposes and bias (ONNX MatMul, Gemm; com.microsoft FusedMatMul).',
  infer(inputs, { transA, transB }) {
    const [a, b, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
    if (a.dtype !== b.dtype) refuse('matmul', inputs, `dtypes ${a.dtype} and ${b.dtype} differ: cast one`);
    if (a.rank < 2 || b.rank < 2) refuse('matmul', inputs, 'needs at least two axes');
    const [m, ka] = transA ? [a.dim(-1), a.dim(-2)] : [a.dim(-2), a.dim(-1)];
    const [kb, n] = transB ? [b.dim(-1), b.dim(-2)] : [b.dim(-2), b.dim(-1)];
    if (ka !== kb) refuse('matmul', [a, b], `inner dimensions ${ka} and ${kb} differ`);
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    if (!batch) refuse('matmul', [a, b], 'batch dimensions do not broadcast');
    if (bias && (bias.rank !== 1 || bias.shape[0] !== n))
      refuse('matmul', inputs, `the bias must have ${n} elements`);
    return { shape: [...batch, m, n], dtype: a.dtype };
  },
  lower: lowerMatmul,
  grad: ([g], { inputs, attributes: { transA, transB } }) => {
    const [a, b, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
    // Y = op(A) op(B): dA = g op(B)ᵀ, transposed where A was read transposed; dB likewise.
    const ga = transA ? product(b, g!, transB, true) : product(g!, b, false, !transB);
    const gb = weightGradient(a, b, g!, transA, transB);
    return [unbroadcast(ga, a.shape), gb, bias && g!.sum(Array.from({ length: g!.rank - 1 }, (_, i) => i))];
  },
});

function product(a: Tensor, b: Tensor, transA: boolean, transB: boolean): Tensor {
  return apply(matmulOperator, [a, b], { transA, transB });
}

/** dB. A matrix B under batched A sums over the batch: one large product over all rows does that. */
function weightGradient(a: Tensor, b: Tensor, g: Tensor, transA: boolean, transB: boolean): Tensor {
  if (b.rank === 2 && a.rank > 2 && !transA) {
    const rows = productOf(a.shape.slice(0, -1));
    const [a2, g2] = [a.reshape([rows, a.dim(-1)]), g.reshape([rows, g.dim(-1)])];
    return transB ? product(g2, a2, true, false) : product(a2, g2, true, false);
  }
  return unbroadcast(transB ? product(g, a, true, transA) : product(a, g, !transA, false), b.shape);
}

function lowerMatmul(
  onnx: Lowering,
  [a, b, bias]: readonly string[],
  {
    inputs,
    outputs,
    attributes: { transA, transB },
  }: { inputs: readonly Tensor[]; outputs: readonly Tensor[]; attributes: MatmulAttributes },
): string {
  const [ta, tb] = inputs as [Tensor, Tensor];
  if (ta.dim(transA ? -2 : -1) === 0) {
    // a sum of nothing; WebGPU cannot even bind the empty operands
    return onnx.emit('Expand', [bias ?? onnx.scalar(0, ta.dtype), onnx.shape(outputs[0]!.shape)]);
  }
  const trans = { transA: { int: transA ? 1 : 0 }, transB: { int: transB ? 1 : 0 } };
  const rest = bias === undefined ? [] : [bias];
  if (ta.rank === 2 && tb.rank === 2) {
    if (bias === undefined && !transA && !transB) return onnx.emit('MatMul', [a!, b!]);
    return onnx.emit('Gemm', [a!, b!, ...rest], trans);
  }
  if (tb.rank === 2 && !transA && (transB || bias !== undefined)) {
    // All rows of the batch against one matrix: a single Gemm, reshapes are free.
    const rows = lowerReshape(onnx, a!, [productOf(ta.shape.slice(0, -1)), ta.dim(-1)]);
    const flat = onnx.emit('Gemm', [rows, b!, ...rest], trans);
    return lowerReshape(onnx, flat, outputs[0]!.shape);
  }
  const y = lowerProduct(onnx, a!, b!, { transA, transB, rank: ta.rank, rankB: tb.rank, dtype: ta.dtype });
  return bias === undefined ? y : onnx.emit('Add', [y, bias]);
}

/** A batched product whose operands may be read transposed, with the nodes that the provider does best. */
export function lowerProduct(
  onnx: Lowering,
  a: string,
  b: string,
  options: { transA?: boolean; transB?: boolean; rank?: number; rankB?: number; dtype?: DType },
): string {
  const { transA = false, transB = false, rank = 3, rankB = rank, dtype = 'float32' } = options;
  const fused = isOnProcessor(onnx.provider) && dtype === 'float32';
  if (fused && (transA || transB)) {
    const attributes = { transA: { int: Number(transA) }, transB: { int: Number(transB) } };
    return onnx.emit('FusedMatMul', [a, b], attributes, 'com.microsoft');
  }
  const read = (name: string, of: number, transposed: boolean): string => {
    if (!transposed) return name;
    return onnx.emit('Transpose', [name], { perm: { ints: swapLast(of) } });
  };
  return onnx.emit('MatMul', [read(a, rank, transA), read(b, rankB, transB)]);
}

/** Σ over the rows of a matrix, [1, columns], as a product with ones: two to four times as fast as ReduceSum on a CPU. */
export function lowerRowSum(
  onnx: Lowering,
  x: string,
  [rows, columns]: readonly [number, number],
  dtype: DType,
): string {
  const ones = onnx.table(`ones ${[dtype, rows]}`, () => ndarray(Array(rows).fill(1), [1, rows], dtype));
  return onnx.emit('MatMul', [ones, onnx.emit('Reshape', [x, onnx.ints([rows, columns])])]);
}

/** The permutation that exchanges the last two of `rank` axes. */
function swapLast(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
}

/**
 * Reads through a transpose that exchanges the last two axes: the product can do it for nothing. What else the transpose
 * does, it does to whole rows then.
 */
function untransposed(x: Tensor): { tensor: Tensor; transposed: boolean } {
  const permutation = transposition(x);
  if (permutation?.at(-2) !== x.rank - 1) return { tensor: x, transposed: false };
  const rows = swapLast(x.rank).map((axis) => permutation[axis]!);
  return { tensor: transpose(x.node!.inputs[0]!, rows), transposed: true };
}

/** The matrix product of the last two axes, with leading axes broadcast: [..., m, k] × [..., k, n] → [..., m, n]. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const [left, right] = [untransposed(a), untransposed(b)];
  return product(left.tensor, right.tensor, left.transposed, right.transposed);
}

/** x · Wᵀ + bias with PyTorch's layout: x [..., in], weight [out, in], bias [out] → [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.rank !== 2) refuse('linear', [x, weight], 'the weight must be a matrix [out, in]');
  const matrix = x.rank === 1 ? x.unsqueeze(0) : x;
  const inputs = bias ? [matrix, weight, bias] : [matrix, weight];
  const y = apply(matmulOperator, inputs, { transA: false, transB: true });
  return x.rank === 1 ? y.squeeze(0) : y;
}

declare module '../tensor.ts' {
  interface Tensor {
    matmul(b: Tensor): Tensor;
    linear(weight: Tensor, bias?: Tensor): Tensor;
  }
}

defineMethods({ matmul, linear });
