/**
 * Random numbers as functions of a seed. Element i of a draw is a hash of the counter i under a key that the seed and
 * the stream number make, in 32-bit integers, so the same seed gives the same numbers on every provider.
 *
 * A draw walks a Weyl sequence i·γ + o whose odd step γ and offset o are its key (as SplitMix does: Steele, Lea and
 * Flood, OOPSLA 2014) and hashes each term with two rounds of xor-shift and multiplication (C. Wellons'
 * hash-prospector: shifts 16, 15, 15, multipliers 0x21f0aaad, 0xd35a2d97, bias 0.107).
 */

import { type DType, ndarray } from '../array.ts';
import { addDims, canonical, type Dim, floorDivDim, productOf, type Shape } from '../dims.ts';
import { onnxType } from '../onnx.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import { type Tensor, TensorError } from '../tensor.ts';
import { constant } from './constant.ts';
import { defineMethods } from './methods.ts';
import { concat } from './shape.ts';

const multipliers = [0x21f0aaad, 0xd35a2d97] as const;
/** Added before each round of the seed's Feistel network: 32 bits each of the fractions of √2, √3, √5. */
const rounds = [0x6a09e667, 0xbb67ae85, 0x3c6ef372] as const;

/** The hash, where the key is known while tracing. */
function mix(x: number): number {
  let h = x ^ (x >>> 16);
  h = Math.imul(h, multipliers[0]);
  h ^= h >>> 15;
  h = Math.imul(h, multipliers[1]);
  return (h ^ (h >>> 15)) >>> 0;
}

function emitXorShift(onnx: Lowering, x: string, by: number): string {
  const shifted = onnx.emit('BitShift', [x, onnx.scalar(by, 'uint32')], { direction: { string: 'RIGHT' } });
  return onnx.emit('BitwiseXor', [x, shifted]);
}

/** The hash in the graph; `x` is uint32 of any shape. */
function emitMix(onnx: Lowering, x: string): string {
  let h = emitXorShift(onnx, x, 16);
  h = onnx.emit('Mul', [h, onnx.scalar(multipliers[0], 'uint32')]);
  h = emitXorShift(onnx, h, 15);
  h = onnx.emit('Mul', [h, onnx.scalar(multipliers[1], 'uint32')]);
  return emitXorShift(onnx, h, 15);
}

/** A seed: an integer, or a scalar of int32 or int64, or two words of int32, int64 or uint32. */
export type Seed = number | Tensor;

/** Of all draws. */
export interface DrawOptions {
  /** Draws of one seed with different stream numbers are independent; those with equal ones are equal. Default 0. */
  readonly stream?: number;
  /** Default float32. */
  readonly dtype?: DType;
}

const keyOperator = defineOperator({
  name: 'randomKey',
  doc: 'Two words that depend on every bit of a seed: a three-round Feistel network of the draw hash.',
  infer(inputs) {
    const seed = inputs[0]!;
    const isScalar = seed.rank === 0 && (seed.dtype === 'int32' || seed.dtype === 'int64');
    const isPair = seed.rank === 1 && seed.shape[0] === 2 && /^u?int(32|64)$/.test(seed.dtype);
    if (!isScalar && !isPair) {
      refuse('randomKey', inputs, `a seed is an integer scalar or two integer words, got ${seed}`);
    }
    return { shape: [2], dtype: 'uint32' };
  },
  lower(onnx, [seed], { inputs }) {
    let [a, b] = emitWords(onnx, seed!, inputs[0]!);
    for (const round of rounds) {
      const mixed = emitMix(onnx, onnx.emit('Add', [b, onnx.scalar(round, 'uint32')]));
      [a, b] = [b, onnx.emit('BitwiseXor', [a, mixed])];
    }
    return onnx.emit('Concat', [a, b], { axis: { int: 0 } });
  },
  grad: null,
});

