/** Trackers on KITTI's recordings, measured by its evaluator; and the mismatch as a number. */

import {
  type KittiMeasures,
  type KittiOptions,
  type KittiSequence,
  kittiTracking,
  type TrackedBox,
} from '@working-papers/metrics/kitti-tracking';
import type { Device, Store } from '@working-papers/tensor';
import { toNumbers } from '@working-papers/tensor';
import type { FrameTracker } from './frame-tracker.ts';
import { type KittiRecording, type SamplingOptions, sampledLabels } from './kitti-data.ts';
import { kittiKinds } from './kitti-world.ts';
import type { MotFormer } from './model.ts';
import { type RolloutOptions, rollOut } from './rollout.ts';
import { compileRunner } from './train.ts';
import type { TrainingFrame } from './training-data.ts';

/** A tracker's results on a recording, frames numbered from 0. */
export async function trackRecording(
  tracker: FrameTracker,
  { detections, poses }: KittiRecording,
  { every = 1, phase = 0 }: SamplingOptions = {},
): Promise<TrackedBox[]> {
  const rows: TrackedBox[] = [];
  for (let frame = phase, t = 0; frame < poses.length; frame += every, t++) {
    const seen = kittiKinds.flatMap((kind) => detections[kind][frame] ?? []);
    rows.push(...(await tracker.step(t, seen, poses[frame])));
  }
  return rows;
}

export type ByClass<T> = Readonly<Record<'car' | 'pedestrian' | 'cyclist', T>>;

/** Measures of each class over recordings with a tracker's results. */
export function measureKitti(
  recordings: readonly KittiRecording[],
  results: readonly (readonly TrackedBox[])[],
  sampling: SamplingOptions = {},
  options: KittiOptions = { averaging: 'stable' },
): ByClass<KittiMeasures> {
  const sequences = recordings.map(
    (recording, i): KittiSequence => ({ labels: sampledLabels(recording, sampling), results: results[i]! }),
  );
  const [car, pedestrian, cyclist] = (['car', 'pedestrian', 'cyclist'] as const).map((name) =>
    kittiTracking(sequences, name, options),
  ) as [KittiMeasures, KittiMeasures, KittiMeasures];
  return { car, pedestrian, cyclist };
}

export interface GapOptions {
  readonly device: Device;
  readonly model: MotFormer;
  readonly store: Store;
  readonly rollout: RolloutOptions;
  /** Frames in a row, of any length. */
  readonly sequences: readonly (readonly TrainingFrame[])[];
  /** Frames of a window; default 40. */
  readonly length?: number;
}

export interface Gap {
  /** Mean focal loss an edge where tracks are the network's own. */
  readonly closed: number;
  /** And where they are made of labels. */
  readonly forced: number;
  /** Share of the places in lists of candidates that hold one, on own tracks; the rest is all that a graph is padded with. */
  readonly filled: number;
}

/** The mismatch: the same weights on their own tracks and on tracks of labels. */
export async function closedAndForced(options: GapOptions): Promise<Gap> {
  const { device, model, store, rollout, sequences, length = 40 } = options;
  // in inference: a model that drops nothing
  const runner = await compileRunner(device, model, store, rollout, false);
  const lossOf = async (tracks: 'own' | 'labels') => {
    let [sum, edges, places] = [0, 0, 0];
    for (const frames of sequences) {
      for (let first = 0; first + 2 <= frames.length; first += length) {
        const window = frames.slice(first, first + length);
        if (window.length < 2) continue;
        const inner = runner.of(0);
        await rollOut(
          [window],
          { ...rollout, tracks },
          {
            start: (dets) => inner.start(dets),
            features: () => inner.features(),
            async step(record, frame) {
              const answer = await inner.step(record, frame);
              const [z, y, mask] = [answer.affinity, record.target, record.across.mask].map(toNumbers);
              places += mask!.length;
              for (const [i, there] of mask!.entries()) {
                if (there === 0) continue;
                const sure = 1 / (1 + Math.exp(y![i] === 1 ? -z![i]! : z![i]!));
                sum += -Math.log(Math.max(sure, 1e-12)) * (1 - sure);
                edges++;
              }
              return answer;
            },
          },
        );
      }
    }
    return { loss: edges === 0 ? Number.NaN : sum / edges, filled: edges / places };
  };
  try {
    const [{ loss: closed, filled }, { loss: forced }] = [await lossOf('own'), await lossOf('labels')];
    return { closed, forced, filled };
  } finally {
    await runner.dispose();
  }
}
