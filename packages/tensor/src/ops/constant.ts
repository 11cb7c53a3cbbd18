/** Leaves with a known value. */

import { type DType, type NdArray, ndarray } from '../array.ts';
import type { Dim, Shape } from '../dims.ts';
import { onnxType } from '../onnx.ts';
import { apply, defineOperator } from '../operator.ts';
import { Tensor, TensorError } from '../tensor.ts';

/** A tensor operand of an operator: numbers become scalar constants of the other operand's dtype. */
export type Operand = Tensor | number;

/** A constant from an array, or a scalar constant from a number. */
export function constant(value: number | NdArray, dtype: DType = 'float32'): Tensor {
  const array = typeof value === 'number' ? ndarray([value], [], dtype) : value;
  return new Tensor({ shape: array.shape, dtype: array.dtype }, { kind: 'constant', value: array });
}

/** `operand` as a tensor; a number takes `like`'s dtype. */
export function asTensor(operand: Operand, like: Tensor): Tensor {
  if (typeof operand !== 'number') return operand;
  return constant(operand, like.dtype === 'bool' ? 'float32' : like.dtype);
}

/** `value` in every element of `shape`. */
export function full(shape: Shape, value: number, dtype: DType = 'float32'): Tensor {
  const scalar = constant(value, dtype);
  return shape.length === 0 ? scalar : scalar.expand(shape);
}

/** 0 in every element. */
export function zeros(shape: Shape, dtype: DType = 'float32'): Tensor {
  return full(shape, 0, dtype);
}

/** 1 in every element. */
export function ones(shape: Shape, dtype: DType = 'float32'): Tensor {
  return full(shape, 1, dtype);
}

/** The number in every element, where the graph shows it: lets sums and products drop terms. */
export function uniformValue(tensor: Tensor): number | undefined {
  const { node } = tensor;
  if (node?.operator.name === 'expand' || node?.operator.name === 'reshape')
    return uniformValue(node.inputs[0]!);
  if (tensor.source?.kind !== 'constant' || tensor.rank !== 0 || tensor.dtype === 'float16') return undefined;
  return Number(tensor.source.value.data[0]);
}

const rangeOperator = defineOperator<{ start: number; step: number; count: Dim; dtype: DType }>({
  name: 'arange',
  doc: 'start, start + step, ... with `count` elements (ONNX Range).',
  infer: (_, { count, dtype }) => ({ shape: [count], dtype }),
  lower(onnx, _, { attributes: { start, step, count, dtype } }) {
    const steps = onnx.emit('Range', [onnx.scalar(0, 'int64'), onnx.dim(count), onnx.scalar(1, 'int64')]);

    const typed = dtype === 'int64' ? steps : onnx.emit('Cast', [steps], { to: { int: onnxType(dtype) } });
    const scaled = step === 1 ? typed : onnx.emit('Mul', [typed, onnx.scalar(step, dtype)]);
    return start === 0 ? scaled : onnx.emit('Add', [scaled, onnx.scalar(start, dtype)]);
  },
  grad: null,
});

/** `count` numbers from `start` in steps of `step`, shape [count]; `count` may be a free dimension. */
export function arange(count: Dim, options: { start?: number; step?: number; dtype?: DType } = {}): Tensor {
  const { start = 0, step = 1, dtype = 'float32' } = options;
  if (typeof count === 'number' && count < 0) throw new TensorError(`arange: count ${count} is negative`);
  return apply(rangeOperator, [], { start, step, count, dtype });
}
