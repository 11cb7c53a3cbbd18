/**
 * The equations of JEI-DNN's training (arXiv 2310.09163, section 4, as its surrogates are coded), on tensors whose last
 * axis is the exit. L exits, of which the last is the backbone's own.
 */

import { arange, concat, type NdArray, type Tensor, where } from '@working-papers/tensor';
import type { ExitRule } from './model.ts';

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

/**
 * What gates are taught, from what each exit would have cost a sample: its loss + λc.
 * - `exact`: is exit l the best one? The gates' g are then the P(E = l) that the paper's exit distribution takes them
 *   for, and the joint rule adds up what excludes each other.
 * - `cumulative`: is exit l or an earlier one the best? The release's. The joint rule adds up events that contain each
 *   other, so that samples leave too early.
 * - `advantage`: is leaving here better than going on, as the later gates stand? Each sample counts by the difference,
 *   its advantage: cost-sensitive classification of a stopping problem. Ours; independent rule.
 */
export const gateTargetKinds = ['advantage', 'exact', 'cumulative'] as const;
export type GateTargets = (typeof gateTargetKinds)[number];

/** The rule by which gates so taught are to be run. */
export function ruleOf(targets: GateTargets): ExitRule {
  return targets === 'advantage' ? 'independent' : 'joint';
}

/** What a wrong or unsure answer costs a sample: the paper's cross-entropy (nats), or 1 for an error, which is ours. */
export const exitLosses = ['error', 'cross-entropy'] as const;
export type ExitLoss = (typeof exitLosses)[number];

/** The exit that would have been best: argmin of loss + λc, [..., L] → int64 [...] */
export function bestExit(price: Tensor): Tensor {
  return price.argMin(-1);
}

/** 1 for the gate at the best exit, or (`cumulative`) for all from there on; all 0 when the last exit is best. [...] → [..., L−1] */
export function gateTargets(best: Tensor, gates: number, kind: 'exact' | 'cumulative'): Tensor {
  const exits = arange(gates, { dtype: 'int64' });
  const here = best.unsqueeze(-1);
  return (kind === 'exact' ? exits.equal(here) : exits.greaterEqual(here)).cast('float32');
}

/**
 * A_l: what going on costs more than leaving at l, where "going on" takes the first later gate with g ≥ ½. Price
 * (loss + λc) [..., L], g [..., L−1] → [..., L−1]; positive where leaving is better.
 */
export function advantages(price: Tensor, g: Tensor): Tensor {
  const exits = price.size(-1);
  const found: Tensor[] = [];
  let onward = price.slice(-1, exits - 1, exits);
  for (let l = exits - 2; l >= 0; l--) {
    const here = price.slice(-1, l, l + 1);
    found.unshift(onward.sub(here));
    onward = where(g.slice(-1, l, l + 1).greaterEqual(0.5), here, onward);
  }
  return concat(found, -1);
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
