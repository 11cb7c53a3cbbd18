/** Linear layers that share an input, as one product. */

import type { Weights } from '@working-papers/nn/module';
import { type NdArray, ndarray, Parameter, type Tensor } from '@working-papers/tensor';

interface LinearWeights {
  readonly weight: Parameter;
  readonly bias?: Parameter;
}

/** Matrices below each other, made from a model's weights while a graph is traced. */
export class Fused {
  /** The models' weights and those made of them: what the graph is to be compiled with. */
  readonly weights: Map<Parameter, NdArray>;

  constructor(weights: Weights) {
    this.weights = new Map(weights);
  }

  /** x [..., in] → [..., Σ out], the layers' outputs side by side. */
  forward(x: Tensor, layers: readonly LinearWeights[]): Tensor {
    const biases = layers.flatMap(({ bias }) => bias ?? []);
    const bias = biases.length === layers.length ? this.#stacked(biases) : undefined;
    return x.linear(this.#stacked(layers.map(({ weight }) => weight)), bias);
  }

  #stacked(parts: readonly Parameter[]): Parameter {
    const arrays = parts.map((part) => this.weights.get(part)!);
    const data = new Float32Array(arrays.reduce((sum, array) => sum + array.data.length, 0));
    let at = 0;
    for (const array of arrays) {
      data.set(array.data as Float32Array, at);
      at += array.data.length;
    }
    const rows = arrays.reduce((sum, array) => sum + array.shape[0]!, 0);
    const shape = [rows, ...arrays[0]!.shape.slice(1)];
    const whole = new Parameter(shape);
    this.weights.set(whole, ndarray(data, shape));
    return whole;
  }
}
