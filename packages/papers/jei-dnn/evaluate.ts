/** What trained exits say of a split, where a rule lets each sample out, and the figures that follow from both. */

import { expectedCalibrationError } from '@working-papers/metrics/calibration';
import { loadStateDict } from '@working-papers/nn/module';
import { type Compiled, concat, type Device, ndarray, type Store, type Tensor } from '@working-papers/tensor';
import { meanCost } from './cost.ts';
import type { FeatureLayout, FeatureSplit } from './features.ts';
import { type ExitRule, exitOf } from './model.ts';
import { type ExitLoss, float32 } from './objective.ts';
import type { ExitTensors } from './population-graphs.ts';
import { ExitModules } from './training.ts';

/** All exits on all samples of a split. */
export interface ExitOutputs {
  /** L arrays [N, K]. */
  readonly probabilities: readonly Float32Array[];
  /** L arrays [N], in nats. */
  readonly crossEntropy: readonly Float32Array[];
  /** g [N, L−1]. */
  readonly gates: Float32Array;
  readonly labels: Int32Array;
}

/** Logits of all L exits [N, K] from those of the single classifiers. */
export type Combine = (logits: readonly Tensor[]) => readonly Tensor[];

type Outputs = { readonly logs: Tensor; readonly gates: Tensor };

/** Runs one set of exits after the other on cached features, with the model's own modules. */
export class Evaluator {
  readonly #layout: FeatureLayout;
  readonly #exits: ExitModules;
  readonly #store: Store;
  readonly #run: Compiled<readonly [Tensor, Tensor], Outputs>;

  private constructor(
    layout: FeatureLayout,
    exits: ExitModules,
    store: Store,
    run: Compiled<readonly [Tensor, Tensor], Outputs>,
  ) {
    this.#layout = layout;
    this.#exits = exits;
    this.#store = store;
    this.#run = run;
  }

  /** `combine` is for exits that do not answer alone: BoostedNet's. */
  static async create(
    device: Device,
    layout: FeatureLayout,
    start: ExitTensors,
    combine: Combine = (logits) => logits,
  ): Promise<Evaluator> {
    const exits = new ExitModules(layout);
    const store = await device.store(loadStateDict(exits, start));
    const total = layout.widths.reduce((a, b) => a + b, 0);
    const run = await device.compile(
      (x, last) => {
        let from = 0;
        const own = exits.intermediateHeads.map((head, l) => {
          const width = layout.widths[l]!;
          from += width;
          return head.forward(x.slice(1, from - width, from));
        });
        const logits = combine([...own, last]);
        const gates = exits.gates.map((gate, l) => gate.forward(logits[l]!.softmax()).sigmoid());
        return {
          logs: concat(
            logits.map((each) => each.logSoftmax()),
            1,
          ),
          gates: concat(gates, 1),
        };
      },
      { inputs: [{ shape: ['n', total] }, { shape: ['n', layout.classes] }] as const, store, name: 'exits' },
    );
    return new Evaluator(layout, exits, store, run);
  }

  /** On the pictures as they are: the split's last view. */
  async evaluate(tensors: ExitTensors, split: FeatureSplit): Promise<ExitOutputs> {
    await this.#store.write(loadStateDict(this.#exits, tensors));
    const { widths, classes } = this.#layout;
    const [exits, total] = [widths.length + 1, widths.reduce((a, b) => a + b, 0)];
    const { length, labels } = split;
    const probabilities = Array.from({ length: exits }, () => new Float32Array(length * classes));
    const crossEntropy = Array.from({ length: exits }, () => new Float32Array(length));
    const gates = new Float32Array(length * (exits - 1));
    const clean = (split.views - 1) * length;
    for (let start = 0; start < length; start += 1000) {
      const count = Math.min(1000, length - start);
      const row = clean + start;
      const out = await this.#run(
        ndarray(split.features.slice(row * total, (row + count) * total), [count, total]),
        ndarray(split.logits.slice(row * classes, (row + count) * classes), [count, classes]),
      );
      gates.set(float32(out.gates), start * (exits - 1));
      const logs = float32(out.logs);
      for (let i = 0; i < count; i++) {
        for (let l = 0; l < exits; l++) {
          const at = (i * exits + l) * classes;
          for (let k = 0; k < classes; k++)
            probabilities[l]![(start + i) * classes + k] = Math.exp(logs[at + k]!);
          crossEntropy[l]![start + i] = -logs[at + labels[start + i]!]!;
        }
      }
    }
    return { probabilities, crossEntropy, gates, labels };
  }

  async dispose(): Promise<void> {
    await this.#run.dispose();
    await this.#store.dispose();
  }
}

