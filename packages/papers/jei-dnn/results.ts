/** The shape of `results.json`, and how its figures are read and written in words. */

import type { Report } from '@working-papers/edition';
import type { CurvePoint } from '@working-papers/metrics/curves';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { SeedResult } from './bench.ts';
import type { CostWeights } from './methods.ts';
import type { Timing } from './timing.ts';

/** `results.json`. */
export interface Results extends RunManifest {
  readonly settings: {
    readonly costWeights: CostWeights;
    readonly epochs: number;
    readonly warmupEpochs: number;
    readonly pictures: { readonly train: number; readonly validation: number; readonly test: number };
    readonly backboneHash: string;
    /** c_l. */
    readonly costs: readonly number[];
    readonly multiplyAdds: number;
    readonly quick: boolean;
  };
  readonly seeds: readonly SeedResult[];
  readonly timings: readonly Timing[];
  /** When, how and on what the times were taken, where that was not in the run of the rest. */
  readonly timed?: RunManifest;
  readonly report: Report;
}

export type Measured = Omit<Results, 'report'>;

/** The middle of the curve, where the paper's gain is. */
export const middle: readonly number[] = [0.5, 0.55, 0.6, 0.65, 0.7];
export const warmupThresholds = ['Warm-up IMs, max-p', 'Warm-up IMs, entropy'];
export const method = 'JEI-DNN';

export function curve(seed: SeedResult, name: string): readonly CurvePoint[] {
  const found = seed.methods[name];
  if (!found) throw new Error(`the results have no method '${name}'`);
  return found;
}

/**
 * Timings as the runner serves a batch of this size: in the single graph that takes answered pictures out by itself,
 * or over most graphs where that was not measured.
 */
export function asServed(timings: readonly Timing[], batchSize: number): readonly Timing[] {
  const same = timings.filter((timing) => timing.batchSize === batchSize && timing.compaction);
  const counts = same.map(({ graphs }) => graphs);
  const graphs = counts.includes(1) ? 1 : Math.max(...counts);
  return same.filter((timing) => timing.graphs === graphs);
}
