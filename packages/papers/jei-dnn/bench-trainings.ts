/** The trainings of the bench: baselines, variants of the method, one after the other on the same features. */

import type { Device } from '@working-papers/tensor';
import { trainBoosted, trainL2w } from './baselines.ts';
import type { FeatureCache } from './features.ts';
import { type CostWeights, paper, type Variant, variants } from './methods.ts';
import type { ExitTensors, Member } from './population-graphs.ts';
import { type TrainedMember, trainExits } from './train.ts';
import type { TrainingOptions } from './training.ts';
import { warmUp } from './warmup.ts';

export interface BenchOptions {
  readonly device: Device;
  readonly cache: FeatureCache;
  /** c_l of the L exits. */
  readonly costs: readonly number[];
  readonly costWeights: CostWeights;
  readonly seed: number;
  /** Of each training but the warm-up. */
  readonly epochs: number;
  readonly warmupEpochs: number;
  /** Batches of a phase; default 200. Fewer where an epoch has fewer. */
  readonly turn?: number;
  readonly signal?: AbortSignal;
  /** Shares of the whole that are done, 0..1. */
  readonly onProgress?: (done: number, what: string) => void;
}

/** What one seed's trainings made. */
export interface SeedTrainings {
  /** IMs that all learn alike; what every variant starts from. */
  readonly warmup: ExitTensors;
  /** IMs that learned each for itself. */
  readonly separate: ExitTensors;
  readonly boosted: ExitTensors;
  readonly l2w: ExitTensors;
  /** Of a variant, one set for each λ of its loss. */
  variant(name: Variant): readonly TrainedMember[];
  /** Gates that were trained on IMs that were done, one set for each λ. */
  readonly inSequence: readonly TrainedMember[];
}

/** Trains all that one seed compares. */
export async function trainSeed(options: BenchOptions): Promise<SeedTrainings> {
  const { device, cache, costs, costWeights, seed, epochs, warmupEpochs, signal } = options;
  const names = Object.keys(variants) as Variant[];
  // shares of the time, as measured; only the bar depends on them
  const stages = { warmup: 2, separate: 4, boosted: 10, l2w: 12, population: 60, sequential: 12 };
  const total = Object.values(stages).reduce((a, b) => a + b);
  let passed = 0;
  const stage = async <T>(
    name: keyof typeof stages,
    run: (common: TrainingOptions) => Promise<T>,
  ): Promise<T> => {
    const value = await run({
      device,
      layout: cache,
      train: cache.train,
      validation: cache.validation,
      costs,
      seed,
      ...(signal ? { signal } : {}),
      onBatch: (done, all) => options.onProgress?.((passed + (stages[name] * done) / all) / total, name),
    });
    passed += stages[name];
    options.onProgress?.(passed / total, name);
    return value;
  };

  const warm = await stage('warmup', (common) => warmUp({ ...common, epochs: warmupEpochs }));
  const alone = {
    epochs,
    patience: Number.POSITIVE_INFINITY,
    anneal: true,
    scales: cache.widths.map(() => 1),
  };
  const separate = await stage('separate', (common) => warmUp({ ...common, ...alone }));
  const boosted = await stage('boosted', (common) => trainBoosted({ ...common, epochs }));
  const l2w = await stage('l2w', (common) => trainL2w({ ...common, epochs }));
  const members = names.map((name) =>
    costWeights[variants[name].loss].map((costWeight): Member => ({ costWeight, ...variants[name] })),
  );
  const nats = costWeights['cross-entropy'];
  const trained = await stage('population', (common) =>
    trainExits({
      ...common,
      members: members.flat(),
      start: warm.tensors,
      epochs,
      ...(options.turn === undefined ? {} : { turn: options.turn }),
    }),
  );
  const inSequence = await stage('sequential', async (common) => {
    const half = Math.max(1, Math.floor(epochs / 2));
    const uniform: Member = {
      costWeight: 0,
      weighting: cache.widths.map(() => 1 / costs.length),
      select: 'last',
    };
    const [heads] = await trainExits({
      ...common,
      members: [uniform],
      start: warm.tensors,
      epochs: half,
      only: 'heads',
    });
    const gates = nats.map((costWeight): Member => ({ ...paper, costWeight }));
    return trainExits({
      ...common,
      members: gates,
      start: heads!.tensors,
      epochs: epochs - half,
      only: 'gates',
    });
  });
  const variant = (name: Variant) => {
    const from = members.slice(0, names.indexOf(name)).flat().length;
    return trained.slice(from, from + costWeights[variants[name].loss].length);
  };
  return { warmup: warm.tensors, separate: separate.tensors, boosted, l2w, variant, inSequence };
}
