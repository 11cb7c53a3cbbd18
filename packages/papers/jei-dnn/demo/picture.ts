import type { RgbImage } from '@working-papers/nn/images';

/** A picture with a name to call it by. */
export interface Picture {
  readonly name: string;
  readonly image: RgbImage;
}
