/**
 * Residual networks for small pictures, as section 4.2 of He et al. 2015 (arXiv 1512.03385) builds them for CIFAR-10:
 * three stages of 16, 32 and 64 channels, shortcuts without parameters (option A), 6n + 2 layers.
 */

import { kaimingNormal } from '@working-papers/nn/initializers';
import { BatchNorm, Conv, type Layer, Linear } from '@working-papers/nn/layers';
import { Module } from '@working-papers/nn/module';
import type { Tensor } from '@working-papers/tensor';

/** A 3×3 convolution with He's initialisation and no bias, since a normalisation follows. */
function conv3x3(inChannels: number, outChannels: number, stride: number): Conv {
  const initWeight = kaimingNormal('fanOut');
  return new Conv(inChannels, outChannels, [3, 3], { stride, padding: 1, bias: false, initWeight });
}

/** Two convolutions beside a shortcut: x [N, in, H, W] → [N, out, H / stride, W / stride]. */
export class ResidualBlock extends Module implements Layer {
  readonly conv1: Conv;
  readonly bn1: BatchNorm;
  readonly conv2: Conv;
  readonly bn2: BatchNorm;
  readonly #stride: number;
  readonly #widening: number;

  constructor(inChannels: number, outChannels: number, stride: number) {
    super();
    this.#stride = stride;
    this.#widening = outChannels - inChannels;
    this.conv1 = conv3x3(inChannels, outChannels, stride);
    this.bn1 = new BatchNorm(outChannels);
    this.conv2 = conv3x3(outChannels, outChannels, 1);
    this.bn2 = new BatchNorm(outChannels);
  }

  forward(x: Tensor): Tensor {
    const inner = this.bn1.forward(this.conv1.forward(x)).relu();
    return this.bn2.forward(this.conv2.forward(inner)).add(this.#shortcut(x)).relu();
  }

  /** Every second row and column, new channels filled with zeros on both sides. */
  #shortcut(x: Tensor): Tensor {
    const sampled =
      this.#stride === 1 ? x : x.slice(2, 0, undefined, this.#stride).slice(3, 0, undefined, this.#stride);
    const before = Math.floor(this.#widening / 2);
    return sampled.pad([[1, before, this.#widening - before]]);
  }
}

/** Of `ResNet`. */
export interface ResNetOptions {
  /** n of 6n + 2 layers: 3 is ResNet-20. */
  readonly blocksPerStage?: number;
  readonly widths?: readonly number[];
  readonly classes?: number;
}

/** x [N, 3, H, W] → logits [N, classes]. Names as in the usual PyTorch ports: `conv1`, `bn1`, `layer1.0.conv1`, `linear`. */
export class ResNet extends Module implements Layer {
  readonly conv1: Conv;
  readonly bn1: BatchNorm;
  readonly layer1: readonly ResidualBlock[];
  readonly layer2: readonly ResidualBlock[];
  readonly layer3: readonly ResidualBlock[];
  readonly linear: Linear;
  readonly #widths: readonly number[];

  constructor(options: ResNetOptions = {}) {
    super();
    const { blocksPerStage = 3, widths = [16, 32, 64], classes = 10 } = options;
    const [w1, w2, w3] = widths as [number, number, number];
    this.conv1 = conv3x3(3, w1, 1);
    this.bn1 = new BatchNorm(w1);
    const stage = (from: number, to: number, stride: number) =>
      Array.from(
        { length: blocksPerStage },
        (_, i) => new ResidualBlock(i === 0 ? from : to, to, i === 0 ? stride : 1),
      );
    this.layer1 = stage(w1, w1, 1);
    this.layer2 = stage(w1, w2, 2);
    this.layer3 = stage(w2, w3, 2);
    this.linear = new Linear(w3, classes);
    this.#widths = [w1, w2, w3].flatMap((width) => Array<number>(blocksPerStage).fill(width));
  }

  /** Everything before the first block: [N, w1, H, W]. */
  embed(x: Tensor): Tensor {
    return this.bn1.forward(this.conv1.forward(x)).relu();
  }

  get blocks(): readonly ResidualBlock[] {
    return [...this.layer1, ...this.layer2, ...this.layer3];
  }

  /** How many channels come out of each block. */
  get featureWidths(): readonly number[] {
    return this.#widths;
  }

  /** What a classifier after any block reads, the mean over positions: [N, C, H, W] → [N, C]. */
  features(h: Tensor): Tensor {
    return h.mean([2, 3]);
  }

  /** Features of the last block → logits. */
  get head(): Linear {
    return this.linear;
  }

  get classes(): number {
    return this.linear.weight.size(0);
  }

  forward(x: Tensor): Tensor {
    const h = this.blocks.reduce((h, block) => block.forward(h), this.embed(x));
    return this.head.forward(this.features(h));
  }
}
