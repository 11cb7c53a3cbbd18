/** From a picture of any size to the network's input. The same integer arithmetic runs in Node and in a browser. */

import { centerCrop, type RgbImage, resize, toInput } from '@working-papers/nn/images';
import type { NdArray } from '@working-papers/tensor';
import { normalization } from './normalization.ts';

/** The largest square around the middle, scaled to `size` × `size`: what the network looks at. */
export function squareOf(image: RgbImage, size: number): RgbImage {
  const side = Math.min(image.width, image.height);
  return resize(centerCrop(image, side), size, size);
}

/** Pictures as a batch [N, 3, size, size], normalised as in training. */
export function batchOf(images: readonly RgbImage[], size: number): NdArray {
  if (images.length === 0) return { dtype: 'float32', shape: [0, 3, size, size], data: new Float32Array(0) };
  return toInput(
    images.map((image) => squareOf(image, size)),
    normalization,
  );
}
