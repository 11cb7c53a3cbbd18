/** The graphs of a check: the function, its gradients, the gradients of these. Used in Node and in browsers. */

import type { InputSpec } from '../../src/arguments.ts';
import { type NdArray, ndarray } from '../../src/array.ts';
import { gradients } from '../../src/autodiff.ts';
import { constant } from '../../src/ops/constant.ts';
import type { Tensor } from '../../src/tensor.ts';
import '../../src/index.ts';
import { type Case, type Input, normal } from './case.ts';

export type Precision = 'float32' | 'float64';

export function specOf(input: Input, precision: Precision): InputSpec {
  return { shape: input.shape, dtype: input.dtype === 'float' ? precision : input.dtype };
}

export function arrayOf(input: Input, precision: Precision): NdArray {
  return ndarray(input.data, input.shape, input.dtype === 'float' ? precision : input.dtype);
}

export function outputsOf(check: Pick<Case, 'f'>, inputs: readonly Tensor[]): readonly Tensor[] {
  const result = check.f(...inputs);
  return Array.isArray(result) ? (result as readonly Tensor[]) : [result as Tensor];
}

/** Σ y·r over the float outputs, with fixed random r. */
function projection(outputs: readonly Tensor[], seed = 77): Tensor {
  const terms = outputs
    .filter((y) => y.dtype.startsWith('float'))
    .map((y, i) => {
      const r = normal(y.shape as readonly number[], seed + i);
      return y.mul(constant(ndarray(r.data, r.shape, y.dtype))).sum();
    });
  if (terms.length === 0) throw new Error('no output is a float: nothing to differentiate');
  return terms.reduce((a, b) => a.add(b));
}

/** The float inputs: those that gradients are taken of. */
export function differentiable(inputs: readonly Tensor[]): readonly Tensor[] {
  return inputs.filter((input) => input.dtype.startsWith('float'));
}

export interface Graphs {
  readonly outputs: readonly Tensor[];
  readonly loss: Tensor;
  readonly gradients: readonly Tensor[];
  /** Of a random projection of the gradients. */
  readonly second?: { readonly loss: Tensor; readonly gradients: readonly Tensor[] };
}

/** Everything that a gradient check computes, from the symbols of its inputs. */
export function gradientGraphs(check: Pick<Case, 'f' | 'secondOrder'>, inputs: readonly Tensor[]): Graphs {
  const outputs = outputsOf(check, inputs);
  const loss = projection(outputs);
  const wrt = differentiable(inputs);
  const first = gradients(loss, wrt);
  if (!check.secondOrder) return { outputs, loss, gradients: first };
  const projected = projection(first, 991);
  return {
    outputs,
    loss,
    gradients: first,
    second: { loss: projected, gradients: gradients(projected, wrt) },
  };
}