/** The low and the high word of a seed, each uint32 [1]. */
function emitWords(onnx: Lowering, seed: string, { rank, dtype }: Tensor): [string, string] {
  const cast = (x: string, to: DType) => onnx.emit('Cast', [x], { to: { int: onnxType(to) } });
  if (rank === 1) {
    const words = dtype === 'uint32' ? seed : cast(seed, 'uint32');
    const word = (i: number) => onnx.emit('Gather', [words, onnx.ints([i])], { axis: { int: 0 } });
    return [word(0), word(1)];
  }
  const wide = dtype === 'int64' ? seed : cast(seed, 'int64');
  const one = onnx.emit('Reshape', [wide, onnx.ints([1])]);
  const low = onnx.emit('BitwiseAnd', [one, onnx.ints([2 ** 32 - 1])]);
  const high = onnx.emit('Div', [onnx.emit('Sub', [one, low]), onnx.ints([2 ** 32])]);
  return [cast(low, 'uint32'), cast(high, 'uint32')];
}

function keyOf(seed: Seed): Tensor {
  if (typeof seed !== 'number') return apply(keyOperator, [seed], {});
  if (!Number.isSafeInteger(seed)) throw new TensorError(`random: seed ${seed} is not a safe integer`);
  let [a, b] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  for (const round of rounds) [a, b] = [b, (a ^ mix((b + round) >>> 0)) >>> 0];
  return constant(ndarray([a, b], [2], 'uint32'));
}

interface BitsAttributes {
  readonly count: Dim;
  readonly stream: number;
  readonly [key: string]: unknown;
}

/** `count` words of a draw, uint32. */
function emitBits(onnx: Lowering, key: string, { count, stream }: BitsAttributes): string {
  const tag = [mix((2 * stream + 1) >>> 0), mix((2 * stream + 2) >>> 0)];
  const keys = emitMix(onnx, onnx.emit('BitwiseXor', [key, onnx.constant(ndarray(tag, [2], 'uint32'))]));
  const word = (i: number) => onnx.emit('Gather', [keys, onnx.ints([i])], { axis: { int: 0 } });
  const step = onnx.emit('BitwiseOr', [word(0), onnx.scalar(1, 'uint32')]);
  const size = typeof count === 'number' ? onnx.scalar(count, 'int32') : emitInt32(onnx, onnx.dim(count));
  const counter = onnx.emit('Range', [onnx.scalar(0, 'int32'), size, onnx.scalar(1, 'int32')]);
  const unsigned = onnx.emit('Cast', [counter], { to: { int: onnxType('uint32') } });
  const sequence = onnx.emit('Add', [onnx.emit('Mul', [unsigned, step]), word(1)]);
  return emitMix(onnx, sequence);
}

function emitInt32(onnx: Lowering, x: string): string {
  return onnx.emit('Cast', [x], { to: { int: onnxType('int32') } });
}

const uniformOperator = defineOperator<BitsAttributes & { dtype: DType }>({
  name: 'randomUniform',
  doc: 'Uniform multiples of 2^-24 in [0, 1) from a key: the upper 24 bits of a hashed counter.',
  infer: (_, { count, dtype }) => ({ shape: [count], dtype }),
  lower(onnx, [key], { attributes }) {
    const bits = emitBits(onnx, key!, attributes);
    const upper = onnx.emit('BitShift', [bits, onnx.scalar(8, 'uint32')], { direction: { string: 'RIGHT' } });
    const { dtype } = attributes;
    const number = onnx.emit('Cast', [upper], { to: { int: onnxType(dtype) } });
    return onnx.emit('Mul', [number, onnx.scalar(2 ** -24, dtype)]);
  },
  grad: null,
});

const maskOperator = defineOperator<BitsAttributes & { dtype: DType; threshold: number; scale: number }>({
  name: 'randomMask',
  doc: '`scale` where the word of a hashed counter is at least `threshold`, 0 elsewhere, from a key.',
  infer: (_, { count, dtype }) => ({ shape: [count], dtype }),
  lower(onnx, [key], { attributes }) {
    const { dtype, threshold, scale } = attributes;
    const drop = onnx.emit('Less', [emitBits(onnx, key!, attributes), onnx.scalar(threshold, 'uint32')]);
    return onnx.emit('Where', [drop, onnx.scalar(0, dtype), onnx.scalar(scale, dtype)]);
  },
  grad: null,
});

