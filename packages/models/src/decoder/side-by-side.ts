/** Linear layers that share an input. */

import type { Linear } from '@working-papers/nn/layers';
import { concat, type QueryCount, type Tensor } from '@working-papers/tensor';

/**
 * x [..., in] → [..., Σ out], the layers' outputs side by side. As one product, whose matrix is made when the graph is
 * compiled; where the weights are large (`any`, see `compileByCount`) as one each, since a second copy of them would
 * be in memory meanwhile.
 */
export function sideBySide(x: Tensor, layers: readonly Linear[], queries: QueryCount): Tensor {
  if (queries === 'any')
    return concat(
      layers.map((layer) => layer.forward(x)),
      -1,
    );
  const biases = layers.flatMap(({ bias }) => bias ?? []);
  const weights = layers.map(({ weight }) => weight);
  return x.linear(concat(weights, 0), biases.length === layers.length ? concat(biases, 0) : undefined);
}
