/** Element-wise operators with NumPy broadcasting: arithmetic, comparison, selection, unary maths. */

import type { DType } from '../array.ts';
import { broadcastShapes, type Shape, sameShape } from '../dims.ts';
import { onnxType } from '../onnx.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import type { Tensor, TensorType } from '../tensor.ts';
import { asTensor, constant, type Operand, uniformValue } from './constant.ts';
import { defineMethods } from './methods.ts';

/** Sums `gradient` over the axes that broadcasting added or stretched, back to `shape`. */
export function unbroadcast(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const added = gradient.rank - shape.length;
  const axes: number[] = [];
  gradient.shape.forEach((dim, i) => {
    if (i < added || (shape[i - added] === 1 && dim !== 1)) axes.push(i);
  });
  const summed = gradient.sum(axes, { keepDims: true });
  return added > 0 ? summed.reshape(shape) : summed;
}

function broadcastType(name: string, inputs: readonly Tensor[], dtype?: DType): TensorType {
  const [a, b] = inputs as [Tensor, Tensor];
  if (a.dtype !== b.dtype) refuse(name, inputs, `dtypes ${a.dtype} and ${b.dtype} differ: cast one`);
  const shape = broadcastShapes(a.shape, b.shape);
  if (!shape) refuse(name, inputs, 'shapes do not broadcast');
  return { shape, dtype: dtype ?? a.dtype };
}

interface BinaryRule {
  readonly doc: string;
  readonly onnx: string;
  /** Gradients before they are summed over broadcast axes; `null` where not differentiable. */
  readonly grad: ((g: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor, Tensor]) | null;
}

function binary(name: string, rule: BinaryRule) {
  const operator = defineOperator({
    name,
    doc: rule.doc,
    infer: (inputs) => broadcastType(name, inputs),
    lower: (onnx, inputs) => onnx.emit(rule.onnx, inputs),
    grad:
      rule.grad &&
      (([g], { inputs, outputs }) => {
        const [a, b] = inputs as [Tensor, Tensor];
        const [ga, gb] = rule.grad!(g!, a, b, outputs[0]!);
        return [unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)];
      }),
  });
  return (a: Operand, b: Operand): Tensor => {
    const tensorA = typeof a === 'number' ? asTensor(a, b as Tensor) : a;
    const tensorB = typeof b === 'number' ? asTensor(b, tensorA) : b;
    return apply(operator, [tensorA, tensorB], {});
  };
}

const addNodes = binary('add', { doc: 'a + b (ONNX Add).', onnx: 'Add', grad: (g) => [g, g] });
const subNodes = binary('sub', { doc: 'a − b (ONNX Sub).', onnx: 'Sub', grad: (g) => [g, g.neg()] });
const mulNodes = binary('mul', {
  doc: 'a · b (ONNX Mul).',
  onnx: 'Mul',
  grad: (g, a, b) => [g.mul(b), g.mul(a)],
});
const divNodes = binary('div', {
  doc: 'a / b (ONNX Div); integers truncate.',
  onnx: 'Div',
  grad: (g, _, b, y) => {
    const ga = g.div(b);
    return [ga, ga.mul(y).neg()];
  },
});
const powNodes = binary('pow', {
  doc: 'a to the power b (ONNX Pow); the gradient for b holds for a > 0.',
  onnx: 'Pow',
  grad: (g, a, b, y) => [
    g.mul(b).mul(pow(a, sub(b, 1))),
    g.mul(y).mul(where(a.greater(0), a.maximum(1e-38).log(), 0)),
  ],
});

/** Is `value` the number `expected` in every element, and `other` what broadcasting the two gives? */
function isNeutral(value: Operand, expected: number, other: Operand): other is Tensor {
  if (typeof other === 'number') return false;
  if (typeof value === 'number') return value === expected;
  if (value.dtype !== other.dtype || uniformValue(value) !== expected) return false;
  const shape = broadcastShapes(value.shape, other.shape);
  return shape !== undefined && sameShape(shape, other.shape);
}

/** a + b. */
export function add(a: Operand, b: Operand): Tensor {
  if (isNeutral(b, 0, a)) return a;
  if (isNeutral(a, 0, b)) return b;
  return addNodes(a, b);
}

/** a − b. */
export function sub(a: Operand, b: Operand): Tensor {
  return isNeutral(b, 0, a) ? a : subNodes(a, b);
}

