/**
 * A street of our own making: cars in lanes, cyclists beside them, pedestrians on the pavements, seen by an imperfect
 * detector from a car that drives along. For examples and for the page; runs in Node and in browsers.
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
  /** Objects at a time; default 24. */
  readonly objects?: number;
  /** Share of objects that the detector misses in a frame; default 0.08. */
  readonly missed?: number;
}

const kinds = {
  Car: { length: 4.2, width: 1.8, height: 1.5 },
  Cyclist: { length: 1.8, width: 0.6, height: 1.7 },
  Pedestrian: { length: 0.7, width: 0.7, height: 1.75 },
} as const;

/** Where who goes how fast: metres across, metres a second along. Who shares a lane shares its speed. */
const lanes = [
  { type: 'Car', x: 2, speed: 9 },
  { type: 'Pedestrian', x: 10.5, speed: 1.2 },
  { type: 'Car', x: -2, speed: -10 },
  { type: 'Cyclist', x: 8, speed: 4.5 },
  { type: 'Pedestrian', x: -10.5, speed: -1.4 },
  { type: 'Car', x: 5.5, speed: 7 },
  { type: 'Cyclist', x: -8, speed: -5 },
  { type: 'Car', x: -5.5, speed: -8 },
  { type: 'Pedestrian', x: 12, speed: -1.1 },
] as const;

/** Metres of street that are there, behind the vehicle and ahead; who leaves at one end is followed by another at the other. */
const [behind, ahead] = [15, 75];

/** The same seed gives the same street. */
export function street({
  frames,
  seed,
  interval = 0.1,
  objects = 24,
  missed = 0.08,
}: StreetOptions): SimulatedFrame[] {
  const random = new Random(seed).fork('street');
  const whole = behind + ahead;
  const movers = Array.from({ length: objects }, (_, n) => {
    const lane = lanes[n % lanes.length]!;
    const inLane = Math.ceil((objects - (n % lanes.length)) / lanes.length);
    const spacing = whole / inLane;
    const start = spacing * (Math.floor(n / lanes.length) + 0.6 * random.uniform()) - behind;
    return { ...lane, start, sway: 2 * Math.PI * random.uniform() };
  });
  return Array.from({ length: frames }, (_, f) => {
    const time = f * interval;
    const ego = 6 * time;
    const pose: Pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, ego];
    const seen: { detection: KittiDetection; id: number }[] = [];
    for (const [n, { type, x, speed, start, sway }] of movers.entries()) {
      const along = start + speed * time - ego + behind;
      const rounds = Math.floor(along / whole);
      const z = along - rounds * whole - behind;
      if (z < 2 || z > 60 || random.uniform() < missed) continue;
      const across = x + (type === 'Pedestrian' ? 0.8 * Math.sin(0.6 * time + sway) : 0);
      const noise = 0.02 + z / 600;
      const [seenX, seenZ] = [across + noise * random.normal(), z + 2 * noise * random.normal()];
      const ry = (speed > 0 ? -1 : 1) * (Math.PI / 2) + 0.03 * random.normal();
      const detection = observe(type, seenX, seenZ, ry, 2 + 3 * random.uniform());
      // each round is another object
      seen.push({ detection, id: n + objects * Math.abs(2 * rounds + (rounds < 0 ? 1 : 0)) });
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
