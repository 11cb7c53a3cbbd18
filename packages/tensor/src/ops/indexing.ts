/** Reading and adding at indices; arg-extremes, the largest elements, running sums. */

import { toNumbers } from '../array.ts';
import { canonical, type Dim, productOf, type Shape } from '../dims.ts';
import { apply, applyMany, defineOperator, refuse } from '../operator.ts';
import { normalizeAxis, type Tensor } from '../tensor.ts';
import { arange, zeros } from './constant.ts';
import { defineMethods } from './methods.ts';
import { reducedShape } from './reduce.ts';

interface AxisAttributes {
  readonly axis: number;
  readonly [key: string]: unknown;
}

/** Indices must be int32 or int64; those whose values are known must lie in [lowest, size). */
function checkIndices(
  name: string,
  inputs: readonly Tensor[],
  indices: Tensor,
  size: Dim,
  lowest?: number,
): void {
  if (indices.dtype !== 'int32' && indices.dtype !== 'int64') {
    refuse(name, inputs, `indices must be int32 or int64, got ${indices.dtype}`);
  }
  if (indices.source?.kind !== 'constant' || typeof size !== 'number') return;
  const from = lowest ?? -size;
  const wrong = toNumbers(indices.source.value).find((index) => index < from || index >= size);
  if (wrong !== undefined) refuse(name, inputs, `index ${wrong} is outside [${from}, ${size})`);
}

function spliced(shape: Shape, axis: number, replacement: Shape): Shape {
  return [...shape.slice(0, axis), ...replacement, ...shape.slice(axis + 1)];
}

const gatherOperator = defineOperator<AxisAttributes>({
  name: 'gather',
  doc: 'Slices of an axis at indices (ONNX Gather).',
  infer(inputs, { axis }) {
    const [x, indices] = inputs as [Tensor, Tensor];
    checkIndices('gather', inputs, indices, x.shape[axis]!);
    return { shape: spliced(x.shape, axis, indices.shape), dtype: x.dtype };
  },
  lower: (onnx, inputs, { attributes }) => onnx.emit('Gather', inputs, { axis: { int: attributes.axis } }),
  grad: ([g], { inputs, attributes: { axis } }) => {
    const [x, indices] = inputs as [Tensor, Tensor];
    return [scatterAddRows(g!, indices, x.shape[axis]!, axis), undefined];
  },
});

/**
 * The slices of `axis` at `indices` (int32 or int64, any shape, negative ones count from the end): x [V, D] with
 * indices [N, T] gives [N, T, D]. An embedding table is looked up so. Indices outside the axis are refused here when
 * they are constants, by the run otherwise. ONNX Gather.
 */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  return apply(gatherOperator, [x, indices], { axis: normalizeAxis(axis, x.rank) });
}

interface ScatterRowsAttributes extends AxisAttributes {
  readonly size: Dim;
}

const scatterAddRowsOperator = defineOperator<ScatterRowsAttributes>({
  name: 'scatterAddRows',
  doc: 'Slices added into zeros at indices of an axis (ONNX ScatterElements with reduction add).',
  infer(inputs, { axis, size }) {
    const [updates, indices] = inputs as [Tensor, Tensor];
    checkIndices('scatterAddRows', inputs, indices, size);
    const inside = updates.shape.slice(axis, axis + indices.rank);
    if (inside.length !== indices.rank || inside.some((dim, i) => dim !== indices.shape[i])) {
      refuse('scatterAddRows', inputs, `the updates must have the shape of the indices from axis ${axis}`);
    }
    const shape = [...updates.shape.slice(0, axis), size, ...updates.shape.slice(axis + indices.rank)];
    return { shape, dtype: updates.dtype };
  },
  // ScatterND would move whole rows, but its CPU kernel loses additions when threads meet at one index (ORT 1.30).
  lower(onnx, [updates, indices], { inputs, outputs, attributes: { axis } }) {
    const { shape, dtype } = outputs[0]!;
    const count = productOf(inputs[1]!.shape);
    const wide = spliced(shape, axis, [count]);
    const column = onnx.emit('Reshape', [indices!, onnx.ints(wide.map((_, i) => (i === axis ? -1 : 1)))]);
    const zero = onnx.emit('Expand', [onnx.scalar(0, dtype), onnx.shape(shape)]);
    const rows =
      inputs[1]!.rank === 1 ? updates! : onnx.emit('Reshape', [updates!, onnx.shape(wide)], allowZero(wide));
    const everywhere = onnx.emit('Expand', [column, onnx.shape(wide)]);
    return onnx.emit('ScatterElements', [zero, everywhere, rows], {
      axis: { int: axis },
      reduction: { string: 'add' },
    });
  },
  grad: ([g], { inputs, attributes: { axis } }) => [gather(g!, inputs[1]!, axis), undefined],
});