/** a · b. */
export function mul(a: Operand, b: Operand): Tensor {
  if (isNeutral(b, 1, a)) return a;
  if (isNeutral(a, 1, b)) return b;
  return mulNodes(a, b);
}

/** a / b. */
export function div(a: Operand, b: Operand): Tensor {
  // One multiplication by a reciprocal is cheaper than a division per element; exact for powers of two.
  if (
    typeof a !== 'number' &&
    typeof b === 'number' &&
    a.dtype.startsWith('float') &&
    Number.isInteger(Math.log2(Math.abs(b)))
  ) {
    return b === 1 ? a : mulNodes(a, 1 / b);
  }
  if (isNeutral(b, 1, a)) return a;
  return divNodes(a, b);
}

/** a to the power b. Squares, roots and reciprocals become cheaper nodes. */
export function pow(a: Operand, b: Operand): Tensor {
  if (typeof a !== 'number' && typeof b === 'number') {
    if (b === 1) return a;
    if (b === 2) return mul(a, a);
    if (b === 0.5) return a.sqrt();
    if (b === -1) return a.reciprocal();
    if (b === 0) return constant(1, a.dtype).expand(a.shape);
  }
  return powNodes(a, b);
}

/** Half the gradient to each operand where they are equal, all of it to the chosen one elsewhere. */
function chosen(g: Tensor, a: Tensor, b: Tensor, aWins: Tensor): readonly [Tensor, Tensor] {
  const share = where(
    a.equal(b),
    constant(0.5, g.dtype),
    where(aWins, constant(1, g.dtype), constant(0, g.dtype)),
  );
  return [g.mul(share), g.mul(sub(1, share))];
}

/** The larger of a and b. */
export const maximum = binary('maximum', {
  doc: 'max(a, b) (ONNX Max); ties share the gradient.',
  onnx: 'Max',
  grad: (g, a, b) => chosen(g, a, b, a.greater(b)),
});
/** The smaller of a and b. */
export const minimum = binary('minimum', {
  doc: 'min(a, b) (ONNX Min); ties share the gradient.',
  onnx: 'Min',
  grad: (g, a, b) => chosen(g, a, b, a.less(b)),
});

function comparison(name: string, onnxName: string, doc: string) {
  const operator = defineOperator({
    name,
    doc,
    infer: (inputs) => broadcastType(name, inputs, 'bool'),
    lower: (onnx, inputs) => onnx.emit(onnxName, inputs),
    grad: null,
  });
  return (a: Tensor, b: Operand): Tensor => apply(operator, [a, asTensor(b, a)], {});
}

export const equal = comparison('equal', 'Equal', 'a = b as bool (ONNX Equal).');
export const less = comparison('less', 'Less', 'a < b as bool (ONNX Less).');
export const lessEqual = comparison('lessEqual', 'LessOrEqual', 'a ≤ b as bool (ONNX LessOrEqual).');
export const greater = comparison('greater', 'Greater', 'a > b as bool (ONNX Greater).');
export const greaterEqual = comparison(
  'greaterEqual',
  'GreaterOrEqual',
  'a ≥ b as bool (ONNX GreaterOrEqual).',
);
export const and = comparison('and', 'And', 'Both, of bools (ONNX And).');
export const or = comparison('or', 'Or', 'Either, of bools (ONNX Or).');

const notOperator = defineOperator({
  name: 'not',
  doc: 'Negation of bools (ONNX Not).',
  infer: (inputs) => {
    if (inputs[0]!.dtype !== 'bool') refuse('not', inputs, `needs bool, got ${inputs[0]!.dtype}`);
    return inputs[0]!;
  },
  lower: (onnx, inputs) => onnx.emit('Not', inputs),
  grad: null,
});

export function not(x: Tensor): Tensor {
  return apply(notOperator, [x], {});
}

const whereOperator = defineOperator({
  name: 'where',
  doc: 'a where the condition holds, b elsewhere, broadcast together (ONNX Where).',
  infer(inputs) {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor];
    if (condition.dtype !== 'bool')
      refuse('where', inputs, `the condition must be bool, got ${condition.dtype}`);
    const branches = broadcastType('where', [a, b]);
    const shape = broadcastShapes(condition.shape, branches.shape);
    if (!shape) refuse('where', inputs, 'shapes do not broadcast');
    return { shape, dtype: a.dtype };
  },
  lower: (onnx, inputs) => onnx.emit('Where', inputs),
  grad: ([g], { inputs }) => {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor];
    const zero = constant(0, g!.dtype);
    return [
      undefined,
      unbroadcast(where(condition, g!, zero), a.shape),
      unbroadcast(where(condition, zero, g!), b.shape),
    ];
  },
});

