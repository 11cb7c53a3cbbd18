/** Pieces of an axis, and an axis made longer: each is the other's gradient. */

import { ndarray } from '../array.ts';
import { addDims, canonical, type Dim, subDims } from '../dims.ts';
import { apply, defineOperator, refuse } from '../operator.ts';
import { normalizeAxis, type Tensor } from '../tensor.ts';
import { constant } from './constant.ts';
import { defineMethods } from './methods.ts';
import { reshape, squeeze } from './shape.ts';

interface SliceAttributes {
  readonly axis: number;
  readonly start: Dim;
  readonly size: Dim;
  readonly step: number;
  readonly [key: string]: unknown;
}

const sliceOperator = defineOperator<SliceAttributes>({
  name: 'slice',
  doc: 'Every step-th element of a range of an axis (ONNX Slice).',
  infer: ([x], { axis, size }) => ({
    shape: x!.shape.map((dim, i) => (i === axis ? size : dim)),
    dtype: x!.dtype,
  }),
  lower(onnx, [x], { inputs, attributes: { axis, start, size, step } }) {
    const end =
      step < 0
        ? onnx.ints([-(2 ** 31)])
        : onnx.shape([addDims(start, typeof size === 'number' && size > 0 ? (size - 1) * step + 1 : size)]);
    const stop =
      typeof size === 'number' || step === 1 || step < 0 ? end : onnx.shape([inputs[0]!.shape[axis]!]);
    return onnx.emit('Slice', [x!, onnx.shape([start]), stop, onnx.ints([axis]), onnx.ints([step])]);
  },
  grad: ([g], { inputs, attributes: { axis, start, size, step } }) => {
    const x = inputs[0]!;
    if (step < 0) return [flip(g!, axis)];
    const places = placesOf(x, axis, start, size, step);
    if (places) return [g!.matmul(places)];
    const room = subDims(x.shape[axis]!, start);
    if (step === 1 || size === 0) return [padZeros(g!, axis, start, subDims(room, size))];
    const spread = (size as number) * step;
    const fits = typeof room === 'number' && room >= spread; // mostly nothing is left to cut off
    const [dilated, used] = fits
      ? [withGaps(g!, axis, step), spread]
      : [dilate(g!, axis, step), spread - step + 1];
    return [padZeros(dilated, axis, start, subDims(room, used))];
  },
});

/**
 * For every step-th of the last axis, when that is short: the matrix [size, n] that puts elements back to where they
 * were taken from. Moved one by one they cost many times what the product does. (An infinity makes NaNs of the zeros
 * beside it; a gradient that holds one is lost anyway.)
 */
function placesOf(x: Tensor, axis: number, start: Dim, size: Dim, step: number): Tensor | undefined {
  const n = x.shape[axis]!;
  if (
    step === 1 ||
    size === 0 ||
    x.rank < 2 ||
    axis !== x.rank - 1 ||
    (x.dtype !== 'float32' && x.dtype !== 'float64')
  )
    return undefined;
  if (typeof n !== 'number' || typeof start !== 'number' || typeof size !== 'number' || n > 128)
    return undefined;
  const values = new Float64Array(size * n);
  for (let i = 0; i < size; i++) values[i * n + start + i * step] = 1;
  return constant(ndarray(values, [size, n], x.dtype));
}

/**
 * Elements `start` to `end` (exclusive) of an axis, every `step`-th (step > 0). Negative ends count from the back;
 * both may be free dimensions.
 */
export function slice(x: Tensor, axis: number, start: Dim, end?: Dim, step = 1): Tensor {
  const at = normalizeAxis(axis, x.rank);
  const dim = x.shape[at]!;
  if (!Number.isInteger(step) || step < 1)
    refuse('slice', [x], `step ${step} is not a positive integer (use flip)`);
  const resolve = (position: Dim): Dim => {
    if (typeof position === 'string') return canonical(position);
    if (position < 0) return typeof dim === 'number' ? Math.max(0, dim + position) : addDims(dim, position);
    return typeof dim === 'number' ? Math.min(position, dim) : position;
  };
  const from = resolve(start);
  const to = end === undefined ? dim : resolve(end);
  const length = subDims(to, from);
  const size =
    typeof length === 'number' ? Math.max(0, Math.ceil(length / step)) : step === 1 ? length : undefined;
  if (size === undefined)
    refuse('slice', [x], `a step of ${step} needs a fixed length, but '${length}' is free`);
  if (from === 0 && size === dim) return x;
  return apply(sliceOperator, [x], { axis: at, start: from, size, step });
}

/** One index of an axis, without that axis. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  const at = normalizeAxis(axis, x.rank);
  return squeeze(slice(x, at, index, index === -1 ? undefined : index + 1), at);
}

/** The elements of an axis in reverse order. */
export function flip(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(axis, x.rank);
  return apply(sliceOperator, [x], {
    axis: at,
    start: subDims(x.shape[at]!, 1),
    size: x.shape[at]!,
    step: -1,
  });
}

