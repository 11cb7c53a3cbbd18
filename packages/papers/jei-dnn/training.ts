/** What the trainings of exits share: options, where they begin, turns over batches, and how a split judges them. */

import { Linear } from '@working-papers/nn/layers';
import { initialize, Module, stateDict } from '@working-papers/nn/module';
import type { Device } from '@working-papers/tensor';
import { type Epoch, inOrder } from './batches.ts';
import type { FeatureLayout, FeatureSplit } from './features.ts';
import { exitOf, Gate } from './model.ts';
import type { Population } from './population.ts';
import { type ExitTensors, settled } from './population-graphs.ts';

export interface TrainingOptions {
  readonly device: Device;
  readonly layout: FeatureLayout;
  readonly train: FeatureSplit;
  readonly validation: FeatureSplit;
  /** c_l of the L exits. */
  readonly costs: readonly number[];
  readonly seed: number;
  /** Default 64, as in the release. */
  readonly batchSize?: number;
  readonly peakRate?: number;
  readonly floorRate?: number;
  /**
   * Of the gates, falling in the same proportion; default .2. The release has .01 for gates too, with which a gate's
   * five numbers are far from settled when the IMs are.
   */
  readonly gatePeakRate?: number;
  readonly signal?: AbortSignal;
  /** After each batch: batches done of this stage and in all, and a mean loss. */
  readonly onBatch?: (done: number, total: number, loss: number) => void;
}

export const defaults = { batchSize: 64, peakRate: 0.01, floorRate: 2e-4, gatePeakRate: 0.2 } as const;

/** IMs and gates as PyTorch's Linear begins, under the model's names. The model's own initialisation is the same. */
export class ExitModules extends Module {
  readonly intermediateHeads: readonly Linear[];
  readonly gates: readonly Gate[];

  constructor({ widths, classes }: FeatureLayout) {
    super();
    this.intermediateHeads = widths.map((width) => new Linear(width, classes));
    this.gates = widths.map(() => new Gate());
  }
}

export function initialExits(layout: FeatureLayout, seed: number): ExitTensors {
  const exits = new ExitModules(layout);
  return stateDict(exits, initialize(exits, seed));
}

/** Runs batches in turn; the next one is gathered while the device works on this one. */
export async function eachBatch(
  epoch: Epoch,
  first: number,
  run: (batch: ReturnType<Epoch['batch']>, index: number) => Promise<void>,
): Promise<void> {
  let next = first < epoch.batches ? epoch.batch(first) : undefined;
  for (let i = first; next; i++) {
    const running = run(next, i);
    next = i + 1 < epoch.batches ? epoch.batch(i + 1) : undefined;
    await running;
  }
}

/** On the validation split, at the exits that the gates take. */
export interface Figures {
  readonly accuracy: number;
  readonly crossEntropy: number;
  readonly cost: number;
  /** The member's loss (share of errors, or cross-entropy) + λ · cost. */
  readonly objective: number;
}

/** Every member on a split: at the exits taken, at every exit, and how often each exit would have been best. */
export async function validate(
  population: Population,
  split: FeatureSplit,
  layout: FeatureLayout,
  costs: readonly number[],
): Promise<{ figures: Figures[]; exitAccuracy: number[][]; bestCounts: number[][] }> {
  const members = population.members.map(settled);
  const exits = costs.length;
  const sums = members.map(() => ({ right: 0, crossEntropy: 0, cost: 0 }));
  const correctSums = members.map(() => costs.map(() => 0));
  const bestCounts = members.map(() => layout.widths.map(() => 0));
  for (const { batch } of inOrder(split, layout, 500)) {
    const { gates, crossEntropy, correct } = await population.measure(batch);
    const size = batch.labels.shape[0]!;
    for (let row = 0; row < size; row++) {
      members.forEach(({ costWeight, loss, rule }, m) => {
        const at = row * members.length + m;
        const taken = exitOf(gates.subarray(at * (exits - 1), (at + 1) * (exits - 1)), rule);
        const sum = sums[m]!;
        sum.right += correct[at * exits + taken]!;
        sum.crossEntropy += crossEntropy[at * exits + taken]!;
        sum.cost += costs[taken]!;
        let best = 0;
        const lossAt = (i: number) => (loss === 'error' ? 1 - correct[i]! : crossEntropy[i]!);
        const price = (l: number) => lossAt(at * exits + l) + costWeight * costs[l]!;
        for (let l = 0; l < exits; l++) {
          correctSums[m]![l]! += correct[at * exits + l]!;
          if (price(l) < price(best)) best = l;
        }
        if (best < exits - 1) bestCounts[m]![best]!++;
      });
    }
  }
  const figures = sums.map(({ right, crossEntropy, cost }, m) => {
    const { costWeight, loss } = members[m]!;
    const [accuracy, ce, share] = [right, crossEntropy, cost].map((sum) => sum / split.length) as [
      number,
      number,
      number,
    ];
    const objective = (loss === 'error' ? 1 - accuracy : ce) + costWeight * share;
    return { accuracy, crossEntropy: ce, cost: share, objective };
  });
  return {
    figures,
    exitAccuracy: correctSums.map((row) => row.map((sum) => sum / split.length)),
    bestCounts,
  };
}
