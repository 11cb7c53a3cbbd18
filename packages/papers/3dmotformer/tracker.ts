/** What every tracker here takes and gives. */

import type { Box3d } from '@working-papers/metrics/boxes3d';

/** What a detector saw in one frame. */
export interface Detection extends Box3d {
  /** `Car`, `Pedestrian` ... */
  readonly type: string;
  readonly score: number;
}

/** A detection, or where a tracker believes its object to be, with an identity. */
export interface Track<D extends Detection> extends Box3d {
  readonly id: number;
  /** Of the last detection. */
  readonly score: number;
  /** The last detection; of this frame unless the track is coasting. */
  readonly detection: D;
}
