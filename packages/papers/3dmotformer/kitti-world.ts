/**
 * KITTI's boxes, seen by a moving camera, as the network wants them: on a ground plane that does not turn (x and z of the
 * world for x and y, the world's y for height), the vehicle at the origin.
 */

import type { Box3d } from '@working-papers/metrics/boxes3d';
import type { SeenBox, WorldBox } from './graph.ts';
import type { KittiDetection, Pose } from './kitti.ts';

/** The classes by their numbers here. */
export const kittiKinds = ['Car', 'Pedestrian', 'Cyclist'] as const;

/** A place seen by the camera, from the vehicle but along the world's axes. */
function fromVehicle(x: number, y: number, z: number, pose: Pose): [number, number, number] {
  return [0, 1, 2].map((row) => pose[4 * row]! * x + pose[4 * row + 1]! * y + pose[4 * row + 2]! * z) as [
    number,
    number,
    number,
  ];
}

/** A camera's box over the ground; its direction is that of the turned heading (cos ry, 0, −sin ry). */
export function toWorld(box: Box3d, kind: number, pose: Pose): WorldBox {
  const [x, z, y] = fromVehicle(box.x, box.y, box.z, pose);
  const [hx, , hy] = fromVehicle(Math.cos(box.ry), 0, -Math.sin(box.ry), pose);
  const { width, length, height } = box;
  return { x, y, z, width, length, height, yaw: Math.atan2(hy, hx), kind };
}

/** The camera's place and direction of what lies over the ground: the way back from `toWorld`. */
export function fromWorld(
  { x, y, z, yaw }: Pick<WorldBox, 'x' | 'y' | 'z' | 'yaw'>,
  pose: Pose,
): Pick<Box3d, 'x' | 'y' | 'z' | 'ry'> {
  // rotations go back by their transpose
  const back = (wx: number, wy: number, wz: number) =>
    [0, 1, 2].map((axis) => pose[axis]! * wx + pose[4 + axis]! * wy + pose[8 + axis]! * wz);
  const [cx, cy, cz] = back(x, z, y);
  const [hx, , hz] = back(Math.cos(yaw), 0, Math.sin(yaw));
  return { x: cx!, y: cy!, z: cz!, ry: Math.atan2(-hz!, hx!) };
}

/** A detection with the box of the camera still there, for results. */
export interface KittiSeen extends SeenBox {
  readonly detection: KittiDetection;
}

/** A detection for the network: its score as a probability, no velocity. Throws a RangeError for an unknown class. */
export function seenInWorld(detection: KittiDetection, pose: Pose): KittiSeen {
  const kind = (kittiKinds as readonly string[]).indexOf(detection.type);
  if (kind < 0) throw new RangeError(`class '${detection.type}' is none of ${kittiKinds.join(', ')}`);
  const score = 1 / (1 + Math.exp(-detection.score));
  return { ...toWorld(detection, kind, pose), velocity: [0, 0], score, detection };
}

/** How far what is known must be moved when the vehicle has gone from one pose to another. */
export function egoShift(from: Pose, to: Pose): [number, number, number] {
  return [from[3]! - to[3]!, from[11]! - to[11]!, from[7]! - to[7]!];
}
