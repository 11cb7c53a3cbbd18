/** One way of tracking, whichever method: a frame of camera boxes in, boxes with identities out. */

import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import { KalmanTracker, kittiKalman } from './kalman.ts';
import type { KittiDetection, Pose } from './kitti.ts';
import { egoShift, type KittiSeen, kittiKinds, seenInWorld } from './kitti-world.ts';
import type { FrameEdges, MotTracker } from './track.ts';
import { suppress } from './training-data.ts';

/** A track as results have it, with the angle that KITTI's files want. */
export interface FrameTrack extends TrackedBox {
  readonly alpha: number;
}

/** Tracks of one sequence. Give poses in every frame or in none. */
export interface FrameTracker {
  step(frame: number, detections: readonly KittiDetection[], pose?: Pose): Promise<FrameTrack[]>;
  /** The network's edges of the last frame; none for the Kalman filter. */
  readonly edges: FrameEdges;
}

const row = (
  frame: number,
  id: number,
  score: number,
  box: KittiDetection | Pick<TrackedBox, 'x' | 'y' | 'z' | 'length' | 'width' | 'height' | 'ry'>,
  detection: KittiDetection,
): FrameTrack => {
  const { x, y, z, length, width, height, ry } = box;
  const { type, box2d, alpha } = detection;
  return {
    frame,
    id,
    type,
    x,
    y,
    z,
    length,
    width,
    height,
    ry,
    box2d,
    alpha,
    score,
    occlusion: 0,
    truncation: 0,
  };
};

/** A Kalman filter a track, after AB3DMOT, with its settings for each class. */
export function kalmanFrames(): FrameTracker {
  // identities of a sequence are shared by the classes: each class counts in steps
  const trackers = kittiKinds.map((kind) => new KalmanTracker<KittiDetection>(kittiKalman[kind]));
  return {
    edges: { across: [], affinity: [] },
    async step(frame, detections, pose) {
      return trackers.flatMap((tracker, kind) =>
        tracker
          .step(
            detections.filter(({ type }) => type === kittiKinds[kind]),
            pose,
          )
          .map((track) =>
            row(frame, track.id * kittiKinds.length + kind, track.score, track, track.detection),
          ),
      );
    },
  };
}

const still: Pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];

/** The network: matched detections with identities. */
export function networkFrames(tracker: MotTracker<KittiSeen>, minHits = 1): FrameTracker {
  let before: Pose | undefined;
  return {
    get edges() {
      return tracker.edges;
    },
    async step(frame, detections, pose = still) {
      if (before) tracker.move(egoShift(before, pose));
      before = pose;
      const boxes = detections.map((detection) => ({
        ...detection,
        kind: (kittiKinds as readonly string[]).indexOf(detection.type),
      }));
      const dets = suppress(boxes).map((n) => seenInWorld(detections[n]!, pose));
      const tracks = await tracker.step(dets);
      return tracks.flatMap(({ id, detection, coasting, hits }) =>
        coasting || hits < minHits
          ? []
          : [row(frame, id, detection.detection.score, detection.detection, detection.detection)],
      );
    },
  };
}
