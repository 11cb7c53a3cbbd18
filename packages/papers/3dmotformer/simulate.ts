/**
 * A street of our own making: cars in lanes, cyclists beside them, pedestrians across, seen by an imperfect detector from
 * a car that drives along. For examples and for the page; runs in Node and in browsers.
 */

import { Random } from '@working-papers/nn/random';
import type { KittiDetection, Pose } from './kitti.ts';

export interface SimulatedFrame {
  readonly detections: readonly KittiDetection[];
  /** The object behind each detection, −1 for none. */
  readonly ids: readonly number[];
  readonly pose: Pose;
}

export interface StreetOptions {
  readonly frames: number;
  readonly seed: number;
  /** Seconds between frames; default 0.1. */
  readonly interval?: number;
  /** Objects; default 14. */
  readonly objects?: number;
  /** Share of objects that the detector misses in a frame; default 0.08. */
  readonly missed?: number;
}

const kinds = {
  Car: { length: 4.2, width: 1.8, height: 1.5, speed: 9 },
  Cyclist: { length: 1.8, width: 0.6, height: 1.7, speed: 5 },
  Pedestrian: { length: 0.7, width: 0.7, height: 1.75, speed: 1.4 },
} as const;

interface Mover {
  readonly type: keyof typeof kinds;
  /** World: x across the street, z along it. */
  readonly x: number;
  readonly z: number;
  readonly vx: number;
  readonly vz: number;
  readonly from: number;
}

/** The same seed gives the same street. */
export function street({
  frames,
  seed,
  interval = 0.1,
  objects = 14,
  missed = 0.08,
}: StreetOptions): SimulatedFrame[] {
  const random = new Random(seed).fork('street');
  const movers = Array.from({ length: objects }, (_, n): Mover => {
    const type = (['Car', 'Car', 'Pedestrian', 'Cyclist', 'Pedestrian'] as const)[n % 5]!;
    const { speed } = kinds[type];
    const along = random.uniform() < 0.5 ? 1 : -1;
    const z = 8 + 45 * random.uniform();
    const own = speed * (0.7 + 0.6 * random.uniform());
    if (type === 'Pedestrian')
      return {
        type,
        x: -along * (6 + 2 * random.uniform()),
        z,
        vx: along * own * 0.7,
        vz: 0.2 * random.normal(),
        from: 0,
      };
    const lane = type === 'Car' ? 3.2 : 5.6;
    return { type, x: -along * lane, z: along > 0 ? z - 20 : z + 15, vx: 0, vz: along * own, from: 0 };
  });
  return Array.from({ length: frames }, (_, f) => {
    const time = f * interval;
    const ego = 6 * time;
    const pose: Pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, ego];
    const seen: { detection: KittiDetection; id: number }[] = [];
    for (const [id, { type, x, z, vx, vz }] of movers.entries()) {
      const [wx, wz] = [x + vx * time, z + vz * time - ego];
      if (wz < 2 || wz > 60 || Math.abs(wx) > 20 || random.uniform() < missed) continue;
      const ry = Math.atan2(-vz, vx === 0 ? 1e-9 : vx);
      const far = 0.02 + wz / 600;
      seen.push({
        id,
        detection: observe(
          type,
          wx + far * random.normal(),
          wz + 2 * far * random.normal(),
          ry,
          2 + 3 * random.uniform(),
        ),
      });
    }
    if (random.uniform() < 0.25) {
      const type = random.uniform() < 0.5 ? 'Car' : 'Pedestrian';
      const [x, z] = [16 * random.uniform() - 8, 5 + 40 * random.uniform()];
      seen.push({ id: -1, detection: observe(type, x, z, 6 * random.uniform(), random.uniform() - 1) });
    }
    return { detections: seen.map(({ detection }) => detection), ids: seen.map(({ id }) => id), pose };
  });
}

/** A box with what it covers in a picture of KITTI's camera. */
function observe(type: keyof typeof kinds, x: number, z: number, ry: number, score: number): KittiDetection {
  const { length, width, height } = kinds[type];
  const [focal, cx, cy, ground] = [720, 610, 175, 1.65];
  const half = (focal * Math.max(width, length * 0.6)) / z / 2;
  const [left, right] = [cx + (focal * x) / z - half, cx + (focal * x) / z + half];
  const [top, bottom] = [cy + (focal * (ground - height)) / z, cy + (focal * ground) / z];
  const box2d = [left, top, right, bottom] as const;
  return { type, x, y: ground, z, length, width, height, ry, score, alpha: ry - Math.atan2(x, z), box2d };
}
