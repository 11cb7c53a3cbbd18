/**
 * The equations of JEI-DNN's training (arXiv 2310.09163, section 4, as its surrogates are coded), on tensors whose last
 * axis is the exit. L exits, of which the last is the backbone's own.
 */

import { arange, concat, type NdArray, type Tensor, where } from '@working-papers/tensor';

/**
 * How much each exit's cross-entropy counts for a sample, given its exit distribution P:
 * - `stopgrad`: w_l = P_l · ΣCE / ΣP·CE, a constant to differentiation. The method.
 * - `released`: the same, but differentiated, as the authors' code does. Then Σ w_l CE_l = Σ CE_l whatever the gates
 *   say, and IMs are trained uniformly.
 * - `plain P`: w_l = P_l.
 */
export const weightings = ['stopgrad', 'released', 'plain P'] as const;
export type Weighting = (typeof weightings)[number];

/** Below it the ratio's denominator counts as zero: the release divides and gets NaN. */
const smallestLoss = 1e-6;

/** w_l of each sample from P [..., L] and CE [..., L]. No gradient reaches P; CE's passes in `released` only. */
export function exitWeights(p: Tensor, ce: Tensor, weighting: Weighting): Tensor {
  const share = p.stopGradient();
  if (weighting === 'plain P') return share;
  const losses = weighting === 'released' ? ce : ce.stopGradient();
  const expected = share.mul(losses).sum(-1, { keepDims: true });
  const lossless = expected.less(smallestLoss);
  const ratio = losses.sum(-1, { keepDims: true }).div(where(lossless, 1, expected));
  return share.mul(where(lossless, 0, ratio));
}

/** The exit that would have been best: argmin_l CE_l + λc_l. CE [..., L], price λc [L] or [..., L] → int64 [...] */
export function bestExit(ce: Tensor, price: Tensor): Tensor {
  return ce.add(price).argMin(-1);
}

/** 1 for each gate from the best exit on, 0 before it; all 0 when the last exit is best. [...] → [..., L−1] */
export function gateTargets(best: Tensor, gates: number): Tensor {
  const exits = arange(gates, { dtype: 'int64' });
  return exits.greaterEqual(best.unsqueeze(-1)).cast('float32');
}

/** −log p(label) of the last exit beside those of the others: [..., L−1] and [...] → [..., L]. */
export function withLast(ce: Tensor, last: Tensor): Tensor {
  return concat([ce, last.unsqueeze(-1)], -1);
}

export const largestPositiveWeight = 5;
export const smallestCount = 0.1;

/** w⁺_l = min((N − n_l) / n_l, 5) from the counts of samples whose best exit is l, each counted as .1 at least. */
export function positiveWeights(counts: readonly number[], samples: number): number[] {
  return counts.map((count) => {
    const n = Math.max(count, smallestCount);
    return Math.min((samples - n) / n, largestPositiveWeight);
  });
}

/** The release's warm-up: exit l of L counts L − l times. */
export function warmupScales(exits: number): number[] {
  return Array.from({ length: exits - 1 }, (_, l) => exits - l);
}

export function float32(array: NdArray): Float32Array {
  if (!(array.data instanceof Float32Array)) throw new TypeError(`expected float32, got ${array.dtype}`);
  return array.data;
}
