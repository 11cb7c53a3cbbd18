/** The layers that models are made of, with PyTorch's parameter names and first values. */

import {
  batchNorm,
  batchNormTraining,
  type ConvOptions,
  type ConvTransposeOptions,
  gather,
  type Tensor,
} from '@working-papers/tensor';
import { fanInUniform, normal, ones, uniform, zeros } from './initializers.ts';
import { type Initializer, isTraining, Module, updateBuffer, Weight } from './module.ts';

/** Anything with one tensor in and one out. */
export interface Layer {
  forward(x: Tensor): Tensor;
}

/** First values other than PyTorch's. */
export interface InitOptions {
  readonly initWeight?: Initializer;
  readonly initBias?: Initializer;
}

/** Of `Linear`. */
export interface LinearOptions extends InitOptions {
  /** Default true. */
  readonly bias?: boolean;
}

/** y = x Wᵀ + b: x [..., in] → [..., out]. */
export class Linear extends Module implements Layer {
  readonly weight: Weight;
  readonly bias?: Weight;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    const { bias = true, initWeight = fanInUniform, initBias = biasInit(inFeatures) } = options;
    this.weight = new Weight([outFeatures, inFeatures], initWeight);
    if (bias) this.bias = new Weight([outFeatures], initBias);
  }

  forward(x: Tensor): Tensor {
    return x.linear(this.weight, this.bias);
  }
}

/** PyTorch draws a bias from the same range as the weight. */
function biasInit(fanIn: number): Initializer {
  const bound = 1 / Math.sqrt(fanIn);
  return uniform(-bound, bound);
}

/** Convolution over one (`kernel` a number in an array of one) or two axes: x [N, in, ...] → [N, out, ...]. */
export class Conv extends Module implements Layer {
  readonly weight: Weight;
  readonly bias?: Weight;
  readonly #options: ConvOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: readonly number[],
    options: ConvOptions & LinearOptions = {},
  ) {
    super();
    const { bias = true, initWeight = fanInUniform, initBias, ...rest } = options;
    const perGroup = inChannels / (rest.groups ?? 1);
    const taps = kernel.reduce((a, b) => a * b, 1);
    this.#options = rest;
    this.weight = new Weight([outChannels, perGroup, ...kernel], initWeight);
    if (bias) this.bias = new Weight([outChannels], initBias ?? biasInit(perGroup * taps));
  }

  forward(x: Tensor): Tensor {
    return x.conv(this.weight, this.bias, this.#options);
  }
}

/** Transposed convolution: x [N, in, ...] → [N, out, ...]. */
export class ConvTranspose extends Module implements Layer {
  readonly weight: Weight;
  readonly bias?: Weight;
  readonly #options: ConvTransposeOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: readonly number[],
    options: ConvTransposeOptions & LinearOptions = {},
  ) {
    super();
    const { bias = true, initWeight = fanInUniform, initBias, ...rest } = options;
    const perGroup = outChannels / (rest.groups ?? 1);
    const taps = kernel.reduce((a, b) => a * b, 1);
    this.#options = rest;
    this.weight = new Weight([inChannels, perGroup, ...kernel], initWeight);
    // PyTorch takes the second axis of the kernel for the inputs, also where it is the outputs
    if (bias) this.bias = new Weight([outChannels], initBias ?? biasInit(perGroup * taps));
  }

  forward(x: Tensor): Tensor {
    return x.convTranspose(this.weight, this.bias, this.#options);
  }
}

/** A table of `count` vectors: integer indices [...] → [..., size]. */
export class Embedding extends Module {
  readonly weight: Weight;

  constructor(count: number, size: number, options: Pick<InitOptions, 'initWeight'> = {}) {
    super();
    this.weight = new Weight([count, size], options.initWeight ?? normal());
  }

  forward(indices: Tensor): Tensor {
    return gather(this.weight, indices, 0);
  }
}

