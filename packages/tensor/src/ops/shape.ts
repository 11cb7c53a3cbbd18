import {
  addDims,
  broadcastShapes,
  canonical,
  divDims,
  productOf,
  type Shape,
  sameShape,
  showShape,
} from '../dims.ts';
import { apply, applyMany, defineOperator, type Lowering, type Operator, refuse } from '../operator.ts';
import { normalizeAxis, type Tensor, TensorError } from '../tensor.ts';
import { unbroadcast } from './broadcast.ts';
import { zeros } from './constant.ts';
import { defineMethods } from './methods.ts';
import { lowerRowOrder } from './row-order.ts';

const reshapeOperator = defineOperator<{ shape: Shape }>({
  name: 'reshape',
  doc: 'The same elements in another shape (ONNX Reshape).',
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  lower: (onnx, [x], { attributes: { shape } }) => lowerReshape(onnx, x!, shape),
  grad: ([g], { inputs }) => [g!.reshape(inputs[0]!.shape)],
});

/** Emits a Reshape to a shape that may hold free dimensions; any of its dimensions may be 0. */
export function lowerReshape(onnx: Lowering, x: string, shape: Shape): string {
  const free = shape.filter((dim) => typeof dim !== 'number').length;
  if (free === 1 && !shape.includes(0)) {
    return onnx.emit('Reshape', [x, onnx.ints(shape.map((dim) => (typeof dim === 'number' ? dim : -1)))]);
  }
  // Without allowzero a 0 means "as in the input", and a free dimension may turn out to be 0.
  const zero = free > 0 || shape.includes(0);
  return onnx.emit('Reshape', [x, onnx.shape(shape)], zero ? { allowzero: { int: 1 } } : {});
}

/** The elements of x in row-major order in another shape; one dimension may be −1, which is what is left. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const wanted = shape.map(canonical);
  const open = wanted.indexOf(-1);
  const total = productOf(x.shape);
  if (open >= 0) {
    const rest = divDims(total, productOf(wanted.filter((_, i) => i !== open)));
    if (rest === undefined) refuse('reshape', [x], `${total} elements do not fill ${showShape(wanted)}`);
    wanted[open] = rest;
  }
  if (productOf(wanted) !== total)
    refuse('reshape', [x], `${total} elements do not fill ${showShape(wanted)}`);
  if (sameShape(wanted, x.shape)) return x;
  const source = x.node?.operator.name === reshapeOperator.name ? x.node.inputs[0]! : x;
  return sameShape(wanted, source.shape) ? source : apply(reshapeOperator, [source], { shape: wanted });
}

/** Axes `start` to `end` (inclusive) as one axis. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  const [from, to] = [normalizeAxis(start, x.rank), normalizeAxis(end, x.rank)];
  return reshape(x, [
    ...x.shape.slice(0, from),
    productOf(x.shape.slice(from, to + 1)),
    ...x.shape.slice(to + 1),
  ]);
}

/** Without the given axes of size 1; without all such axes when none are given. */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  const list = axes === undefined ? undefined : [axes].flat().map((axis) => normalizeAxis(axis, x.rank));
  for (const axis of list ?? []) {
    if (x.shape[axis] !== 1) refuse('squeeze', [x], `axis ${axis} has size ${x.shape[axis]}, not 1`);
  }
  return reshape(
    x,
    x.shape.filter((dim, i) => (list ? !list.includes(i) : dim !== 1)),
  );
}

