/** Softmax and its relatives. */

import { apply, defineOperator } from '../operator.ts';
import { normalizeAxis, type Tensor } from '../tensor.ts';
import { defineMethods } from './methods.ts';

interface AxisAttributes {
  readonly axis: number;
  readonly [key: string]: unknown;
}

const softmaxOperator = defineOperator<AxisAttributes>({
  name: 'softmax',
  doc: 'e^x over its sum along an axis (ONNX Softmax).',
  infer: ([x]) => x!,
  lower: (onnx, [x], { attributes }) => onnx.emit('Softmax', [x!], { axis: { int: attributes.axis } }),
  grad: ([g], { outputs, attributes: { axis } }) => {
    const y = outputs[0]!;
    const gy = g!.mul(y);
    return [gy.sub(y.mul(gy.sum(axis, { keepDims: true })))];
  },
});

const logSoftmaxOperator = defineOperator<AxisAttributes>({
  name: 'logSoftmax',
  doc: 'x − log Σ e^x along an axis (ONNX LogSoftmax).',
  infer: ([x]) => x!,
  lower: (onnx, [x], { attributes }) => onnx.emit('LogSoftmax', [x!], { axis: { int: attributes.axis } }),
  grad: ([g], { outputs, attributes: { axis } }) => [
    g!.sub(outputs[0]!.exp().mul(g!.sum(axis, { keepDims: true }))),
  ],
});

/** Probabilities along an axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return apply(softmaxOperator, [x], { axis: normalizeAxis(axis, x.rank) });
}

/** Log-probabilities along an axis. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return apply(logSoftmaxOperator, [x], { axis: normalizeAxis(axis, x.rank) });
}

/** log Σ e^x along an axis, shifted by the maximum so that nothing overflows. */
export function logSumExp(x: Tensor, axis = -1, options: { keepDims?: boolean } = {}): Tensor {
  const shift = x.max(axis, { keepDims: true }).stopGradient();
  const wide = x.sub(shift).exp().sum(axis, { keepDims: true }).log().add(shift);
  return options.keepDims ? wide : wide.squeeze(axis);
}

declare module '../tensor.ts' {
  interface Tensor {
    softmax(axis?: number): Tensor;
    logSoftmax(axis?: number): Tensor;
    logSumExp(axis?: number, options?: { keepDims?: boolean }): Tensor;
  }
}

defineMethods({ softmax, logSoftmax, logSumExp });
