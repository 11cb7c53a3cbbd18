/** Windows turned, mirrored and shifted as a whole: what moves where stays true, where it is becomes arbitrary. */

import type { Random } from '@working-papers/nn/random';
import type { TrainingFrame } from './training-data.ts';

export interface Augmentation {
  /** By any angle about the vehicle. */
  readonly turn?: boolean;
  /** Left for right, half of the time. */
  readonly mirror?: boolean;
  /** Up to so many metres in each direction. */
  readonly shift?: number;
}

export function augment(
  frames: readonly TrainingFrame[],
  random: Random,
  { turn = false, mirror = false, shift = 0 }: Augmentation,
): TrainingFrame[] {
  const angle = turn ? 2 * Math.PI * random.uniform() : 0;
  const side = mirror && random.uniform() < 0.5 ? -1 : 1;
  const [dx, dy] = [0, 1].map(() => (shift > 0 ? shift * (2 * random.uniform() - 1) : 0)) as [number, number];
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const direction = (x: number, y: number): [number, number] => [c * x - s * side * y, s * x + c * side * y];
  const place = (x: number, y: number): [number, number] => {
    const [px, py] = direction(x, y);
    return [px + dx, py + dy];
  };
  return frames.map(({ dets, ids, next, shift: moved }) => {
    const [mx, my] = direction(moved[0], moved[1]);
    return {
      ids,
      dets: dets.map((det) => {
        const [x, y] = place(det.x, det.y);
        const yaw = side * det.yaw + angle;
        return {
          ...det,
          x,
          y,
          yaw: Math.atan2(Math.sin(yaw), Math.cos(yaw)),
          velocity: direction(...det.velocity),
        };
      }),
      next: next.map((to) => to && place(...to)),
      shift: [mx, my, moved[2]],
    };
  });
}
