/** Activation functions. */

import type { DType } from '../array.ts';
import { apply, defineOperator, type Lowering } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { where } from './comparison.ts';
import { defineMethods } from './methods.ts';
import { step } from './unary.ts';

interface ActivationRule<A> {
  readonly doc: string;
  readonly lower: (onnx: Lowering, x: string, attributes: A, dtype: DType) => string;
  readonly grad: (g: Tensor, x: Tensor, y: Tensor, attributes: A) => Tensor;
}

function activation<A extends { readonly [key: string]: unknown }>(name: string, rule: ActivationRule<A>) {
  const operator = defineOperator<A>({
    name,
    doc: rule.doc,
    infer: ([x]) => x!,
    lower: (onnx, [x], { attributes, outputs }) => rule.lower(onnx, x!, attributes, outputs[0]!.dtype),
    grad: ([g], { inputs, outputs, attributes }) => [rule.grad(g!, inputs[0]!, outputs[0]!, attributes)],
  });
  return (x: Tensor, attributes: A): Tensor => apply(operator, [x], attributes);
}

const reluNode = activation<Record<string, never>>('relu', {
  doc: 'max(x, 0) (ONNX Relu); the gradient at 0 is 0.',
  lower: (onnx, x) => onnx.emit('Relu', [x]),
  // a product with 0 and 1: the Where kernel takes three times as long
  grad: (g, _, y) => g.mul(step(y)),
});

const leakyReluNode = activation<{ slope: number }>('leakyRelu', {
  doc: 'x where positive, slope · x elsewhere (ONNX LeakyRelu).',
  lower: (onnx, x, { slope }) => onnx.emit('LeakyRelu', [x], { alpha: { float: slope } }),
  grad: (g, x, _, { slope }) => where(x.greater(0), g, g.mul(slope)),
});

const softplusNode = activation<Record<string, never>>('softplus', {
  doc: 'log(1 + e^x) (ONNX Softplus).',
  lower: (onnx, x) => onnx.emit('Softplus', [x]),
  grad: (g, x) => g.mul(x.sigmoid()),
});

const rootHalf = Math.SQRT1_2;
const rootTwoOverPi = Math.sqrt(2 / Math.PI);
const cubic = 2 * rootTwoOverPi * 0.044715;

/**
 * Exact GELU, x Φ(x) with Φ the normal distribution (Hendrycks and Gimpel 2016, arXiv 1606.08415).
 * A node of its own: providers have one kernel for it where the formula takes five passes.
 */
const geluNode = activation<Record<string, never>>('gelu', {
  doc: 'x Φ(x) with the normal distribution Φ (ONNX Gelu).',
  lower: (onnx, x) => onnx.emit('Gelu', [x]),
  grad(g, x) {
    const cdf = x.mul(rootHalf).erf().mul(0.5).add(0.5);
    const density = x
      .mul(x)
      .mul(-0.5)
      .exp()
      .mul(1 / Math.sqrt(2 * Math.PI));
    return g.mul(cdf.add(x.mul(density)));
  },
});

const geluTanhNode = activation<Record<string, never>>('geluTanh', {
  doc: 'GELU by its tanh approximation (ONNX Gelu, approximate tanh).',
  lower: (onnx, x) => onnx.emit('Gelu', [x], { approximate: { string: 'tanh' } }),
  grad(g, x, y) {
    // y = x σ(v), v = 2√(2/π)(x + 0.044715 x³): y' = σ + x σ(1 − σ) v' = σ + (y − yσ) v'
    const square = x.mul(x);
    const gate = square
      .mul(cubic)
      .add(2 * rootTwoOverPi)
      .mul(x)
      .sigmoid();
    const slope = square.mul(3 * cubic).add(2 * rootTwoOverPi);
    return g.mul(y.sub(y.mul(gate)).mul(slope).add(gate));
  },
});

const siluNode = activation<Record<string, never>>('silu', {
  doc: 'x σ(x), also swish (Elfwing et al. 2017, arXiv 1702.03118).',
  lower(onnx, x, _, dtype) {
    const fused = dtype === 'float32' && onnx.provider !== 'cuda';
    if (fused) return onnx.emit('QuickGelu', [x], { alpha: { float: 1 } }, 'com.microsoft');
    return onnx.emit('Mul', [x, onnx.emit('Sigmoid', [x])]);
  },
  // y' = σ + y(1 − σ)
  grad: (g, x, y) => g.mul(x.sigmoid().mul(y.neg().add(1)).add(y)),
});

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return reluNode(x, {});
}

/** x where positive, `slope` · x elsewhere. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return leakyReluNode(x, { slope });
}

/** log(1 + e^x). */
export function softplus(x: Tensor): Tensor {
  return softplusNode(x, {});
}

/** x · σ(x). */
export function silu(x: Tensor): Tensor {
  return siluNode(x, {});
}

/** Gaussian error linear unit, exact or by the tanh approximation of GPT-2. */
export function gelu(x: Tensor, approximate: 'none' | 'tanh' = 'none'): Tensor {
  return approximate === 'tanh' ? geluTanhNode(x, {}) : geluNode(x, {});
}

declare module '../tensor.ts' {
  interface Tensor {
    relu(): Tensor;
    leakyRelu(slope?: number): Tensor;
    softplus(): Tensor;
    silu(): Tensor;
    gelu(approximate?: 'none' | 'tanh'): Tensor;
  }
}

defineMethods({ relu, leakyRelu, softplus, silu, gelu });
