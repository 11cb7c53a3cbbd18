/**
 * The baseline: a Kalman filter a track, constant velocity, matched by generalised IoU or by distance, after AB3DMOT
 * (Weng et al. 2020, arXiv 1907.03961, section 3). Place, yaw and size are measured; place has a velocity. With unit
 * measurement noise and no coupling between coordinates the filter of ten states is seven small ones.
 */

import { assign } from '@working-papers/metrics/assignment';
import { type Box3d, giou3d } from '@working-papers/metrics/boxes3d';
import type { Pose } from './kitti.ts';
import type { Detection, Track } from './tracker.ts';

export interface KalmanOptions {
  /** All pairs at once, cheapest in total, or the best pair first. */
  readonly matching: 'hungarian' | 'greedy';
  /** Generalised IoU, or minus the distance of centres in metres. */
  readonly affinity: 'giou' | 'distance';
  /** Pairs below are no match. */
  readonly minAffinity: number;
  /** Matches before a track is told, except in the first frames. */
  readonly minHits: number;
  /** Frames without a match after which it ends. */
  readonly maxAge: number;
}

/** As tuned for KITTI with PointRCNN detections. */
export const kittiKalman: Readonly<Record<'Car' | 'Pedestrian' | 'Cyclist', KalmanOptions>> = {
  Car: { matching: 'hungarian', affinity: 'giou', minAffinity: -0.2, minHits: 3, maxAge: 2 },
  Pedestrian: { matching: 'greedy', affinity: 'giou', minAffinity: -0.4, minHits: 1, maxAge: 4 },
  Cyclist: { matching: 'hungarian', affinity: 'distance', minAffinity: -2, minHits: 3, maxAge: 4 },
};

/** A number that moves at a steady rate, or one that stays (`moves` false). */
class Filter {
  value: number;
  velocity = 0;
  readonly #moves: boolean;
  /** Covariance of value and velocity: variances and what they share. */
  #p = 10;
  #shared = 0;
  #pVelocity = 10_000;

  constructor(value: number, moves: boolean) {
    this.value = value;
    this.#moves = moves;
  }

  predict(): void {
    if (this.#moves) {
      this.value += this.velocity;
      this.#p += 2 * this.#shared + this.#pVelocity;
      this.#shared += this.#pVelocity;
      this.#pVelocity += 0.01;
    }
    this.#p += 1;
  }

  update(measured: number): void {
    const gain = this.#p / (this.#p + 1);
    const gainVelocity = this.#shared / (this.#p + 1);
    const surprise = measured - this.value;
    this.value += gain * surprise;
    this.velocity += gainVelocity * surprise;
    this.#pVelocity -= gainVelocity * this.#shared;
    this.#shared *= 1 - gain;
    this.#p *= 1 - gain;
  }
}

/** An angle in [−π, π). */
function wrap(angle: number): number {
  const turns = Math.floor((angle + Math.PI) / (2 * Math.PI));
  return angle - turns * 2 * Math.PI;
}

interface Life<D extends Detection> {
  readonly id: number;
  readonly x: Filter;
  readonly y: Filter;
  readonly z: Filter;
  readonly ry: Filter;
  readonly length: Filter;
  readonly width: Filter;
  readonly height: Filter;
  detection: D;
  hits: number;
  misses: number;
}

const boxOf = <D extends Detection>({ x, y, z, length, width, height, ry }: Life<D>): Box3d => ({
  x: x.value,
  y: y.value,
  z: z.value,
  length: length.value,
  width: width.value,
  height: height.value,
  ry: ry.value,
});

/** Tracks one class of one sequence, frame by frame. */
export class KalmanTracker<D extends Detection = Detection> {
  readonly #options: KalmanOptions;
  readonly #firstId: number;
  #lives: Life<D>[] = [];
  #frames = 0;
  #born = 0;
  #pose: Pose | undefined;

  /** Identities count up from `firstId`; default 0. */
  constructor(options: KalmanOptions, firstId = 0) {
    this.#options = options;
    this.#firstId = firstId;
  }

  /** The next identity: where another tracker of the same sequence may begin. */
  get nextId(): number {
    return this.#firstId + this.#born;
  }