/** Without `allowzero`, ONNX takes a 0 in Reshape's target for "as in the input". */
function allowZero(shape: Shape): { allowzero?: { int: number } } {
  return shape.includes(0) ? { allowzero: { int: 1 } } : {};
}

/**
 * Zeros with `size` elements along `axis`, plus each slice of `updates` at its index; equal indices add up. The
 * updates have the indices' shape from `axis` on: updates [N, T, D] with indices [N, T] give [size, D]. It is the
 * transpose of `gather`, and a segment sum with unsorted segments. Deterministic: additions happen in order.
 */
export function scatterAddRows(updates: Tensor, indices: Tensor, size: Dim, axis = 0): Tensor {
  const at = axis < 0 ? axis + updates.rank - indices.rank + 1 : axis;
  if (!Number.isInteger(at) || at < 0 || at + indices.rank > updates.rank) {
    refuse('scatterAddRows', [updates, indices], `axis ${axis} leaves no room for the indices`);
  }
  return apply(scatterAddRowsOperator, [updates, indices], { axis: at, size: canonical(size) });
}

function checkAlongAxis(name: string, inputs: readonly Tensor[], axis: number): void {
  const [x, indices] = inputs as [Tensor, Tensor];
  checkIndices(name, inputs, indices, x.shape[axis]!);
  if (x.rank !== indices.rank || x.shape.some((dim, i) => i !== axis && dim !== indices.shape[i])) {
    refuse(name, inputs, `the indices must have the shape of x outside axis ${axis}`);
  }
}

const takeOperator = defineOperator<AxisAttributes>({
  name: 'takeAlongAxis',
  doc: 'The elements of an axis at indices given for each place (ONNX GatherElements).',
  infer(inputs, { axis }) {
    checkAlongAxis('takeAlongAxis', inputs, axis);
    return { shape: inputs[1]!.shape, dtype: inputs[0]!.dtype };
  },
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit('GatherElements', inputs, { axis: { int: attributes.axis } }),
  grad: ([g], { inputs, attributes: { axis } }) => {
    const [x, indices] = inputs as [Tensor, Tensor];
    return [scatterAdd(zeros(x.shape, x.dtype), indices, g!, axis), undefined];
  },
});

/**
 * The elements of `axis` at `indices`, whose shape is x's but for that axis: y[i, j] = x[i, indices[i, j]] for the
 * last axis of a matrix. NumPy's take_along_axis, PyTorch's gather, ONNX GatherElements. Negative indices count from
 * the end; those outside are refused here when they are constants, by the run otherwise.
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis = -1): Tensor {
  return apply(takeOperator, [x, indices], { axis: normalizeAxis(axis, x.rank) });
}

const scatterAddOperator = defineOperator<AxisAttributes>({
  name: 'scatterAdd',
  doc: 'x with updates added at indices of an axis (ONNX ScatterElements with reduction add).',
  infer(inputs, { axis }) {
    const [x, indices, updates] = inputs as [Tensor, Tensor, Tensor];
    checkAlongAxis('scatterAdd', inputs, axis);
    if (updates.dtype !== x.dtype)
      refuse('scatterAdd', inputs, `dtypes ${x.dtype} and ${updates.dtype} differ`);
    if (updates.shape.join() !== indices.shape.join()) {
      refuse('scatterAdd', inputs, 'the updates must have the shape of the indices');
    }
    return x;
  },
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit('ScatterElements', inputs, { axis: { int: attributes.axis }, reduction: { string: 'add' } }),
  grad: ([g], { inputs, attributes: { axis } }) => [g, undefined, takeAlongAxis(g!, inputs[1]!, axis)],
});

/**
 * `x` with `updates` added along `axis` at `indices` (both of x's shape but for that axis); equal indices add up.
 * PyTorch's scatter_add, ONNX ScatterElements with reduction add.
 */
export function scatterAdd(x: Tensor, indices: Tensor, updates: Tensor, axis = -1): Tensor {
  return apply(scatterAddOperator, [x, indices, updates], { axis: normalizeAxis(axis, x.rank) });
}

/** Of `oneHot`. */
export interface OneHotOptions {
  /** Where the new axis stands in the result; default last. */
  readonly axis?: number;
  /** Default float32. */
  readonly dtype?: Tensor['dtype'];
}

