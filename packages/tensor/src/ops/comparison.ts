/** Element-wise comparison, logic and selection, with NumPy broadcasting. */

import { broadcastShapes } from '../dims.ts';
import { apply, defineOperator, refuse } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { broadcastType, unbroadcast } from './broadcast.ts';
import { asTensor, constant, type Operand } from './constant.ts';
import { defineMethods } from './methods.ts';

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

/** a = b, as bool. */
export const equal = comparison('equal', 'Equal', 'a = b as bool (ONNX Equal).');
/** a < b, as bool. */
export const less = comparison('less', 'Less', 'a < b as bool (ONNX Less).');
/** a ≤ b, as bool. */
export const lessEqual = comparison('lessEqual', 'LessOrEqual', 'a ≤ b as bool (ONNX LessOrEqual).');
/** a > b, as bool. */
export const greater = comparison('greater', 'Greater', 'a > b as bool (ONNX Greater).');
/** a ≥ b, as bool. */
export const greaterEqual = comparison(
  'greaterEqual',
  'GreaterOrEqual',
  'a ≥ b as bool (ONNX GreaterOrEqual).',
);
/** Both, of bools. */
export const and = comparison('and', 'And', 'Both, of bools (ONNX And).');
/** Either, of bools. */
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

/** Negation of bools. */
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

declare module '../tensor.ts' {
  interface Tensor {
    equal(b: Operand): Tensor;
    less(b: Operand): Tensor;
    lessEqual(b: Operand): Tensor;
    greater(b: Operand): Tensor;
    greaterEqual(b: Operand): Tensor;
    and(b: Tensor): Tensor;
    or(b: Tensor): Tensor;
    not(): Tensor;
  }
}

defineMethods({ equal, less, lessEqual, greater, greaterEqual, and, or, not });
