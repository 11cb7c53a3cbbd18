/** Trackers on KITTI's recordings, measured by its evaluator; and the mismatch as a number. */

import type { Box3d } from '@working-papers/metrics/boxes3d';
import {
  type KittiMeasures,
  type KittiOptions,
  type KittiSequence,
  kittiTracking,
  type TrackedBox,
} from '@working-papers/metrics/kitti-tracking';
import type { Device, Store } from '@working-papers/tensor';
import { toNumbers } from '@working-papers/tensor';
import { type KalmanOptions, KalmanTracker, kittiKalman } from './kalman.ts';
import type { KittiDetection } from './kitti.ts';
import { framesOf, type KittiRecording, type SamplingOptions, sampledLabels } from './kitti-data.ts';
import { egoShift, type KittiSeen, kittiKinds } from './kitti-world.ts';
import type { MotFormer } from './model.ts';
import { type RolloutOptions, rollOut } from './rollout.ts';
import type { CompiledMotFormer } from './track.ts';
import { compileRunner } from './train.ts';
import type { TrainingFrame } from './training-data.ts';

const row = (frame: number, id: number, detection: KittiDetection, score = detection.score): TrackedBox => {
  const { type, box2d, x, y, z, length, width, height, ry } = detection;
  return { frame, id, type, box2d, x, y, z, length, width, height, ry, score, occlusion: 0, truncation: 0 };
};

/**
 * The network's tracks of a recording: detections with identities, frames numbered from 0. What coasts is not told, nor
 * what has been seen less than `minHits` times.
 */
export async function trackRecording(
  compiled: CompiledMotFormer,
  recording: KittiRecording,
  sampling: SamplingOptions = {},
  minHits = 1,
): Promise<TrackedBox[]> {
  const tracker = compiled.open<KittiSeen>();
  const rows: TrackedBox[] = [];
  const frames = framesOf(recording, sampling);
  for (const [t, { dets, pose }] of frames.entries()) {
    const before = frames[t - 1];
    if (before) tracker.move(egoShift(before.pose, pose));
    for (const { id, detection, coasting, hits } of await tracker.step(dets))
      if (!coasting && hits >= minHits) rows.push(row(t, id, detection.detection));
  }
  return rows;
}

/** The Kalman filter's tracks of a recording, one filter a class. */
export function trackWithKalman(
  { detections, poses }: KittiRecording,
  { every = 1, phase = 0 }: SamplingOptions = {},
  options: Readonly<Record<string, KalmanOptions>> = kittiKalman,
): TrackedBox[] {
  const rows: TrackedBox[] = [];
  let firstId = 0;
  for (const kind of kittiKinds) {
    const tracker = new KalmanTracker<KittiDetection>(options[kind]!, firstId);
    for (let frame = phase, t = 0; frame < poses.length; frame += every, t++)
      for (const track of tracker.step(detections[kind][frame] ?? [], poses[frame]))
        rows.push({ ...row(t, track.id, track.detection), ...boxOf(track) });
    firstId = tracker.nextId;
  }
  return rows;
}

const boxOf = ({ x, y, z, length, width, height, ry }: Box3d): Box3d => ({
  x,
  y,
  z,
  length,
  width,
  height,
  ry,
});

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
}

/** The mismatch: the same weights on their own tracks and on tracks of labels. */
export async function closedAndForced(options: GapOptions): Promise<Gap> {
  const { device, model, store, rollout, sequences, length = 40 } = options;
  // in inference: a model that drops nothing
  const runner = await compileRunner(device, model, store, rollout, false);
  const loss = async (tracks: 'own' | 'labels') => {
    let [sum, edges] = [0, 0];
    for (const frames of sequences) {
      for (let first = 0; first + 2 <= frames.length; first += length) {
        const window = frames.slice(first, first + length);
        if (window.length < 2) continue;
        const inner = runner.of(0);
        const record = await rollOut(
          [window],
          { ...rollout, tracks },
          {
            start: (dets) => inner.start(dets),
            async step(record, frame) {
              const answer = await inner.step(record, frame);
              const [z, y, mask] = [answer.affinity, record.target, record.across.mask].map(toNumbers);
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
        if (record.frames.length === 0) throw new Error('a window without frames');
      }
    }
    return edges === 0 ? Number.NaN : sum / edges;
  };
  try {
    return { closed: await loss('own'), forced: await loss('labels') };
  } finally {
    await runner.dispose();
  }
}
