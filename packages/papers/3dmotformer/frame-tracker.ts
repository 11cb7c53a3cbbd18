/** One way of tracking, whichever method: a frame of camera boxes in, boxes with identities out. */

import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import { type KalmanOptions, KalmanTracker, kittiKalman } from './kalman.ts';
import type { KittiDetection, Pose } from './kitti.ts';
import { egoShift, fromWorld, type KittiSeen, kittiKinds, seenInWorld } from './kitti-world.ts';
import type { WorldTracker } from './track.ts';
import { suppress } from './training-data.ts';

/** A track as results have it, with the angle that KITTI's files want. */
export interface FrameTrack extends TrackedBox {
  readonly alpha: number;
}

/** A pair that the network judged, as the camera sees it from above: x and z of both. */
export interface Link {
  /** Where the track was expected. */
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  /** Probability that both are one object. */
  readonly affinity: number;
}

/** Tracks of one sequence. Give poses in every frame or in none. */
export interface FrameTracker {
  step(frame: number, detections: readonly KittiDetection[], pose?: Pose): Promise<FrameTrack[]>;
  /** What the network judged in the last frame; nothing for the Kalman filter. */
  readonly links: readonly Link[];
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

/** A Kalman filter a track, after AB3DMOT, with its settings for each class; `changes` for all. */
export function kalmanFrames(changes: Partial<KalmanOptions> = {}): FrameTracker {
  // identities of a sequence are shared by the classes: each class counts in steps
  const trackers = kittiKinds.map(
    (kind) => new KalmanTracker<KittiDetection>({ ...kittiKalman[kind], ...changes }),
  );
  return {
    links: [],
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

/** A place over the ground, from the vehicle along the world's axes, as the camera sees it from above. */
function seenFrom(pose: Pose, [x, y]: readonly [number, number]): readonly [number, number] {
  return [pose[0]! * x + pose[8]! * y, pose[2]! * x + pose[10]! * y];
}

export interface WorldFrameOptions {
  /** Frames before a track is told; default 1. */
  readonly minHits?: number;
  /** Frames for which a track is told while it is not seen; default none. More than it may go unseen are as many as that. */
  readonly coast?: number;
  /** Seconds between frames, which coasting needs; default 0.1. */
  readonly interval?: number;
}

/**
 * A tracker over the ground, the network above all: matched detections with identities, and with `coast` boxes of tracks
 * that are not seen, moved on by their velocity, with the score of their last detection.
 */
export function worldFrames(
  tracker: WorldTracker<KittiSeen>,
  { minHits = 1, coast = 0, interval = 0.1 }: WorldFrameOptions = {},
): FrameTracker {
  let before: Pose | undefined;
  return {
    get links() {
      const { across, affinity, dets, tracks } = tracker.edges;
      const pose = before ?? still;
      return across.flatMap((own, i) =>
        own.map((j, at) => ({
          from: seenFrom(pose, tracks[j]!),
          to: seenFrom(pose, dets[i]!),
          affinity: affinity[i]![at]!,
        })),
      );
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
      return tracks.flatMap((track) => {
        const { id, detection, coasting, hits, age } = track;
        if (hits < minHits || (coasting && age > coast + 1)) return [];
        const seen = detection.detection;
        if (!coasting) return [row(frame, id, seen.score, seen, seen)];
        const time = interval * (age - 1);
        const place = {
          ...track,
          x: track.x + track.velocity[0] * time,
          y: track.y + track.velocity[1] * time,
        };
        return [row(frame, id, seen.score, { ...seen, ...fromWorld(place, pose) }, seen)];
      });
    },
  };
}