/**
 * 1 where the new axis has the index, 0 elsewhere: indices [N] give [N, depth]. An index outside [0, depth) is
 * refused when it is a constant and gives a row of zeros otherwise.
 */
export function oneHot(indices: Tensor, depth: Dim, options: OneHotOptions = {}): Tensor {
  const axis = normalizeAxis(options.axis ?? -1, indices.rank + 1);
  checkIndices('oneHot', [indices], indices, depth, 0);
  const classes = arange(depth, { dtype: indices.dtype });
  const after = indices.rank - axis;
  const shape: Shape = [classes.shape[0]!, ...Array.from({ length: after }, () => 1)];
  return indices
    .unsqueeze(axis)
    .equal(classes.reshape(shape))
    .cast(options.dtype ?? 'float32');
}

const nonZeroOperator = defineOperator<{ readonly count: string }>({
  name: 'nonZero',
  doc: 'Where a vector of bools is true, in ascending order; how often is a new dimension (ONNX NonZero).',
  infer(inputs, { count }) {
    const [x] = inputs as [Tensor];
    if (x.rank !== 1 || x.dtype !== 'bool')
      refuse('nonZero', inputs, `a vector of bools is needed, got ${x}`);
    if (!/^[A-Za-z_]\w*$/.test(count)) refuse('nonZero', inputs, `'${count}' is no name for a dimension`);
    if (x.shape[0] === count) refuse('nonZero', inputs, `the dimension '${count}' has another size already`);
    return { shape: [count], dtype: 'int64' };
  },
  newDims: ({ count }) => [count],
  lower: (onnx, [x]) => onnx.emit('Squeeze', [onnx.emit('NonZero', [x!]), onnx.ints([0])]), // [1, count]
  grad: null,
});

/**
 * The indices at which `x` [n], bool, is true, ascending: int64 [count]. How many there are depends on values, so
 * `count` is the name of a new dimension, 0 to n in each run; a name that the graph has already is refused. With
 * `gather` it keeps some rows of a batch, and `scatterAddRows` puts them back. ONNX NonZero, NumPy's flatnonzero.
 */
export function nonZero(x: Tensor, count: string): Tensor {
  return apply(nonZeroOperator, [x], { count });
}

interface ArgAttributes extends AxisAttributes {
  readonly keepDims: boolean;
}

function argExtreme(name: string, onnxName: string, doc: string) {
  const operator = defineOperator<ArgAttributes>({
    name,
    doc,
    infer(inputs, { axis, keepDims }) {
      const x = inputs[0]!;
      if (x.shape[axis] === 0) refuse(name, inputs, `axis ${axis} is empty`);
      return { shape: reducedShape(x.shape, [axis], keepDims), dtype: 'int64' };
    },
    lower: (onnx, inputs, { attributes: { axis, keepDims } }) =>
      onnx.emit(onnxName, inputs, { axis: { int: axis }, keepdims: { int: keepDims ? 1 : 0 } }),
    grad: null,
  });
  return (x: Tensor, axis = -1, options: { keepDims?: boolean } = {}): Tensor =>
    apply(operator, [x], { axis: normalizeAxis(axis, x.rank), keepDims: options.keepDims ?? false });
}

/** Where the largest element of an axis is (int64), the first of equals; an empty axis is refused. */
export const argMax = argExtreme(
  'argMax',
  'ArgMax',
  'Index of the largest along an axis, first of equals (ONNX ArgMax).',
);
/** Where the smallest element of an axis is (int64), the first of equals; an empty axis is refused. */
export const argMin = argExtreme(
  'argMin',
  'ArgMin',
  'Index of the smallest along an axis, first of equals (ONNX ArgMin).',
);

interface TopKAttributes extends AxisAttributes {
  readonly k: Dim;
  readonly largest: boolean;
}