function bitsAttributes(what: string, shape: Shape, stream: number): BitsAttributes {
  if (!Number.isInteger(stream) || stream < 0 || stream >= 2 ** 31 - 1) {
    throw new TensorError(`${what}: stream ${stream} is not an integer from 0 to 2^31 − 2`);
  }
  const count = productOf(shape.map(canonical));
  if (typeof count === 'number' && (count < 0 || count >= 2 ** 31)) {
    throw new TensorError(`${what}: [${shape}] has ${count} elements, a draw has at most 2^31 − 1`);
  }
  return { count, stream };
}

function checkDType(what: string, dtype: DType): void {
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new TensorError(`${what}: draws are float32 or float64, not ${dtype}: cast them`);
  }
}

/**
 * Independent numbers, uniform on [0, 1) in steps of 2^-24. The same seed, stream and shape give the same numbers
 * on every provider, to the bit.
 */
export function uniform(shape: Shape, seed: Seed, options: DrawOptions = {}): Tensor {
  const { stream = 0, dtype = 'float32' } = options;
  checkDType('uniform', dtype);
  const attributes = { ...bitsAttributes('uniform', shape, stream), dtype };
  return apply(uniformOperator, [keyOf(seed)], attributes).reshape(shape);
}

/** Of `normal`. */
export interface NormalOptions extends DrawOptions {
  /** Default 0. */
  readonly mean?: number;
  /** Standard deviation; default 1. */
  readonly std?: number;
}

/**
 * Independent normally distributed numbers (Box and Muller 1958), at most 5.77 standard deviations from the mean. The
 * same on every provider up to the rounding of its log, sin and cos.
 */
export function normal(shape: Shape, seed: Seed, options: NormalOptions = {}): Tensor {
  const { mean = 0, std = 1, ...draw } = options;
  if (!(std >= 0)) throw new TensorError(`normal: standard deviation ${std} is negative`);
  const count = productOf(shape.map(canonical));
  const half = floorDivDim(addDims(count, 1), 2);
  const pairs = uniform([2, half], seed, draw);
  const radius = pairs
    .select(0, 0)
    .neg()
    .add(1)
    .log()
    .mul(-2 * std * std)
    .sqrt();
  const angle = pairs.select(0, 1).mul(2 * Math.PI);
  const both = concat([radius.mul(angle.cos()), radius.mul(angle.sin())], 0);
  return both.slice(0, 0, count).add(mean).reshape(shape);
}

/** Independent integers, uniform from `low` to `high` − 1, int64. At most 2^24 different ones. */
export function randomInteger(
  shape: Shape,
  low: number,
  high: number,
  seed: Seed,
  options: { readonly stream?: number } = {},
): Tensor {
  const range = high - low;
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || range < 1 || range > 2 ** 24) {
    throw new TensorError(`randomInteger: [${low}, ${high}) does not hold 1 to 2^24 integers`);
  }
  return uniform(shape, seed, options).mul(range).floor().cast('int64').add(low);
}

/**
 * x with each element set to 0 with probability `p` and the others scaled by 1 / (1 − p) (Srivastava et al. 2014).
 * The gradient is dropped at the same places. Without an own stream number two dropouts of one seed drop alike.
 */
export function dropout(
  x: Tensor,
  p: number,
  seed: Seed,
  options: { readonly stream?: number } = {},
): Tensor {
  if (!(p >= 0 && p <= 1)) refuse('dropout', [x], `probability ${p} is outside [0, 1]`);
  if (p === 0) return x;
  const mask = { ...bitsAttributes('dropout', x.shape, options.stream ?? 0), dtype: x.dtype };
  const threshold = Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1);
  const scale = p === 1 ? 0 : 1 / (1 - p);
  return x.mul(apply(maskOperator, [keyOf(seed)], { ...mask, threshold, scale }).reshape(x.shape));
}

declare module '../tensor.ts' {
  interface Tensor {
    dropout(p: number, seed: Seed, options?: { readonly stream?: number }): Tensor;
  }
}

defineMethods({ dropout });