/** With a new axis of size 1 at `axis` of the result. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

const transposeOperator = defineOperator<{ permutation: readonly number[] }>({
  name: 'transpose',
  doc: 'Axes in another order (ONNX Transpose).',
  infer: ([x], { permutation }) => ({ shape: permutation.map((axis) => x!.shape[axis]!), dtype: x!.dtype }),
  lower: (onnx, [x], { inputs, attributes: { permutation } }) =>
    lowerRowOrder(onnx, x!, inputs[0]!, permutation) ??
    onnx.emit('Transpose', [x!], { perm: { ints: permutation } }),
  grad: ([g], { attributes: { permutation } }) => [
    transpose(
      g!,
      permutation.map((_, i) => permutation.indexOf(i)),
    ),
  ],
});

/** Axes in the order `permutation`; without one, the last two are exchanged. */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const last = Array.from({ length: x.rank }, (_, i) => (i < x.rank - 2 ? i : 2 * x.rank - 3 - i));
  const order = (permutation ?? last).map((axis) => normalizeAxis(axis, x.rank));
  if (x.rank < 2 && !permutation) refuse('transpose', [x], 'there are no two axes to exchange');
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    refuse('transpose', [x], `[${order}] is not an order of ${x.rank} axes`);
  }
  if (order.every((axis, i) => axis === i)) return x;
  const inner = transposition(x);
  if (inner) {
    const source = x.node!.inputs[0]!;
    return transpose(
      source,
      order.map((axis) => inner[axis]!),
    );
  }
  return apply(transposeOperator, [x], { permutation: order });
}

/** The permutation by which `x` was made, if it was made by one: lets matrix products read the original. */
export function transposition(x: Tensor): readonly number[] | undefined {
  return x.node?.operator.name === transposeOperator.name
    ? (x.node!.attributes as { permutation: readonly number[] }).permutation
    : undefined;
}

const expandOperator = defineOperator<{ shape: Shape }>({
  name: 'expand',
  doc: 'Repeated along axes of size 1 (ONNX Expand).',
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  lower: (onnx, [x], { attributes }) => onnx.emit('Expand', [x!, onnx.shape(attributes.shape)]),
  grad: ([g], { inputs }) => [unbroadcast(g!, inputs[0]!.shape)],
});

/** x repeated along its axes of size 1, and along new leading axes, to `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const wanted = shape.map(canonical);
  if (sameShape(wanted, x.shape)) return x;
  const out = broadcastShapes(x.shape, wanted);
  if (!out || !sameShape(out, wanted)) refuse('expand', [x], `does not stretch to ${showShape(wanted)}`);
  return apply(expandOperator, [x], { shape: wanted });
}

const concatOperator = defineOperator<{ axis: number }>({
  name: 'concat',
  doc: 'Joined along an axis (ONNX Concat).',
  infer(inputs, { axis }) {
    const [first] = inputs as [Tensor];
    for (const x of inputs) {
      if (x.dtype !== first.dtype) refuse('concat', inputs, `dtypes ${first.dtype} and ${x.dtype} differ`);
      if (x.rank !== first.rank || x.shape.some((dim, i) => i !== axis && dim !== first.shape[i])) {
        refuse('concat', inputs, `shapes differ outside axis ${axis}`);
      }
    }
    const joined = inputs.map((x) => x.shape[axis]!).reduce(addDims);
    return { shape: first.shape.map((dim, i) => (i === axis ? joined : dim)), dtype: first.dtype };
  },
  lower: (onnx, inputs, { attributes }) => onnx.emit('Concat', inputs, { axis: { int: attributes.axis } }),
  grad: ([g], { inputs, attributes: { axis } }) => {
    const sizes = inputs.map((x) => x.shape[axis]!);
    return split(g!, sizes, axis);
  },
});

/** Tensors joined along an axis. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const first = tensors[0];
  if (!first) throw new TensorError('concat: no tensors given');
  return tensors.length === 1
    ? first
    : apply(concatOperator, tensors, { axis: normalizeAxis(axis, first.rank) });
}

/** Tensors of one shape joined along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(
    tensors.map((x) => unsqueeze(x, axis)),
    axis < 0 ? axis + (tensors[0]?.rank ?? 0) + 1 : axis,
  );
}

const splitOperator = defineOperator<{ axis: number; sizes: Shape }>({
  name: 'split',
  doc: 'Cut along an axis into parts of given sizes (ONNX Split).',
  infer: ([x], { axis, sizes }) =>
    sizes.map((size) => ({ shape: x!.shape.map((dim, i) => (i === axis ? size : dim)), dtype: x!.dtype })),
  lower: (onnx, [x], { inputs, attributes: { axis, sizes } }) =>
    lowerTransposedParts(onnx, inputs[0]!, axis, sizes) ??
    onnx.emitMany('Split', [x!, onnx.shape(sizes)], sizes.length, { axis: { int: axis } }),
  grad: (gradients, { outputs, attributes }) => [
    concat(
      outputs.map((out, i) => gradients[i] ?? zeros(out.shape, out.dtype)),
      attributes.axis,
    ),
  ],
});

/** Parts of a transposed array, each read from where it lies in the original: the whole is never written. */
function lowerTransposedParts(
  onnx: Lowering,
  x: Tensor,
  axis: number,
  sizes: Shape,
): readonly string[] | undefined {
  const permutation = transposition(x);
  if (!permutation || sizes.some((size) => typeof size !== 'number')) return undefined;
  const source = x.node!.inputs[0]!;
  let start = 0;
  const parts: string[] = [];
  for (const size of sizes as readonly number[]) {
    const part = lowerRowOrder(onnx, onnx.nameOf(source), source, permutation, { axis, start, size });
    if (part === undefined) return undefined;
    parts.push(part);
    start += size;
  }
  return parts;
}