const topKOperator = defineOperator<TopKAttributes>({
  name: 'topK',
  doc: 'The k largest (or smallest) along an axis in order, and their indices (ONNX TopK).',
  infer(inputs, { axis, k, largest }) {
    const x = inputs[0]!;
    const size = x.shape[axis]!;
    const kind = largest ? 'largest' : 'smallest';
    if (typeof k === 'number' && (!Number.isInteger(k) || k < 0))
      refuse('topK', inputs, `k = ${k} is no count`);
    if (typeof k === 'number' && typeof size === 'number' && k > size) {
      refuse('topK', inputs, `the ${k} ${kind} of axis ${axis} with ${size} elements`);
    }
    const shape = spliced(x.shape, axis, [k]);
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int64' },
    ];
  },
  lower(onnx, [x], { inputs, attributes: { axis, k, largest } }) {
    const attributes = { axis: { int: axis }, largest: { int: largest ? 1 : 0 }, sorted: { int: 1 } };
    const other = inputs[0]!.shape.findIndex((dim, i) => i !== axis && typeof dim === 'string');
    if (other < 0) return onnx.emitMany('TopK', [x!, onnx.shape([k])], 2, attributes);
    // the CPU's kernel ends the process with a division by zero where there is no row (ORT 1.30): one more, then less
    const [none, one] = [onnx.ints([0]), onnx.ints([1])];
    const more = onnx.emit('Pad', [x!, onnx.ints([0, 1]), '', onnx.ints([other])]);
    const ranked = onnx.emitMany('TopK', [more, onnx.shape([k])], 2, attributes);
    return ranked.map((y) => onnx.emit('Slice', [y, none, onnx.ints([-1]), onnx.ints([other]), one]));
  },
  grad: ([g], { inputs, outputs, attributes: { axis } }) => {
    const x = inputs[0]!;
    return [g && scatterAdd(zeros(x.shape, x.dtype), outputs[1]!, g, axis)];
  },
});

/** The largest elements and where they stood. */
export interface Ranked {
  readonly values: Tensor;
  /** int64. */
  readonly indices: Tensor;
}

/**
 * The `k` largest elements of an axis, largest first (the smallest with `largest: false`), and where they are. Of
 * equal elements the first comes first. Refused when k exceeds the axis.
 */
export function topK(x: Tensor, k: Dim, axis = -1, options: { largest?: boolean } = {}): Ranked {
  const at = normalizeAxis(axis, x.rank);
  const attributes = { axis: at, k: canonical(k), largest: options.largest ?? true };
  const [values, indices] = applyMany(topKOperator, [x], attributes) as [Tensor, Tensor];
  return { values, indices };
}

/** The elements of an axis in ascending (or descending) order, and where they were. */
export function sort(x: Tensor, axis = -1, options: { descending?: boolean } = {}): Ranked {
  return topK(x, x.dim(axis), axis, { largest: options.descending ?? false });
}

interface CumSumAttributes extends AxisAttributes {
  readonly reverse: boolean;
  readonly exclusive: boolean;
}

const cumSumOperator = defineOperator<CumSumAttributes>({
  name: 'cumSum',
  doc: 'Running sum along an axis (ONNX CumSum).',
  infer: ([x]) => x!,
  lower: (onnx, [x], { attributes: { axis, reverse, exclusive } }) =>
    onnx.emit('CumSum', [x!, onnx.scalar(axis, 'int64')], {
      reverse: { int: reverse ? 1 : 0 },
      exclusive: { int: exclusive ? 1 : 0 },
    }),
  grad: ([g], { attributes: { axis, reverse, exclusive } }) => [
    cumSum(g!, axis, { reverse: !reverse, exclusive }),
  ],
});

/** Of `cumSum`. */
export interface CumSumOptions {
  /** Sum from the end; default false. */
  readonly reverse?: boolean;
  /** Leave out the element itself; default false. */
  readonly exclusive?: boolean;
}

/** Running sums along an axis. ONNX CumSum. */
export function cumSum(x: Tensor, axis: number, options: CumSumOptions = {}): Tensor {
  const { reverse = false, exclusive = false } = options;
  return apply(cumSumOperator, [x], { axis: normalizeAxis(axis, x.rank), reverse, exclusive });
}

declare module '../tensor.ts' {
  interface Tensor {
    gather(indices: Tensor, axis?: number): Tensor;
    takeAlongAxis(indices: Tensor, axis?: number): Tensor;
    scatterAdd(indices: Tensor, updates: Tensor, axis?: number): Tensor;
    oneHot(depth: Dim, options?: OneHotOptions): Tensor;
    nonZero(count: string): Tensor;
    argMax(axis?: number, options?: { keepDims?: boolean }): Tensor;
    argMin(axis?: number, options?: { keepDims?: boolean }): Tensor;
    topK(k: Dim, axis?: number, options?: { largest?: boolean }): Ranked;
    sort(axis?: number, options?: { descending?: boolean }): Ranked;
    cumSum(axis: number, options?: CumSumOptions): Tensor;
  }
}

defineMethods({ gather, takeAlongAxis, scatterAdd, oneHot, nonZero, argMax, argMin, topK, sort, cumSum });
