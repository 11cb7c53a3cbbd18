/** Element-wise operators of one operand: dtypes, limits, maths. */

import type { DType } from '../array.ts';
import { onnxType } from '../onnx.ts';
import { apply, defineOperator, type Lowering } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import type { Tensor } from '../tensor.ts';
import { where } from './comparison.ts';
import { defineMethods } from './methods.ts';

const castOperator = defineOperator<{ dtype: DType }>({
  name: 'cast',
  doc: 'Another dtype (ONNX Cast); floats to integers truncate.',
  infer: ([x], { dtype }) => ({ shape: x!.shape, dtype }),
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit('Cast', inputs, { to: { int: onnxType(attributes.dtype) } }),
  grad: ([g], { inputs, attributes }) =>
    isFloat(inputs[0]!.dtype) && isFloat(attributes.dtype) ? [g!.cast(inputs[0]!.dtype)] : [undefined],
});

function isFloat(dtype: DType): boolean {
  return dtype.startsWith('float');
}

/** x as another dtype. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : apply(castOperator, [x], { dtype });
}

const clipOperator = defineOperator<{ min: number | null; max: number | null }>({
  name: 'clip',
  doc: 'x limited to [min, max] (ONNX Clip); the gradient passes inside and on the limits.',
  infer: ([x]) => x!,
  lower(onnx, inputs, { attributes: { min, max }, outputs }) {
    const { dtype } = outputs[0]!;
    const limit = (value: number | null): string => (value === null ? '' : onnx.scalar(value, dtype));
    return onnx.emit('Clip', [inputs[0]!, limit(min), limit(max)]);
  },
  grad: ([g], { inputs, attributes: { min, max } }) => {
    const x = inputs[0]!;
    const above = min === null ? undefined : x.greaterEqual(min);
    const below = max === null ? undefined : x.lessEqual(max);
    const inside = above && below ? above.and(below) : (above ?? below);
    return [inside ? where(inside, g!, 0) : g!];
  },
});

/** x limited to [min, max]; infinities leave a side open. */
export function clip(x: Tensor, min: number, max: number): Tensor {
  // JSON, by which attributes are compared, has no infinities
  const limit = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return apply(clipOperator, [x], { min: limit(min), max: limit(max) });
}

interface UnaryRule {
  readonly doc: string;
  readonly lower: string | ((onnx: Lowering, x: string, dtype: DType) => string);
  readonly grad: ((g: Tensor, x: Tensor, y: Tensor) => Tensor) | null;
}

function unary(name: string, rule: UnaryRule): (x: Tensor) => Tensor {
  const { lower } = rule;
  const operator = defineOperator({
    name,
    doc: rule.doc,
    infer: ([x]) => x!,
    lower: (onnx, [x], { outputs }) =>
      typeof lower === 'string' ? onnx.emit(lower, [x!]) : lower(onnx, x!, outputs[0]!.dtype),
    grad: rule.grad && (([g], { inputs, outputs }) => [rule.grad!(g!, inputs[0]!, outputs[0]!)]),
  });
  return (x) => apply(operator, [x], {});
}

const twoOverRootPi = 2 / Math.sqrt(Math.PI);

