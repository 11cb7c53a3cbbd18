/** The shape of `results.json`. */

import type { Report } from '@working-papers/edition';
import type { Judgement } from '@working-papers/models/cifar10-judge';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { Bucket } from './evaluate.ts';

/** One training of the bench, by `trainingsOf`. */
export interface TrainingResult {
  readonly name: string;
  readonly seed: number;
  readonly updates: number;
  /** Numbers that were trained, and their share of the frozen network's. */
  readonly parameters: number;
  readonly share: number;
  readonly minutes: number;
  /** E on held-out trajectories: of all their points, by ω and by step. */
  readonly error: number;
  readonly byScale: readonly Bucket[];
  readonly byStep: readonly (number | null)[];
  /** Mean L2 distance to where CFG itself ends, from the same noise, on the held-out conditions; null: not measured. */
  readonly drift: number | null;
  /** |A(ω + 0.05) − A(ω)|/|A(ω)|, the mean over ω; null for what has no adapters. */
  readonly roughness: number | null;
}

/** Pictures of one way of guiding, judged. */
export interface PictureResult extends Judgement {
  readonly method: string;
  readonly scale: number;
  readonly steps: number;
  readonly seed: number;
  readonly pictures: number;
  /** Rows of the network for each picture. */
  readonly calls: number;
}

export interface TimingResult {
  readonly method: string;
  readonly batchSize: number;
  /** A picture, median over rounds. */
  readonly milliseconds: number;
  /** Of CFG's in the same round: median and middle half. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

export interface TransferResult {
  readonly adapter: string;
  /** What was done to the base. */
  readonly classes: readonly string[];
  readonly updates: number;
  /** E on trajectories of the base, and of the base after it was tuned, with the adapters as they were. */
  readonly before: number;
  readonly after: number;
}

export interface Settings {
  /** SHA-256 of the frozen model's tensors, and of the feature network's. */
  readonly base: string;
  readonly features: string;
  readonly steps: number;
  readonly trajectories: number;
  readonly updates: number;
  readonly ablationUpdates: number;
  readonly pictures: number;
  readonly scales: readonly number[];
  readonly seeds: readonly number[];
  readonly quick: boolean;
}

export interface Measured extends RunManifest {
  readonly settings: Settings;
  readonly trainings: readonly TrainingResult[];
  /** Of training pictures, equally many. */
  readonly floor: readonly (Judgement & { readonly seed: number; readonly pictures: number })[];
  readonly pictures: readonly PictureResult[];
  readonly timings: readonly TimingResult[];
  /** When, how and on what the times were taken. */
  readonly timed?: RunManifest;
  readonly transfer: readonly TransferResult[];
}

/** `results.json`. */
export interface Results extends Measured {
  readonly report: Report;
}
