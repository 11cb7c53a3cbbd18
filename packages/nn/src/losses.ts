/** Training losses, as scalars over a batch. What a mask leaves out may be anything, infinities included. */

import { type Tensor, where } from '@working-papers/tensor';

/** What becomes of the losses of single values. */
export type Reduction = 'mean' | 'sum' | 'none';

/** Of all losses. */
export interface LossOptions {
  /** 1 or true where a value counts, in the shape of the losses (or one that broadcasts to it). */
  readonly mask?: Tensor;
  /** `none` keeps the losses apart; default `mean` over those that count. */
  readonly reduction?: Reduction;
}

/** Of `crossEntropy`. */
export interface CrossEntropyOptions extends LossOptions {
  /** Share of the target spread evenly over all classes (Szegedy et al. 2016, arXiv 1512.00567). */
  readonly labelSmoothing?: number;
}

/**
 * −log softmax(logits)[target]: logits [..., K], integer targets [...]. A logit of −∞ rules a class out. Targets
 * outside [0, K) are refused by the run unless masked.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, mask } = options;
  const logs = keep(logits, mask?.unsqueeze(-1)).logSoftmax(-1);
  const picked = logs.takeAlongAxis(keep(targets, mask).unsqueeze(-1)).squeeze(-1).neg();
  const losses =
    labelSmoothing === 0 ? picked : picked.mul(1 - labelSmoothing).sub(logs.mean(-1).mul(labelSmoothing));
  return reduce(losses, options);
}

/** Of `bceWithLogits`. */
export interface BceOptions extends LossOptions {
  /** Factor of the loss where the target is 1. */
  readonly positiveWeight?: Tensor | number;
}

/** Binary cross-entropy of σ(logits) with targets in [0, 1], element by element; stable for large logits. */
export function bceWithLogits(logits: Tensor, targets: Tensor, options: BceOptions = {}): Tensor {
  // −t log σ(z) = t softplus(−z) and −(1 − t) log(1 − σ(z)) = (1 − t) softplus(z)
  const { positiveWeight = 1 } = options;
  const z = keep(logits, options.mask);
  const positive = targets.mul(z.neg().softplus()).mul(positiveWeight);
  const negative = targets.neg().add(1).mul(z.softplus());
  return reduce(positive.add(negative), options);
}

/** Squared error, element by element. */
export function mse(prediction: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  const difference = keep(prediction.sub(target), options.mask);
  return reduce(difference.mul(difference), options);
}

/** KL(target ‖ prediction) from log-probabilities [..., K], row by row; a target's probability may be 0. */
export function klDivergence(predictionLogs: Tensor, targetLogs: Tensor, options: LossOptions = {}): Tensor {
  const mask = options.mask?.unsqueeze(-1);
  const probabilities = keep(targetLogs, mask).exp();
  const logs = where(probabilities.greater(0), targetLogs, 0);
  return reduce(probabilities.mul(keep(logs.sub(predictionLogs), mask)).sum(-1), options);
}

/** Zeros where the mask says no, before anything is computed: 0 · ∞ further on would be NaN, in gradients too. */
function keep(values: Tensor, mask: Tensor | undefined): Tensor {
  return mask ? where(mask.cast('bool'), values, 0) : values;
}

function reduce(losses: Tensor, { mask, reduction = 'mean' }: LossOptions): Tensor {
  const weights = mask?.cast(losses.dtype).expand(losses.shape);
  const kept = weights ? losses.mul(weights) : losses;
  if (reduction === 'none') return kept;
  if (reduction === 'sum') return kept.sum();
  return weights ? kept.sum().div(weights.sum().maximum(1)) : kept.mean();
}
