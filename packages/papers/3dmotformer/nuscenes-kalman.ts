/** The Kalman filter on nuScenes: all classes of a scene, at 2 Hz, matched by distance within the network's gates. */

import type { Box3d } from '@working-papers/metrics/boxes3d';
import { nuscenesGraph } from './graph.ts';
import { KalmanTracker } from './kalman.ts';
import { type NuscenesSeen, nuscenesKinds } from './nuscenes.ts';
import type { ToldTrack } from './track.ts';
import type { Detection } from './tracker.ts';

interface Standing extends Detection {
  readonly seen: NuscenesSeen;
}

/** From a box over the ground to one of a camera that looks along y, and stands on z = 0. */
function toCamera(seen: NuscenesSeen): Standing {
  const { x, y, z, length, width, height, yaw, score, kind } = seen;
  const box: Box3d = { x, y: height / 2 - z, z: y, length, width, height, ry: -yaw };
  return { ...box, type: nuscenesKinds[kind]!, score, seen };
}

/** Tracks of one scene. Coasting tracks are not told. */
export function kalmanScene(): { step(seen: readonly NuscenesSeen[]): Promise<ToldTrack<NuscenesSeen>[]> } {
  const trackers = nuscenesKinds.map((_, kind) => {
    const minAffinity = -nuscenesGraph.gates[kind]!;
    return new KalmanTracker<Standing>({
      matching: 'greedy',
      affinity: 'distance',
      minAffinity,
      minHits: 1,
      maxAge: 3,
    });
  });
  return {
    async step(seen) {
      return trackers.flatMap((tracker, kind) => {
        const own = seen.filter((box) => box.kind === kind).map(toCamera);
        const now = new Set(own);
        return tracker
          .step(own)
          .filter(({ detection }) => now.has(detection))
          .map(({ id, detection: { seen: detection } }) => ({
            ...detection,
            id: id * nuscenesKinds.length + kind,
            detection,
            age: 1,
            hits: 1,
            coasting: false,
          }));
      });
    },
  };
}
