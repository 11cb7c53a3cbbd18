/**
 * What it costs to leave at each exit, in multiply–adds and as a share c_l of the whole network with all its IMs and
 * gates. The gates' share of it is negligible, but it is the cost of asking, so it is in.
 */

import { elementsOf, type GraphNode, multiplyAddsOf, nodesOf } from '@working-papers/models/multiply-adds';
import { traceInference, Weight } from '@working-papers/nn/module';
import { Tensor } from '@working-papers/tensor';
import type { JeiDnn } from './model.ts';

/**
 * `tokens` counts every multiply–add. `released` counts as the authors' program does: a linear layer once for each
 * picture instead of once for each token, with its bias; no product of two activations; 4 for each input of a GELU,
 * 1 for each of a ReLU, 2.5 for each of a layer normalisation. The totals that label the paper's figures (13.4, 45.7
 * and 4.3 million) are of that kind.
 */
export type Counting = 'tokens' | 'released';

export interface ExitCosts {
  /** Multiply–adds of one picture until exit l has been read and its gate asked, for each of the L exits. */
  readonly multiplyAdds: readonly number[];
  /** c_l: the same as shares of the last. */
  readonly shares: readonly number[];
}

/** Costs of a model's exits for one picture of `channels` × `imageSize`². */
export function exitCosts(
  model: JeiDnn,
  imageSize: number,
  options: { readonly counting?: Counting; readonly channels?: number } = {},
): ExitCosts {
  const { counting = 'tokens', channels = 3 } = options;
  const shape = [1, channels, imageSize, imageSize];
  const x = new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
  const logits = traceInference(() => model.logits(model.features(x)));
  const costOf = counting === 'tokens' ? multiplyAddsOf : releasedCost;
  const gate = gateCost(model.backbone.classes);
  const seen = new Set<GraphNode>();
  let spent = 0;
  const multiplyAdds = logits.map((logit, l) => {
    for (const node of nodesOf([logit])) {
      if (seen.has(node)) continue;
      seen.add(node);
      spent += costOf(node);
    }
    if (l < logits.length - 1) spent += gate;
    return spent;
  });
  return { multiplyAdds, shares: multiplyAdds.map((cost) => cost / spent) };
}

/** The arithmetic of one gate over K classes: maximum, entropies, margin and the linear layer. */
function gateCost(classes: number): number {
  return 9 * classes + 6;
}

function releasedCost(node: GraphNode): number {
  const [x, weight, bias] = node.inputs;
  switch (node.operator.name) {
    case 'matmul': {
      // the performer's fixed random features are no layer, and products of activations are not seen
      const isLayer = weight instanceof Weight && weight.trainable;
      return isLayer ? elementsOf(weight) + (bias ? elementsOf(bias) : 0) : 0;
    }
    case 'layerNorm':
      return 2.5 * elementsOf(x!);
    case 'gelu':
      return 4 * elementsOf(x!);
    case 'relu':
      return elementsOf(x!);
    default:
      return multiplyAddsOf(node);
  }
}

/** The mean cost share of samples that left at the given exits. */
export function meanCost(exits: ArrayLike<number>, shares: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < exits.length; i++) sum += shares[exits[i]!]!;
  return sum / exits.length;
}