/** Of layers that normalise. */
export interface NormOptions {
  readonly epsilon?: number;
  /** Learn scale and bias; default true. */
  readonly affine?: boolean;
}

/** Over the last axis of `size`. */
export class LayerNorm extends Module implements Layer {
  readonly weight?: Weight;
  readonly bias?: Weight;
  readonly #epsilon: number;

  constructor(size: number, options: NormOptions = {}) {
    super();
    this.#epsilon = options.epsilon ?? 1e-5;
    if (options.affine ?? true) {
      this.weight = new Weight([size], ones);
      this.bias = new Weight([size], zeros);
    }
  }

  forward(x: Tensor): Tensor {
    return x.layerNorm(this.weight, this.bias, this.#epsilon);
  }
}

/** Over the last axis of `size`, without mean and bias. */
export class RmsNorm extends Module implements Layer {
  readonly weight: Weight;
  readonly #epsilon: number;

  constructor(size: number, options: { readonly epsilon?: number } = {}) {
    super();
    this.#epsilon = options.epsilon ?? 1e-6;
    this.weight = new Weight([size], ones);
  }

  forward(x: Tensor): Tensor {
    return x.rmsNorm(this.weight, this.#epsilon);
  }
}

/** Over groups of channels of x [N, C, ...]. */
export class GroupNorm extends Module implements Layer {
  readonly weight?: Weight;
  readonly bias?: Weight;
  readonly #groups: number;
  readonly #epsilon: number;

  constructor(groups: number, channels: number, options: NormOptions = {}) {
    super();
    this.#groups = groups;
    this.#epsilon = options.epsilon ?? 1e-5;
    if (options.affine ?? true) {
      this.weight = new Weight([channels], ones);
      this.bias = new Weight([channels], zeros);
    }
  }

  forward(x: Tensor): Tensor {
    return x.groupNorm(this.#groups, this.weight, this.bias, this.#epsilon);
  }
}

/**
 * Over the batch, for each channel of x [N, C, ...]. In training by the batch's statistics, which also move the
 * running averages; in inference by those averages. The running variance is the unbiased one, as in PyTorch.
 */
export class BatchNorm extends Module implements Layer {
  readonly weight: Weight;
  readonly bias: Weight;
  readonly runningMean: Weight;
  readonly runningVar: Weight;
  readonly #epsilon: number;
  readonly #momentum: number;

  constructor(channels: number, options: { readonly epsilon?: number; readonly momentum?: number } = {}) {
    super();
    this.#epsilon = options.epsilon ?? 1e-5;
    this.#momentum = options.momentum ?? 0.1;
    this.weight = new Weight([channels], ones);
    this.bias = new Weight([channels], zeros);
    this.runningMean = new Weight([channels], zeros, { trainable: false });
    this.runningVar = new Weight([channels], ones, { trainable: false });
  }

  forward(x: Tensor): Tensor {
    if (!isTraining()) {
      return batchNorm(x, this.weight, this.bias, this.runningMean, this.runningVar, this.#epsilon);
    }
    const { output, mean, variance } = batchNormTraining(x, this.weight, this.bias, this.#epsilon);
    const count = (x.shape as number[]).reduce((a, b) => a * b, 1) / x.size(1);
    const move = (average: Weight, value: Tensor) =>
      updateBuffer(average, (old) =>
        old.mul(1 - this.#momentum).add(value.stopGradient().mul(this.#momentum)),
      );
    move(this.runningMean, mean);
    move(this.runningVar, variance.mul(count / Math.max(1, count - 1)));
    return output;
  }
}

/** Layers one after another, named `0`, `1`, ... */
export class Sequential extends Module implements Layer {
  readonly layers: readonly Layer[];

  constructor(...layers: readonly Layer[]) {
    super();
    this.layers = layers;
  }

  override stateName(property: string): string {
    return property === 'layers' ? '' : super.stateName(property);
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}
