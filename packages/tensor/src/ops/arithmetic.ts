/** Element-wise arithmetic of two operands, with NumPy broadcasting. */

import { broadcastShapes, sameShape } from '../dims.ts';
import { apply, defineOperator } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { broadcastType, unbroadcast } from './broadcast.ts';
import { where } from './comparison.ts';
import { asTensor, constant, type Operand, uniformValue } from './constant.ts';
import { defineMethods } from './methods.ts';

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

declare module '../tensor.ts' {
  interface Tensor {
    add(b: Operand): Tensor;
    sub(b: Operand): Tensor;
    mul(b: Operand): Tensor;
    div(b: Operand): Tensor;
    pow(b: Operand): Tensor;
    maximum(b: Operand): Tensor;
    minimum(b: Operand): Tensor;
  }
}

defineMethods({ add, sub, mul, div, pow, maximum, minimum });