/** The exit, from 0, of each sample. */
export type Taken = Uint8Array;

export function byGates(outputs: ExitOutputs, rule: ExitRule = 'joint', threshold = 0.5): Taken {
  const gates = outputs.probabilities.length - 1;
  return Uint8Array.from(outputs.labels, (_, n) =>
    exitOf(outputs.gates.subarray(n * gates, (n + 1) * gates), rule, threshold),
  );
}

/** The exit with the least CE + λc: it knows the label. */
export function byOracle(outputs: ExitOutputs, costs: readonly number[], costWeight: number): Taken {
  return Uint8Array.from(outputs.labels, (_, n) => bestOf(outputs, costs, costWeight, n).exit);
}

/** What each exit costs sample n before λc: its cross-entropy, or 1 for an error. */
function lossAt(
  { probabilities, crossEntropy, labels }: ExitOutputs,
  l: number,
  n: number,
  loss: ExitLoss,
): number {
  if (loss === 'cross-entropy') return crossEntropy[l]![n]!;
  const classes = probabilities[l]!.length / labels.length;
  const row = probabilities[l]!.subarray(n * classes, (n + 1) * classes);
  return row.indexOf(Math.max(...row)) === labels[n] ? 0 : 1;
}

function bestOf(
  outputs: ExitOutputs,
  costs: readonly number[],
  costWeight: number,
  n: number,
  loss: ExitLoss = 'cross-entropy',
) {
  let [exit, price] = [0, Number.POSITIVE_INFINITY];
  costs.forEach((cost, l) => {
    const here = lossAt(outputs, l, n, loss) + costWeight * cost;
    if (here < price) [exit, price] = [l, here];
  });
  return { exit, price };
}

export type Score = 'max-p' | 'entropy';

/** How sure each exit is of each sample: L arrays [N], larger is surer. */
export function certainty({ probabilities, labels }: ExitOutputs, score: Score): Float32Array[] {
  return probabilities.map((p) => {
    const classes = p.length / labels.length;
    return Float32Array.from(labels, (_, n) => {
      const row = p.subarray(n * classes, (n + 1) * classes);
      return score === 'max-p'
        ? Math.max(...row)
        : row.reduce((sum, q) => (q > 0 ? sum + q * Math.log(q) : sum), 0);
    });
  });
}

/** The release's 39 settings: q = i/15. */
export const shareBases: readonly number[] = Array.from({ length: 39 }, (_, i) => (i + 1) / 15);

/** Samples of N that leave at each of L exits when shares are ∝ q^k: whole numbers that sum to N. */
export function shareCounts(samples: number, exits: number, q: number): number[] {
  const shares = Array.from({ length: exits }, (_, k) => q ** (k + 1));
  const sum = shares.reduce((a, b) => a + b);
  let [passed, before] = [0, 0];
  return shares.map((share) => {
    passed += share;
    const until = Math.round((samples * passed) / sum);
    const count = until - before;
    before = until;
    return count;
  });
}

/** One threshold an early exit: on these samples each lets out its share of those that are left. */
export function thresholdsFor(scores: readonly Float32Array[], q: number): number[] {
  const counts = shareCounts(scores[0]!.length, scores.length, q);
  let left = Array.from(scores[0]!, (_, n) => n);
  return scores.slice(0, -1).map((score, l) => {
    left.sort((a, b) => score[b]! - score[a]!);
    const threshold = counts[l]! > 0 ? score[left[counts[l]! - 1]!]! : Number.POSITIVE_INFINITY;
    left = left.slice(counts[l]!);
    return threshold;
  });
}

