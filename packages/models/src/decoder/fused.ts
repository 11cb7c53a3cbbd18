/** Linear layers that share an input, as one product. */

import { concat, type Parameter, type Tensor } from '@working-papers/tensor';

interface LinearWeights {
  readonly weight: Parameter;
  readonly bias?: Parameter;
}

/**
 * x [..., in] → [..., Σ out], the layers' outputs side by side. With weights that are part of the model the matrices
 * are put below each other once, when it is compiled.
 */
export function fusedLinear(x: Tensor, layers: readonly LinearWeights[]): Tensor {
  const biases = layers.flatMap(({ bias }) => bias ?? []);
  const bias = biases.length === layers.length ? concat(biases, 0) : undefined;
  return x.linear(
    concat(
      layers.map(({ weight }) => weight),
      0,
    ),
    bias,
  );
}
