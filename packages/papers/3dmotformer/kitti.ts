/**
 * KITTI's tracking files: labels and results (17 and 18 columns, between spaces), detections as published with the
 * AB3DMOT baseline (15 columns, between commas), camera poses. Reads text; knows no files.
 */

import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import type { Detection } from './tracker.ts';

/** A line is not what the format asks for; the message has file and line. */
export class TrackingFileError extends Error {
  override readonly name = 'TrackingFileError';
}

const detectionTypes: Readonly<Record<number, string>> = { 1: 'Pedestrian', 2: 'Car', 3: 'Cyclist' };

/** Lines as fields, with a way to complain about one. Empty lines are skipped. */
function* rows(text: string, file: string, separator: RegExp | string, counts: readonly number[]) {
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const fields = line.trim().split(separator);
    const fail = (why: string) => new TrackingFileError(`${file}, line ${index + 1}: ${why}`);
    if (!counts.includes(fields.length))
      throw fail(`${fields.length} fields, expected ${counts.join(' or ')}`);
    const number = (at: number, what: string) => {
      const value = Number(fields[at]);
      if (fields[at] === '' || !Number.isFinite(value)) throw fail(`${what} is '${fields[at]}'`);
      return value;
    };
    yield { fields, number, fail };
  }
}

/** Labels of a sequence, or a tracker's results. Throws a TrackingFileError. */
export function parseTracks(text: string, file = 'tracks'): TrackedBox[] {
  const found: TrackedBox[] = [];
  const seen = new Set<string>();
  for (const { fields, number, fail } of rows(text, file, /\s+/, [17, 18])) {
    const [frame, id] = [number(0, 'frame'), number(1, 'id')];
    if (!Number.isInteger(frame) || frame < 0) throw fail(`frame is ${frame}`);
    const type = fields[2]!;
    if (id >= 0 && seen.has(`${frame} ${id}`)) throw fail(`frame ${frame} has identity ${id} twice`);
    seen.add(`${frame} ${id}`);
    found.push({
      frame,
      id,
      type,
      truncation: number(3, 'truncation'),
      occlusion: number(4, 'occlusion'),
      box2d: [number(6, 'left'), number(7, 'top'), number(8, 'right'), number(9, 'bottom')],
      height: number(10, 'height'),
      width: number(11, 'width'),
      length: number(12, 'length'),
      x: number(13, 'x'),
      y: number(14, 'y'),
      z: number(15, 'z'),
      ry: number(16, 'rotation'),
      score: fields.length === 18 ? number(17, 'score') : 1,
    });
  }
  return found;
}

/** A detection with what KITTI's result files want besides. */
export interface KittiDetection extends Detection {
  readonly box2d: readonly [number, number, number, number];
  readonly alpha: number;
}

/** Detections by frame, up to the last that has one. Throws a TrackingFileError. */
export function parseDetections(text: string, file = 'detections'): KittiDetection[][] {
  const frames: KittiDetection[][] = [];
  for (const { number, fail } of rows(text, file, ',', [15])) {
    const frame = number(0, 'frame');
    if (!Number.isInteger(frame) || frame < 0) throw fail(`frame is ${frame}`);
    const type = detectionTypes[number(1, 'type')];
    if (!type) throw fail(`type ${number(1, 'type')} is none of 1 (Pedestrian), 2 (Car), 3 (Cyclist)`);
    const [height, width, length] = [number(7, 'height'), number(8, 'width'), number(9, 'length')];
    if (!(height > 0 && width > 0 && length > 0))
      throw fail(`a box of ${length} × ${width} × ${height} metres`);
    while (frames.length <= frame) frames.push([]);
    frames[frame]!.push({
      type,
      box2d: [number(2, 'left'), number(3, 'top'), number(4, 'right'), number(5, 'bottom')],
      score: number(6, 'score'),
      height,
      width,
      length,
      x: number(10, 'x'),
      y: number(11, 'y'),
      z: number(12, 'z'),
      ry: number(13, 'rotation'),
      alpha: number(14, 'alpha'),
    });
  }
  return frames;
}

/** Camera to world: 3 × 4 numbers, row by row; p_world = R p + t. */
export type Pose = readonly number[];

/** A pose a frame. Throws a TrackingFileError. */
export function parsePoses(text: string, file = 'poses'): Pose[] {
  return [...rows(text, file, /\s+/, [12])].map(({ number }) =>
    Array.from({ length: 12 }, (_, at) => number(at, `number ${at + 1}`)),
  );
}

/** A result row; numbers as the official files have them. */
export function formatTrack(
  { frame, id, type, box2d, height, width, length, x, y, z, ry, score }: TrackedBox,
  alpha: number,
): string {
  const numbers = [alpha, ...box2d, height, width, length, x, y, z, ry, score];
  return `${frame} ${id} ${type} 0 0 ${numbers.map((value) => value.toFixed(6)).join(' ')}`;
}