/** `step − 1` zeros between neighbours along an axis: [a b c] with step 2 is [a 0 b 0 c]. */
export function dilate(x: Tensor, axis: number, step: number): Tensor {
  const dim = x.shape[axis] as number;
  if (step === 1 || dim === 0) return x;
  return slice(withGaps(x, axis, step), axis, 0, dim * step - step + 1);
}

/** `step − 1` zeros behind each element of an axis. */
function withGaps(x: Tensor, axis: number, step: number): Tensor {
  const [before, dim, rest] = [x.shape.slice(0, axis), x.shape[axis] as number, x.shape.slice(axis + 1)];
  const spread = padZeros(reshape(x, [...before, dim, 1, ...rest]), axis + 1, 0, step - 1);
  return reshape(spread, [...before, dim * step, ...rest]);
}

interface PadAttributes {
  readonly axis: number;
  readonly before: Dim;
  readonly after: Dim;
  readonly mode: 'constant' | 'edge' | 'reflect';
  readonly value: number;
  readonly [key: string]: unknown;
}

const padOperator = defineOperator<PadAttributes>({
  name: 'pad',
  doc: 'An axis made longer with a constant, the edge or the reflection (ONNX Pad).',
  infer: ([x], { axis, before, after }) => ({
    shape: x!.shape.map((dim, i) => (i === axis ? addDims(addDims(dim, before), after) : dim)),
    dtype: x!.dtype,
  }),
  lower(onnx, [x], { inputs, attributes: { axis, before, after, mode, value } }) {
    const { dtype, rank } = inputs[0]!;
    // Amounts for every axis, not Pad's `axes`: ONNX Runtime (1.30) moves transposes past Pad as if it had none.
    const amounts = Array.from<Dim>({ length: 2 * rank }).fill(0);
    amounts[axis] = before;
    amounts[axis + rank] = after;
    return onnx.emit('Pad', [x!, onnx.shape(amounts), onnx.scalar(value, dtype)], { mode: { string: mode } });
  },
  grad: ([g], { inputs, attributes: { axis, before, after, mode } }) => {
    const size = inputs[0]!.shape[axis]!;
    const centre = slice(g!, axis, before, addDims(before, size));
    if (mode === 'constant') return [centre];
    const [n, b, a] = [size, before, after] as [number, number, number];
    const head = slice(g!, axis, 0, b);
    const tail = slice(g!, axis, b + n);
    const fold = (part: Tensor, start: number): Tensor =>
      padZeros(part, axis, start, n - start - (part.shape[axis] as number));
    const pieces =
      mode === 'edge'
        ? [fold(head.sum(axis, { keepDims: true }), 0), fold(tail.sum(axis, { keepDims: true }), n - 1)]
        : [fold(flip(head, axis), 1), fold(flip(tail, axis), n - 1 - a)];
    return [pieces.reduce((sum, piece) => sum.add(piece), centre)];
  },
});

function padAxis(x: Tensor, attributes: PadAttributes): Tensor {
  const { before, after } = attributes;
  return before === 0 && after === 0 ? x : apply(padOperator, [x], attributes);
}

function padZeros(x: Tensor, axis: number, before: Dim, after: Dim): Tensor {
  return padAxis(x, { axis, before, after, mode: 'constant', value: 0 });
}

/** Of `pad`. */
export interface PadOptions {
  readonly mode?: 'constant' | 'edge' | 'reflect';
  /** The constant; default 0. */
  readonly value?: number;
}

/** Axes made longer: `pads` holds [axis, before, after] triples; sizes are not negative. */
export function pad(
  x: Tensor,
  pads: readonly (readonly [axis: number, before: Dim, after: Dim])[],
  options: PadOptions = {},
): Tensor {
  const { mode = 'constant', value = 0 } = options;
  return pads.reduce((padded, [axis, before, after]) => {
    const at = normalizeAxis(axis, x.rank);
    const dim = padded.shape[at]!;
    for (const amount of [before, after]) {
      if (typeof amount === 'number' && amount < 0)
        refuse('pad', [x], `amount ${amount} is negative (use slice)`);
      if (mode === 'constant') continue;
      if (typeof amount !== 'number' || typeof dim !== 'number')
        refuse('pad', [x], `mode ${mode} needs fixed sizes`);
      if (dim === 0 || (mode === 'reflect' && amount >= dim)) {
        refuse('pad', [x], `axis ${at} of size ${dim} has too few elements for ${amount} of mode ${mode}`);
      }
    }
    return padAxis(padded, { axis: at, before: canonical(before), after: canonical(after), mode, value });
  }, x);
}

declare module '../tensor.ts' {
  interface Tensor {
    slice(axis: number, start: Dim, end?: Dim, step?: number): Tensor;
    select(axis: number, index: number): Tensor;
    flip(axis: number): Tensor;
    pad(pads: readonly (readonly [axis: number, before: Dim, after: Dim])[], options?: PadOptions): Tensor;
  }
}

defineMethods({ slice, select, flip, pad });
