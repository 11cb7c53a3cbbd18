/**
 * nuScenes' submission files: detections in, tracks out (https://www.nuscenes.org/tracking). Which samples follow each
 * other is told by the data set's own table `sample.json`. Reads and writes JSON; knows no files.
 */

import type { NuscenesClass } from '@working-papers/metrics/nuscenes-tracking';
import type { SeenBox } from './graph.ts';
import { TrackingFileError } from './kitti.ts';
import type { ToldTrack } from './track.ts';

/** Classes by the numbers that the network knows them by. */
export const nuscenesKinds: readonly NuscenesClass[] = [
  'car',
  'pedestrian',
  'bicycle',
  'bus',
  'motorcycle',
  'trailer',
  'truck',
];

/** A detection, or a track, as the files have it. */
export interface NuscenesEntry {
  readonly sample_token: string;
  /** Centre, metres, in global coordinates. */
  readonly translation: readonly [number, number, number];
  /** Width, length, height. */
  readonly size: readonly [number, number, number];
  /** Quaternion w, x, y, z. */
  readonly rotation: readonly [number, number, number, number];
  readonly velocity: readonly [number, number];
}

export interface NuscenesSeen extends SeenBox {
  readonly entry: NuscenesEntry;
}

/** A sample of a scene. */
export interface NuscenesSample {
  readonly token: string;
  /** Microseconds. */
  readonly timestamp: number;
}

const isNumbers = (value: unknown, count: number): value is number[] =>
  Array.isArray(value) && value.length === count && value.every(Number.isFinite);

/** Turn about the vertical of a quaternion. */
export function yawOf([w, x, y, z]: readonly [number, number, number, number]): number {
  return Math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z));
}

/**
 * Detections by sample; those of classes that are not tracked (barriers, cones) are left out. Throws a TrackingFileError
 * with sample, number, field and value.
 */
export function parseNuscenes(text: string, file = 'detections'): Map<string, NuscenesSeen[]> {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw new TrackingFileError(`${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const results = (root as { results?: unknown } | null)?.results;
  if (typeof results !== 'object' || results === null || Array.isArray(results))
    throw new TrackingFileError(`${file} has no 'results' by sample: not a submission of detections`);
  const found = new Map<string, NuscenesSeen[]>();
  for (const [token, boxes] of Object.entries(results)) {
    if (!Array.isArray(boxes)) throw new TrackingFileError(`${file}, sample ${token}: not a list of boxes`);
    found.set(
      token,
      boxes.flatMap((box, n) =>
        readBox(box as Record<string, unknown>, `${file}, sample ${token}, box ${n}`),
      ),
    );
  }
  return found;
}

function readBox(box: Record<string, unknown>, where: string): NuscenesSeen[] {
  const fail = (field: string, expected: string) =>
    new TrackingFileError(`${where}: '${field}' is ${JSON.stringify(box[field])}, expected ${expected}`);
  const { translation, size, rotation, velocity, detection_name: name, detection_score: score } = box;
  if (typeof name !== 'string') throw fail('detection_name', 'a class');
  if (!isNumbers(translation, 3)) throw fail('translation', 'three numbers');
  if (!isNumbers(size, 3) || size.some((each) => !(each > 0))) throw fail('size', 'three numbers above 0');
  if (!isNumbers(rotation, 4)) throw fail('rotation', 'a quaternion');
  if (!Number.isFinite(score)) throw fail('detection_score', 'a number');
  const kind = (nuscenesKinds as readonly string[]).indexOf(name);
  if (kind < 0) return [];
  // detectors say NaN, which JSON has as null, where they do not know
  const known = isNumbers(velocity, 2) ? velocity : [0, 0];
  const [x, y, z] = translation as [number, number, number];
  const [width, length, height] = size as [number, number, number];
  const entry = {
    sample_token: String(box.sample_token),
    translation: [x, y, z],
    size: [width, length, height],
    rotation,
    velocity: known,
  } as unknown as NuscenesEntry;
  const yaw = yawOf(entry.rotation);
  return [
    {
      x,
      y,
      z,
      width,
      length,
      height,
      yaw,
      kind,
      velocity: [known[0]!, known[1]!],
      score: score as number,
      entry,
    },
  ];
}

/**
 * Scenes, each in time, from the rows of the data set's `sample.json`. Throws a TrackingFileError where a chain of
 * samples is broken.
 */
export function scenesOf(rows: unknown, file = 'sample.json'): NuscenesSample[][] {
  if (!Array.isArray(rows)) throw new TrackingFileError(`${file} is not a table of samples`);
  const samples = new Map<string, { scene: string; next: string; prev: string; timestamp: number }>();
  for (const [n, row] of rows.entries()) {
    const { token, timestamp, prev, next, scene_token: scene } = (row ?? {}) as Record<string, unknown>;
    if (typeof token !== 'string' || !Number.isFinite(timestamp) || typeof scene !== 'string')
      throw new TrackingFileError(`${file}, row ${n}: expected token, timestamp, prev, next and scene_token`);
    samples.set(token, {
      scene,
      prev: String(prev ?? ''),
      next: String(next ?? ''),
      timestamp: timestamp as number,
    });
  }
  return [...samples]
    .filter(([, { prev }]) => prev === '')
    .map(([first]) => {
      const scene: NuscenesSample[] = [];
      for (let token = first; token !== ''; ) {
        const sample = samples.get(token);
        if (!sample) throw new TrackingFileError(`${file}: sample ${token} follows another but is not there`);
        scene.push({ token, timestamp: sample.timestamp });
        token = sample.next;
      }
      return scene;
    });
}

/** A track as a submission has it; identities are counted within a scene, so that the scene's number goes before. */
export function trackEntry(sample: string, scene: number, track: ToldTrack<NuscenesSeen>) {
  const { entry } = track.detection;
  const { x, y, id, score, kind } = track;
  return {
    sample_token: sample,
    translation: [x, y, entry.translation[2]],
    size: entry.size,
    rotation: entry.rotation,
    velocity: track.velocity,
    tracking_id: `${scene}_${id}`,
    tracking_name: nuscenesKinds[kind]!,
    tracking_score: score,
  };
}

/** A submission of tracks: every sample has its list, at most 500 boxes, the surest. */
export function formatNuscenes(
  entries: ReadonlyMap<string, readonly ReturnType<typeof trackEntry>[]>,
): string {
  const results = Object.fromEntries(
    [...entries].map(([token, tracks]) => [
      token,
      tracks.toSorted((a, b) => b.tracking_score - a.tracking_score).slice(0, 500),
    ]),
  );
  const meta = { use_camera: false, use_lidar: true, use_radar: false, use_map: false, use_external: false };
  return JSON.stringify({ meta, results });
}