  /**
   * The next frame. With the camera's pose tracks are carried from where the camera was to where it is; give one in every
   * frame or in none.
   */
  step(detections: readonly D[], pose?: Pose): Track<D>[] {
    const { minHits, maxAge } = this.#options;
    this.#frames++;
    for (const life of this.#lives) {
      for (const filter of [life.x, life.y, life.z, life.ry, life.length, life.width, life.height])
        filter.predict();
      life.ry.value = wrap(life.ry.value);
      life.misses++;
    }
    if (pose && this.#pose) for (const life of this.#lives) carry(life, this.#pose, pose);
    this.#pose = pose;

    const matches = this.#match(detections);
    for (const [i, life] of this.#lives.entries()) {
      const detection = matches[i];
      if (detection) update(life, detection);
    }
    const taken = new Set(matches);
    for (const detection of detections) if (!taken.has(detection)) this.#lives.push(this.#birth(detection));

    const told = this.#lives.filter(
      ({ misses, hits }) => misses < maxAge && (hits >= minHits || this.#frames <= minHits),
    );
    const tracks = told.map((life) => ({
      ...boxOf(life),
      id: life.id,
      score: life.detection.score,
      detection: life.detection,
    }));
    this.#lives = this.#lives.filter(({ misses }) => misses < maxAge);
    return tracks;
  }

  #birth(detection: D): Life<D> {
    return {
      id: this.#firstId + this.#born++,
      x: new Filter(detection.x, true),
      y: new Filter(detection.y, true),
      z: new Filter(detection.z, true),
      ry: new Filter(detection.ry, false),
      length: new Filter(detection.length, false),
      width: new Filter(detection.width, false),
      height: new Filter(detection.height, false),
      detection,
      hits: 1,
      misses: 0,
    };
  }

  /** For each track its detection of this frame. */
  #match(detections: readonly D[]): (D | undefined)[] {
    const { matching, affinity, minAffinity } = this.#options;
    const boxes = this.#lives.map(boxOf);
    const found = new Array<D | undefined>(boxes.length).fill(undefined);
    if (boxes.length === 0 || detections.length === 0) return found;
    const costs = detections.map((detection) =>
      boxes.map((box) =>
        affinity === 'giou'
          ? -giou3d(detection, box)
          : Math.hypot(
              detection.x - box.x,
              detection.y - detection.height / 2 - (box.y - box.height / 2),
              detection.z - box.z,
            ),
      ),
    );
    const pairs: (readonly [number, number])[] = [];
    if (matching === 'hungarian') {
      for (const [i, j] of assign(costs).entries()) if (j >= 0) pairs.push([i, j]);
    } else {
      const all = costs
        .flatMap((row, i) => row.map((cost, j) => ({ cost, i, j })))
        .sort((a, b) => a.cost - b.cost);
      const [rows, columns] = [new Set<number>(), new Set<number>()];
      for (const { i, j } of all) {
        if (rows.has(i) || columns.has(j)) continue;
        rows.add(i);
        columns.add(j);
        pairs.push([i, j]);
      }
    }
    for (const [i, j] of pairs) if (-costs[i]![j]! >= minAffinity) found[j] = detections[i]!;
    return found;
  }
}

function update<D extends Detection>(life: Life<D>, detection: D): void {
  life.hits++;
  life.misses = 0;
  life.detection = detection;
  // a detector confuses front and back: the track turns rather than spin
  const measured = wrap(detection.ry);
  let turned = wrap(life.ry.value);
  const apart = Math.abs(measured - turned);
  if (apart > Math.PI / 2 && apart < 1.5 * Math.PI) turned = wrap(turned + Math.PI);
  if (Math.abs(measured - turned) >= 1.5 * Math.PI) turned += measured > 0 ? 2 * Math.PI : -2 * Math.PI;
  life.ry.value = turned;
  life.x.update(detection.x);
  life.y.update(detection.y);
  life.z.update(detection.z);
  life.ry.update(measured);
  life.ry.value = wrap(life.ry.value);
  life.length.update(detection.length);
  life.width.update(detection.width);
  life.height.update(detection.height);
}

/** A place seen by the camera at `from`, as the camera at `to` sees it. */
function carry<D extends Detection>({ x, y, z }: Life<D>, from: Pose, to: Pose): void {
  const at = [x.value, y.value, z.value];
  const world = [0, 1, 2].map((row) => {
    const [a, b, c, t] = from.slice(4 * row, 4 * row + 4) as [number, number, number, number];
    return a * at[0]! + b * at[1]! + c * at[2]! + t - to[4 * row + 3]!;
  });
  const seen = [0, 1, 2].map(
    (column) => to[column]! * world[0]! + to[4 + column]! * world[1]! + to[8 + column]! * world[2]!,
  );
  [x.value, y.value, z.value] = seen as [number, number, number];
}
