/** The shape of `results.json`. */

import type { Report } from '@working-papers/edition';
import type { KittiMeasures } from '@working-papers/metrics/kitti-tracking';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { ByClass, Gap } from './evaluate.ts';
import type { SoakResult } from './soak.ts';

/** One way of tracking, measured on the validation recordings. */
export interface TrackerResult {
  readonly name: string;
  /** 2 or 10. */
  readonly hertz: number;
  /** 0 for what is not trained. */
  readonly seed: number;
  readonly epochs: number;
  readonly minutes: number;
  readonly measures: ByClass<KittiMeasures>;
  /** Focal loss an edge on own tracks and on labels'; null for what has no edges. */
  readonly gap: Gap | null;
  /** Frames a second over the validation recordings, parsed detections to identities. */
  readonly framesPerSecond: number;
  /** Of a frame there: median and 99th percentile. */
  readonly milliseconds: number;
  readonly slowest: number;
}

/** Time of a frame by how many objects are in it. */
export interface CrowdResult {
  readonly method: string;
  readonly objects: number;
  /** Median and 99th percentile of a frame. */
  readonly milliseconds: number;
  readonly slowest: number;
}

export interface Settings {
  readonly epochs: number;
  readonly seeds: readonly number[];
  readonly quick: boolean;
}

export interface Measured extends RunManifest {
  readonly settings: Settings;
  readonly trackers: readonly TrackerResult[];
  readonly crowds: readonly CrowdResult[];
  readonly soaks: readonly SoakResult[];
}

/** `results.json`. */
export interface Results extends Measured {
  readonly report: Report;
}
