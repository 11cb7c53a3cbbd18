/**
 * The network that looks at generated CIFAR-10 pictures: a small residual classifier whose pooled features stand in
 * for Inception's. A Fréchet distance of these features is FD-cnn, not FID.
 */

import { concat, type Tensor } from '@working-papers/tensor';
import { ResNet } from './resnet.ts';

/** Channels of the three stages. */
const widths = [32, 64, 128] as const;

/** Mean and standard deviation of the training pictures over all channels, of pixels in 0..1. */
const mean = 0.4734;
const std = 0.2516;

/** x [N, 3, 32, 32] in [−1, 1] → logits [N, 10] or features [N, 192]. Names as `ResNet`'s. */
export class Cifar10Features extends ResNet {
  constructor(options: { readonly blocksPerStage?: number } = {}) {
    super({ blocksPerStage: 1, ...options, widths, classes: 10 });
  }

  /** Pictures in [−1, 1] as the convolutions want them. */
  override embed(x: Tensor): Tensor {
    return super.embed(x.mul(0.5 / std).add((0.5 - mean) / std));
  }

  /** Features of the second and the third stage, each the mean over positions: [N, 64 + 128]; and the logits. */
  look(x: Tensor): { readonly features: Tensor; readonly logits: Tensor } {
    const run = (h: Tensor, stage: readonly { forward(x: Tensor): Tensor }[]) =>
      stage.reduce((y, block) => block.forward(y), h);
    const second = run(run(this.embed(x), this.layer1), this.layer2); // (N, 64, 16, 16)
    const third = run(second, this.layer3); // (N, 128, 8, 8)
    const last = this.features(third);
    return { features: concat([this.features(second), last], 1), logits: this.head.forward(last) };
  }
}

/** A picture's number as its eight bits show it again: from [−1, 1] to the nearest of 256 levels and back. */
export function roundToBytes(pictures: ArrayLike<number>): Float32Array {
  return Float32Array.from(
    pictures,
    (value) => Math.round(Math.min(255, Math.max(0, (value + 1) * 127.5))) / 127.5 - 1,
  );
}
