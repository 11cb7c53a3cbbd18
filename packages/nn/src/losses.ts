/** Training losses, as scalars over a batch. */

import { constant, oneHot, type Tensor, where } from '@working-papers/tensor';

export interface CrossEntropyOptions {
  /** Share of the target spread evenly over all classes (Szegedy et al. 2016, arXiv 1512.00567). */
  readonly labelSmoothing?: number;
  /** 1 or true where a row counts, in the targets' shape. */
  readonly mask?: Tensor;
  /** `none` keeps one value a row; default `mean` over rows that count. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** −log softmax(logits)[target]: logits [..., K], integer targets [...]. */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, mask } = options;
  const logs = logits.logSoftmax(-1);
  const picked = logs
    .mul(oneHot(targets, logits.size(-1), { dtype: logits.dtype }))
    .sum(-1)
    .neg();
  const rows =
    labelSmoothing === 0 ? picked : picked.mul(1 - labelSmoothing).sub(logs.mean(-1).mul(labelSmoothing));
  return reduce(rows, mask, options.reduction);
}

/** Binary cross-entropy of σ(logits) with targets in [0, 1], stable for large logits. */
export function bceWithLogits(
  logits: Tensor,
  targets: Tensor,
  options: {
    readonly positiveWeight?: Tensor | number;
    readonly mask?: Tensor;
    readonly reduction?: 'mean' | 'sum' | 'none';
  } = {},
): Tensor {
  // −t log σ(z) = t softplus(−z) and −(1 − t) log(1 − σ(z)) = (1 − t) softplus(z)
  const { positiveWeight = 1 } = options;
  const positive = targets.mul(logits.neg().softplus()).mul(positiveWeight);
  const negative = targets.neg().add(1).mul(logits.softplus());
  return reduce(positive.add(negative), options.mask, options.reduction);
}

/** Mean squared error. */
export function mse(prediction: Tensor, target: Tensor, options: { readonly mask?: Tensor } = {}): Tensor {
  const difference = prediction.sub(target);
  return reduce(difference.mul(difference), options.mask, 'mean');
}

/** KL(target ‖ prediction) from log-probabilities [..., K], mean over rows. */
export function klDivergence(predictionLogs: Tensor, targetLogs: Tensor): Tensor {
  return targetLogs.exp().mul(targetLogs.sub(predictionLogs)).sum(-1).mean();
}

function reduce(
  values: Tensor,
  mask: Tensor | undefined,
  reduction: 'mean' | 'sum' | 'none' = 'mean',
): Tensor {
  const weights = mask?.cast(values.dtype);
  // where, not a product: what is masked may be infinite
  const kept =
    mask && weights ? where(mask.cast('bool'), values.mul(weights), constant(0, values.dtype)) : values;
  if (reduction === 'none') return kept;
  if (reduction === 'sum') return kept.sum();
  return weights ? kept.sum().div(weights.expand(values.shape).sum().maximum(1)) : kept.mean();
}