/** `a` where `condition` (bool) holds, `b` elsewhere. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const like = typeof a !== 'number' ? a : typeof b !== 'number' ? b : constant(0);
  return apply(whereOperator, [condition, asTensor(a, like), asTensor(b, like)], {});
}

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

export const neg = unary('neg', { doc: '−x (ONNX Neg).', lower: 'Neg', grad: (g) => g.neg() });
export const reciprocal = unary('reciprocal', {
  doc: '1 / x (ONNX Reciprocal).',
  lower: 'Reciprocal',
  grad: (g, _, y) => g.mul(y).mul(y).neg(),
});
export const exp = unary('exp', { doc: 'e to the x (ONNX Exp).', lower: 'Exp', grad: (g, _, y) => g.mul(y) });
export const log = unary('log', {
  doc: 'Natural logarithm (ONNX Log).',
  lower: 'Log',
  grad: (g, x) => g.div(x),
});
export const sqrt = unary('sqrt', {
  doc: 'Square root (ONNX Sqrt).',
  lower: 'Sqrt',
  grad: (g, _, y) => g.mul(0.5).div(y),
});
export const rsqrt = unary('rsqrt', {
  doc: '1 / √x (ONNX Sqrt, Reciprocal).',
  lower: (onnx, x) => onnx.emit('Reciprocal', [onnx.emit('Sqrt', [x])]),
  grad: (g, x, y) => g.mul(-0.5).mul(y).div(x),
});
export const sin = unary('sin', { doc: 'Sine (ONNX Sin).', lower: 'Sin', grad: (g, x) => g.mul(x.cos()) });
export const cos = unary('cos', {
  doc: 'Cosine (ONNX Cos).',
  lower: 'Cos',
  grad: (g, x) => g.mul(x.sin()).neg(),
});
export const tanh = unary('tanh', {
  doc: 'Hyperbolic tangent (ONNX Tanh).',
  lower: 'Tanh',
  grad: (g, _, y) => g.sub(g.mul(y).mul(y)),
});
export const sigmoid = unary('sigmoid', {
  doc: '1 / (1 + e^−x) (ONNX Sigmoid).',
  lower: 'Sigmoid',
  grad: (g, _, y) => g.mul(y.sub(y.mul(y))),
});
export const erf = unary('erf', {
  doc: 'Gauss error function (ONNX Erf).',
  lower: 'Erf',
  grad: (g, x) => g.mul(x.mul(x).neg().exp()).mul(twoOverRootPi),
});
export const abs = unary('abs', { doc: '|x| (ONNX Abs).', lower: 'Abs', grad: (g, x) => g.mul(x.sign()) });
export const sign = unary('sign', { doc: '−1, 0 or 1 (ONNX Sign).', lower: 'Sign', grad: null });
export const floor = unary('floor', { doc: 'Rounded down (ONNX Floor).', lower: 'Floor', grad: null });
export const ceil = unary('ceil', { doc: 'Rounded up (ONNX Ceil).', lower: 'Ceil', grad: null });
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
    add(b: Operand): Tensor;
    sub(b: Operand): Tensor;
    mul(b: Operand): Tensor;
    div(b: Operand): Tensor;
    pow(b: Operand): Tensor;
    maximum(b: Operand): Tensor;
    minimum(b: Operand): Tensor;
    equal(b: Operand): Tensor;
    less(b: Operand): Tensor;
    lessEqual(b: Operand): Tensor;
    greater(b: Operand): Tensor;
    greaterEqual(b: Operand): Tensor;
    and(b: Tensor): Tensor;
    or(b: Tensor): Tensor;
    not(): Tensor;
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
    floor(): Tensor;
    ceil(): Tensor;
    round(): Tensor;
    stopGradient(): Tensor;
  }
}

defineMethods({
  ...{
    add,
    sub,
    mul,
    div,
    pow,
    maximum,
    minimum,
    equal,
    less,
    lessEqual,
    greater,
    greaterEqual,
    and,
    or,
    not,
  },
  ...{
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
    floor,
    ceil,
  },
  ...{ round, stopGradient },
});