export function byThresholds(scores: readonly Float32Array[], thresholds: readonly number[]): Taken {
  return Uint8Array.from(scores[0]!, (_, n) => {
    const exit = thresholds.findIndex((threshold, l) => scores[l]![n]! >= threshold);
    return exit < 0 ? scores.length - 1 : exit;
  });
}

/** One operating point of a method on one split. */
export interface OperatingPoint {
  readonly cost: number;
  readonly accuracy: number;
  readonly crossEntropy: number;
  readonly ece: number;
  /** Mean largest probability minus accuracy. */
  readonly overconfidence: number;
  /** One entry an exit; accuracies and overconfidence are null where no sample leaves. */
  readonly exits: readonly {
    readonly share: number;
    readonly accuracyExited: number | null;
    readonly accuracyAll: number;
    readonly overconfidenceExited: number | null;
  }[];
}

export function operatingPoint(outputs: ExitOutputs, taken: Taken, costs: readonly number[]): OperatingPoint {
  const { probabilities, crossEntropy, labels } = outputs;
  const samples = labels.length;
  const classes = probabilities[0]!.length / samples;
  const confidence = new Float64Array(samples);
  const correct = new Uint8Array(samples);
  let nll = 0;
  const sums = costs.map(() => ({ count: 0, right: 0, all: 0, confidence: 0 }));
  for (let n = 0; n < samples; n++) {
    for (let l = 0; l < costs.length; l++) {
      const row = probabilities[l]!.subarray(n * classes, (n + 1) * classes);
      let best = 0;
      for (let k = 1; k < classes; k++) if (row[k]! > row[best]!) best = k;
      const right = best === labels[n] ? 1 : 0;
      const sum = sums[l]!;
      sum.all += right;
      if (taken[n] !== l) continue;
      sum.count++;
      sum.right += right;
      sum.confidence += row[best]!;
      confidence[n] = row[best]!;
      correct[n] = right;
      nll += crossEntropy[l]![n]!;
    }
  }
  const accuracy = correct.reduce((a, b) => a + b, 0) / samples;
  return {
    cost: meanCost(taken, costs),
    accuracy,
    crossEntropy: nll / samples,
    ece: expectedCalibrationError(confidence, correct),
    overconfidence: confidence.reduce((a, b) => a + b, 0) / samples - accuracy,
    exits: sums.map(({ count, right, all, confidence }) => ({
      share: count / samples,
      accuracyExited: count > 0 ? right / count : null,
      accuracyAll: all / samples,
      overconfidenceExited: count > 0 ? (confidence - right) / count : null,
    })),
  };
}

/**
 * mean[loss + λc at the taken exit] − mean[min_l (loss_l + λc_l)]: what better decisions could still save. The spec's
 * loss is the cross-entropy.
 */
export function regret(
  outputs: ExitOutputs,
  taken: Taken,
  costs: readonly number[],
  costWeight: number,
  loss: ExitLoss = 'cross-entropy',
): number {
  let sum = 0;
  taken.forEach((exit, n) => {
    const here = lossAt(outputs, exit, n, loss) + costWeight * costs[exit]!;
    sum += here - bestOf(outputs, costs, costWeight, n, loss).price;
  });
  return sum / taken.length;
}

/** NLL of `a` minus NLL of `b` over samples at the exits that they take: in all (null where none), and exit by exit. */
export function selectionGap(
  a: ExitOutputs,
  b: ExitOutputs,
  taken: Taken,
): { readonly total: number | null; readonly exits: readonly (number | null)[] } {
  const early = a.crossEntropy.length - 1;
  const sums = Array.from({ length: early }, () => ({ count: 0, gap: 0 }));
  taken.forEach((exit, n) => {
    if (exit === early) return; // the backbone's own classifier is the same in both
    sums[exit]!.count++;
    sums[exit]!.gap += a.crossEntropy[exit]![n]! - b.crossEntropy[exit]![n]!;
  });
  const count = sums.reduce((sum, each) => sum + each.count, 0);
  return {
    total: count > 0 ? sums.reduce((sum, each) => sum + each.gap, 0) / count : null,
    exits: sums.map((each) => (each.count > 0 ? each.gap / each.count : null)),
  };
}