/** Parts of the given sizes along an axis; a number means that many equal parts. */
export function split(x: Tensor, parts: number | Shape, axis: number): Tensor[] {
  const at = normalizeAxis(axis, x.rank);
  const dim = x.shape[at]!;
  let sizes: Shape;
  if (typeof parts === 'number') {
    const size = divDims(dim, parts);
    if (size === undefined)
      refuse('split', [x], `axis ${at} of size ${dim} does not divide into ${parts} equal parts`);
    sizes = Array.from({ length: parts }, () => size);
  } else sizes = parts.map(canonical);
  const total = sizes.reduce(addDims, 0);
  if (total !== dim) refuse('split', [x], `sizes ${showShape(sizes)} sum to ${total}, axis ${at} has ${dim}`);
  return sizes.length === 1 ? [x] : [...applyMany(splitOperator, [x], { axis: at, sizes })];
}

const triangleOperator: Operator<{ upper: boolean; diagonal: number }> = defineOperator<{
  upper: boolean;
  diagonal: number;
}>({
  name: 'triangle',
  doc: 'The lower or upper triangle of the last two axes, zeros elsewhere (ONNX Trilu).',
  infer: (inputs) => {
    if (inputs[0]!.rank < 2) refuse('triangle', inputs, 'needs at least two axes');
    return inputs[0]!;
  },
  lower: (onnx, [x], { attributes: { upper, diagonal } }) =>
    onnx.emit('Trilu', [x!, onnx.scalar(diagonal, 'int64')], { upper: { int: upper ? 1 : 0 } }),
  grad: ([g], { attributes }) => [apply(triangleOperator, [g!], attributes)],
});

/** Zeros above the `diagonal`-th diagonal of the last two axes. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return apply(triangleOperator, [x], { upper: false, diagonal });
}

/** Zeros below the `diagonal`-th diagonal of the last two axes. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return apply(triangleOperator, [x], { upper: true, diagonal });
}

declare module '../tensor.ts' {
  interface Tensor {
    reshape(shape: Shape): Tensor;
    flatten(start?: number, end?: number): Tensor;
    squeeze(axes?: number | readonly number[]): Tensor;
    unsqueeze(axis: number): Tensor;
    transpose(permutation?: readonly number[]): Tensor;
    expand(shape: Shape): Tensor;
    split(parts: number | Shape, axis: number): Tensor[];
    tril(diagonal?: number): Tensor;
    triu(diagonal?: number): Tensor;
  }
}

defineMethods({
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  transpose,
  expand,
  split,
  tril,
  triu,
});
