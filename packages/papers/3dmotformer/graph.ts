/**
 * From boxes to the graph of a frame: which tracks and detections are neighbours, and what nodes and edges are told. Boxes
 * lie in metres on a ground plane (x, y), their height along z; distances decide who is near whom, in pure arithmetic on
 * the host.
 */

import { type NdArray, ndarray } from '@working-papers/tensor';

/** A box over the ground. */
export interface WorldBox {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly width: number;
  readonly length: number;
  readonly height: number;
  readonly yaw: number;
  /** Number of its class. */
  readonly kind: number;
}

export interface SeenBox extends WorldBox {
  /** As the detector measured it; 0 where it does not. Metres a second. */
  readonly velocity: readonly [number, number];
  /** 0 to 1. */
  readonly score: number;
}

export interface TrackedState extends WorldBox {
  /** As the network predicted it. */
  readonly velocity: readonly [number, number];
  /** Frames since it was seen, from 1. */
  readonly age: number;
}

export interface GraphOptions {
  /** Seconds between frames. */
  readonly interval: number;
  /** By class: how far a detection may be from where a track is expected, metres. */
  readonly gates: readonly number[];
  /** Neighbours among tracks and among detections are of one class and so near; default 5 metres. */
  readonly radius?: number;
  /** Most edges of a node; default 16. */
  readonly maxNeighbours?: number;
}

/** nuScenes at 2 Hz: car, pedestrian, bicycle, bus, motorcycle, trailer, truck. */
export const nuscenesGraph: GraphOptions = { interval: 0.5, gates: [4, 1, 3, 5.5, 13, 3, 4] };
/** KITTI's car, pedestrian, cyclist at 10 Hz and, of every fifth frame, at 2 Hz. */
export const kittiGraph: GraphOptions = { interval: 0.1, gates: [4, 1, 3] };
export const kittiSlowGraph: GraphOptions = { interval: 0.5, gates: [9, 2, 4] };

/** More neighbours than the graph has room for. */
export class CrowdError extends Error {
  override readonly name = 'CrowdError';
}

/** For each node the numbers of its neighbours. */
export type Lists = readonly (readonly number[])[];

/** What a graph's node is told of a detection: box, velocity, class, score. */
export function nodeFeatures(boxes: readonly SeenBox[], classes: number): NdArray {
  const width = 10 + classes;
  const data = new Float32Array(boxes.length * width);
  for (const [n, { x, y, z, width: w, length, height, yaw, velocity, kind, score }] of boxes.entries()) {
    data.set([x, y, z, w, length, height, yaw, ...velocity], n * width);
    data[n * width + 9 + kind] = 1;
    data[n * width + 9 + classes] = score;
  }
  return ndarray(data, [boxes.length, width]);
}

/** Where a track is expected now. */
export function expected({ x, y, velocity, age }: TrackedState, interval: number): readonly [number, number] {
  return [x + velocity[0] * age * interval, y + velocity[1] * age * interval];
}

/** Neighbours among boxes, oneself included. */
export function neighbours(
  boxes: readonly WorldBox[],
  { radius = 5, maxNeighbours = 16 }: GraphOptions,
): number[][] {
  return boxes.map((own, i) => {
    const near = boxes.flatMap((other, j) =>
      other.kind === own.kind && Math.hypot(other.x - own.x, other.y - own.y) <= radius ? [j] : [],
    );
    return nearest(near, maxNeighbours, (j) => Math.hypot(boxes[j]!.x - own.x, boxes[j]!.y - own.y), i);
  });
}

/**
 * Tracks that each detection may belong to. More than there is room for are a CrowdError, or with `crowd` 'nearest' the
 * nearest of them: an untrained network expects tracks anywhere.
 */
export function candidates(
  dets: readonly WorldBox[],
  tracks: readonly TrackedState[],
  { interval, gates, maxNeighbours = 16 }: GraphOptions,
  crowd: 'refuse' | 'nearest' = 'refuse',
): number[][] {
  const places = tracks.map((track) => expected(track, interval));
  return dets.map((det, i) => {
    const distance = (j: number) => Math.hypot(places[j]![0] - det.x, places[j]![1] - det.y);
    const near = tracks.flatMap((track, j) =>
      track.kind === det.kind && distance(j) <= gates[track.kind]! ? [j] : [],
    );
    if (near.length > maxNeighbours && crowd === 'nearest') return nearest(near, maxNeighbours, distance);
    if (near.length > maxNeighbours)
      throw new CrowdError(
        `detection ${i} may belong to ${near.length} tracks, the graph has room for ${maxNeighbours}: raise maxNeighbours`,
      );
    return near;
  });
}

/** Among many the nearest, in their order; `own` always. */
function nearest(all: number[], most: number, distance: (j: number) => number, own = -1): number[] {
  if (all.length <= most) return all;
  const kept = all
    .toSorted((a, b) => (a === own ? -1 : b === own ? 1 : distance(a) - distance(b)))
    .slice(0, most);
  return kept.sort((a, b) => a - b);
}

/** What each edge is told, [N, K, 10]: the difference of the boxes, the distance to the expected place, the age. */
export function edgeFeatures(
  dets: readonly WorldBox[],
  tracks: readonly TrackedState[],
  across: Lists,
  { interval }: GraphOptions,
  room = width(across),
): NdArray {
  const data = new Float32Array(dets.length * room * 10);
  for (const [i, det] of dets.entries())
    for (const [at, j] of across[i]!.entries()) {
      const track = tracks[j]!;
      const [ex, ey] = expected(track, interval);
      data.set(
        [
          det.x - track.x,
          det.y - track.y,
          det.z - track.z,
          det.width - track.width,
          det.length - track.length,
          det.height - track.height,
          det.yaw - track.yaw,
          det.x - ex,
          det.y - ey,
          track.age,
        ],
        (i * room + at) * 10,
      );
    }
  return ndarray(data, [dets.length, room, 10]);
}

/** The longest list, at least 1. */
export function width(lists: Lists): number {
  return Math.max(1, ...lists.map(({ length }) => length));
}

/** Lists as arrays [N, K]: numbers, 0 where there is none, and 1 where there is one. */
export function packLists(lists: Lists, room = width(lists)): { index: NdArray; mask: NdArray } {
  const index = new Int32Array(lists.length * room);
  const mask = new Float32Array(lists.length * room);
  for (const [i, own] of lists.entries()) {
    index.set(own, i * room);
    mask.fill(1, i * room, i * room + own.length);
  }
  return { index: ndarray(index, [lists.length, room], 'int32'), mask: ndarray(mask, [lists.length, room]) };
}
