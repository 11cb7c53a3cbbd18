/**
 * Tracking of what comes in line by line: one frame a line in, its tracks a line out. A line that is wrong is answered by
 * what is wrong with it, and what was tracked before goes on. Memory does not grow with the stream.
 */

import type { KittiDetection, Pose } from './kitti.ts';
import { kittiKinds } from './kitti-world.ts';

/** A frame as a line of JSON has it. */
export interface FrameLine {
  readonly frame: number;
  readonly detections: readonly KittiDetection[];
  readonly pose?: Pose;
}

/** What is wrong with a line. */
export class LineError extends Error {
  override readonly name = 'LineError';
}

const numbers = ['x', 'y', 'z', 'length', 'width', 'height', 'ry', 'score'] as const;

/** Throws a LineError that names field, value and what is expected. `after` is the frame before. */
export function parseFrame(line: string, after = -1): FrameLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    const shown = line.length > 40 ? `${line.slice(0, 40)}…` : line;
    throw new LineError(`not JSON, or cut off: ${shown}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new LineError('not an object');
  const { frame, detections, pose } = value as Record<string, unknown>;
  if (!Number.isInteger(frame) || (frame as number) < 0)
    throw new LineError(`'frame' is ${JSON.stringify(frame)}, expected a number from 0`);
  if (frame === after) throw new LineError(`frame ${after} comes twice`);
  if ((frame as number) < after) throw new LineError(`frame ${String(frame)} comes after frame ${after}`);
  if (!Array.isArray(detections))
    throw new LineError(`'detections' is ${JSON.stringify(detections)}, expected a list`);
  const isPose = Array.isArray(pose) && pose.length === 12 && pose.every(Number.isFinite);
  if (pose !== undefined && !isPose) throw new LineError("'pose' is not 12 numbers");
  return {
    frame: frame as number,
    detections: detections.map(readDetection),
    ...(pose !== undefined && { pose: pose as number[] }),
  };
}

function readDetection(value: unknown, index: number): KittiDetection {
  const fail = (why: string) => new LineError(`detection ${index}: ${why}`);
  if (typeof value !== 'object' || value === null) throw fail('not an object');
  const given = value as Record<string, unknown>;
  if (!(kittiKinds as readonly unknown[]).includes(given.type))
    throw fail(`'type' is ${JSON.stringify(given.type)}, expected one of ${kittiKinds.join(', ')}`);
  for (const key of numbers)
    if (!Number.isFinite(given[key]))
      throw fail(`'${key}' is ${JSON.stringify(given[key])}, expected a number`);
  for (const key of ['length', 'width', 'height'] as const)
    if (!((given[key] as number) > 0)) throw fail(`'${key}' is ${String(given[key])} metres`);
  const box = given.box2d;
  const isBox = Array.isArray(box) && box.length === 4 && box.every(Number.isFinite);
  if (box !== undefined && !isBox) throw fail("'box2d' is not 4 numbers");
  const { type, x, y, z, length, width, height, ry, score } = given as unknown as KittiDetection;
  return {
    ...{ type, x, y, z, length, width, height, ry, score },
    alpha: Number(given.alpha ?? ry - Math.atan2(x, z)),
    box2d: isBox ? (box as unknown as KittiDetection['box2d']) : [0, 0, 0, 0],
  };
}