/** −x. */
export const neg = unary('neg', { doc: '−x (ONNX Neg).', lower: 'Neg', grad: (g) => g.neg() });
/** 1 / x. */
export const reciprocal = unary('reciprocal', {
  doc: '1 / x (ONNX Reciprocal).',
  lower: 'Reciprocal',
  grad: (g, _, y) => g.mul(y).mul(y).neg(),
});
/** e to the x. */
export const exp = unary('exp', { doc: 'e to the x (ONNX Exp).', lower: 'Exp', grad: (g, _, y) => g.mul(y) });
/** Natural logarithm. */
export const log = unary('log', {
  doc: 'Natural logarithm (ONNX Log).',
  lower: 'Log',
  grad: (g, x) => g.div(x),
});
/** Square root. */
export const sqrt = unary('sqrt', {
  doc: 'Square root (ONNX Sqrt).',
  lower: 'Sqrt',
  grad: (g, _, y) => g.mul(0.5).div(y),
});
/** 1 / √x. */
export const rsqrt = unary('rsqrt', {
  doc: '1 / √x (ONNX Sqrt, Reciprocal).',
  lower: (onnx, x) => onnx.emit('Reciprocal', [onnx.emit('Sqrt', [x])]),
  grad: (g, x, y) => g.mul(-0.5).mul(y).div(x),
});
/** Sine. */
export const sin = unary('sin', { doc: 'Sine (ONNX Sin).', lower: 'Sin', grad: (g, x) => g.mul(x.cos()) });
/** Cosine. */
export const cos = unary('cos', {
  doc: 'Cosine (ONNX Cos).',
  lower: 'Cos',
  grad: (g, x) => g.mul(x.sin()).neg(),
});
/** Hyperbolic tangent. */
export const tanh = unary('tanh', {
  doc: 'Hyperbolic tangent (ONNX Tanh).',
  lower: 'Tanh',
  grad: (g, _, y) => g.sub(g.mul(y).mul(y)),
});
/** 1 / (1 + e^−x). */
export const sigmoid = unary('sigmoid', {
  doc: '1 / (1 + e^−x) (ONNX Sigmoid).',
  lower: 'Sigmoid',
  grad: (g, _, y) => g.mul(y.sub(y.mul(y))),
});
/** Gauss error function. */
export const erf = unary('erf', {
  doc: 'Gauss error function (ONNX Erf).',
  lower: 'Erf',
  grad: (g, x) => g.mul(x.mul(x).neg().exp()).mul(twoOverRootPi),
});
/** |x|. */
export const abs = unary('abs', { doc: '|x| (ONNX Abs).', lower: 'Abs', grad: (g, x) => g.mul(x.sign()) });
/** −1, 0 or 1. */
export const sign = unary('sign', { doc: '−1, 0 or 1 (ONNX Sign).', lower: 'Sign', grad: null });
/** 1 where x > 0, 0 elsewhere. */
export const step = unary('step', {
  doc: '1 where x > 0, 0 elsewhere (ONNX HardSigmoid so steep that no normal float lies on its slope; Greater).',
  lower(onnx, x, dtype) {
    if (dtype === 'float32' && isOnProcessor(onnx.provider))
      return onnx.emit('HardSigmoid', [x], { alpha: { float: 3e38 }, beta: { float: 0 } });
    const positive = onnx.emit('Greater', [x, onnx.scalar(0, dtype)]);
    return onnx.emit('Cast', [positive], { to: { int: onnxType(dtype) } });
  },
  grad: null,
});
/** Rounded down. */
export const floor = unary('floor', { doc: 'Rounded down (ONNX Floor).', lower: 'Floor', grad: null });
/** Rounded up. */
export const ceil = unary('ceil', { doc: 'Rounded up (ONNX Ceil).', lower: 'Ceil', grad: null });
/** Nearest, halves to even. */
export const round = unary('round', {
  doc: 'Nearest, halves to even (ONNX Round).',
  lower: 'Round',
  grad: null,
});

const stopOperator = defineOperator({
  name: 'stopGradient',
  doc: 'x itself, a constant to differentiation.',
  infer: ([x]) => x!,
  lower: (_, [x]) => x!,
  grad: null,
});

/** x itself; no gradient flows to it from here. */
export function stopGradient(x: Tensor): Tensor {
  return apply(stopOperator, [x], {});
}

declare module '../tensor.ts' {
  interface Tensor {
    cast(dtype: DType): Tensor;
    clip(min: number, max: number): Tensor;
    neg(): Tensor;
    reciprocal(): Tensor;
    exp(): Tensor;
    log(): Tensor;
    sqrt(): Tensor;
    rsqrt(): Tensor;
    sin(): Tensor;
    cos(): Tensor;
    tanh(): Tensor;
    sigmoid(): Tensor;
    erf(): Tensor;
    abs(): Tensor;
    sign(): Tensor;
    step(): Tensor;
    floor(): Tensor;
    ceil(): Tensor;
    round(): Tensor;
    stopGradient(): Tensor;
  }
}

defineMethods({
  cast,
  clip,
  neg,
  reciprocal,
  exp,
  log,
  sqrt,
  rsqrt,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  abs,
  sign,
  step,
  floor,
  ceil,
  round,
  stopGradient,
});
