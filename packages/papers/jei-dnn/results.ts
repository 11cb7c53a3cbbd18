/** The shape of `results.json`, and how its figures are read and written in words. */

import type { CurvePoint } from '@working-papers/metrics/curves';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { CostWeights, SeedResult } from './bench.ts';
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

/** What the page reads; the edition's package checks it. */
export interface Report {
  readonly measured: {
    readonly date: string;
    readonly machine: string;
    readonly seeds: number;
    readonly command: string;
  };
  readonly claims: readonly Claim[];
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
}
export interface Claim {
  readonly claim: string;
  readonly published: string;
  readonly measured: string;
  readonly verdict: 'reproduced' | 'partly' | 'not reproduced';
  readonly note?: string;
}
export interface Figure {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly x: { readonly label: string; readonly unit?: string };
  readonly y: { readonly label: string; readonly unit?: string };
  readonly series: readonly {
    readonly name: string;
    readonly role: 'method' | 'baseline' | 'reference';
    readonly points: readonly {
      readonly x: number;
      readonly y: number;
      readonly low?: number;
      readonly high?: number;
    }[];
  }[];
}
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export type Measured = Omit<Results, 'report'>;

/** The middle of the curve, where the paper's gain is. */
export const middle: readonly number[] = [0.5, 0.55, 0.6, 0.65, 0.7];
export const warmupThresholds = ['Warm-up IMs, max-p', 'Warm-up IMs, entropy'];
export const method = 'JEI-DNN';

export function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;
}

/** Mean over seeds, with the range when there are several. */
export function spread(values: readonly number[], format: (value: number) => string): string {
  if (values.length === 0) return 'none';
  if (values.length === 1) return format(values[0]!);
  return `${format(mean(values))} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

export const points = (value: number) => `${value >= 0 ? '+' : '−'}${Math.abs(100 * value).toFixed(2)}`;
export const signed = (value: number, digits = 3) =>
  `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(digits)}`;
export const percent = (value: number, digits = 2) => `${(100 * value).toFixed(digits)} %`;

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

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0
    ? Number.NaN
    : (sorted[sorted.length >> 1]! + sorted[(sorted.length - 1) >> 1]!) / 2;
}
