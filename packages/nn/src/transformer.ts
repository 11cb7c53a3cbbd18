/** The parts of a transformer around its attention, with timm's weight names. */

import { byRows, type Tensor } from '@working-papers/tensor';
import { Attention, type AttentionOptions, type MaskOptions } from './attention.ts';
import { Dropout, DropPath } from './dropout.ts';
import { filledWith } from './initializers.ts';
import { type InitOptions, type Layer, LayerNorm, Linear } from './layers.ts';
import { Module, Weight } from './module.ts';

/** Of `Mlp`. */
export interface MlpOptions extends InitOptions {
  /** Default GELU, exact. */
  readonly activation?: (x: Tensor) => Tensor;
  readonly bias?: boolean;
  readonly drop?: number;
  /** Default: as many as come in. */
  readonly outFeatures?: number;
}

/** Two linear layers with an activation between: x [..., in] → [..., out]. */
export class Mlp extends Module implements Layer {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly #activation: (x: Tensor) => Tensor;
  readonly #drop: Dropout;

  constructor(inFeatures: number, hiddenFeatures: number, options: MlpOptions = {}) {
    super();
    const { activation = (x) => x.gelu(), drop = 0, outFeatures = inFeatures, ...linear } = options;
    this.#activation = activation;
    this.#drop = new Dropout(drop);
    this.fc1 = new Linear(inFeatures, hiddenFeatures, linear);
    this.fc2 = new Linear(hiddenFeatures, outFeatures, linear);
  }

  forward(x: Tensor): Tensor {
    const layers = (rows: Tensor) => {
      const hidden = this.#drop.forward(this.#activation(this.fc1.forward(rows)));
      return this.#drop.forward(this.fc2.forward(hidden));
    };
    // what is dropped must not depend on how many blocks there are
    return this.#drop.drops ? layers(x) : byRows(x, this.fc1.weight.size(0), layers);
  }
}

/** A learned factor for each channel (Touvron et al. 2021, arXiv 2103.17239): x [..., C] → [..., C]. */
export class LayerScale extends Module implements Layer {
  readonly gamma: Weight;

  constructor(dim: number, initial = 1e-5) {
    super();
    this.gamma = new Weight([dim], filledWith(initial));
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.gamma);
  }
}

/** Of `TransformerBlock`. */
export interface TransformerBlockOptions extends AttentionOptions {
  /** Hidden features of the MLP over channels; default 4. */
  readonly mlpRatio?: number;
  /** Of the MLP; default GELU, exact. */
  readonly activation?: (x: Tensor) => Tensor;
  /** Dropout inside the MLP. */
  readonly mlpDrop?: number;
  /** Probability that a sample skips a branch in training. */
  readonly dropPath?: number;
  /** First value of a LayerScale on both branches; default none. */
  readonly layerScale?: number;
  /** Of the norms; default 1e-5. ViT has 1e-6. */
  readonly epsilon?: number;
}

/** Pre-norm transformer block, named as timm's ViT: x [N, T, C] → [N, T, C]. */
export class TransformerBlock extends Module implements Layer {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly ls1?: LayerScale;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly ls2?: LayerScale;
  readonly #dropPath: DropPath;

  constructor(dim: number, options: TransformerBlockOptions) {
    super();
    const { mlpRatio = 4, activation, mlpDrop, dropPath = 0, layerScale, epsilon, ...attention } = options;
    const { initWeight, initBias } = attention;
    const norm = epsilon === undefined ? {} : { epsilon };
    this.norm1 = new LayerNorm(dim, norm);
    this.attn = new Attention(dim, attention);
    if (layerScale !== undefined) this.ls1 = new LayerScale(dim, layerScale);
    this.norm2 = new LayerNorm(dim, norm);
    this.mlp = new Mlp(dim, Math.round(dim * mlpRatio), {
      ...(activation && { activation }),
      ...(mlpDrop !== undefined && { drop: mlpDrop }),
      ...(initWeight && { initWeight }),
      ...(initBias && { initBias }),
    });
    if (layerScale !== undefined) this.ls2 = new LayerScale(dim, layerScale);
    this.#dropPath = new DropPath(dropPath);
  }

  forward(x: Tensor, options: MaskOptions = {}): Tensor {
    const attended = this.attn.forward(this.norm1.forward(x), options);
    const y = x.add(this.#dropPath.forward(this.ls1?.forward(attended) ?? attended));
    const mixed = this.mlp.forward(this.norm2.forward(y));
    return y.add(this.#dropPath.forward(this.ls2?.forward(mixed) ?? mixed));
  }
}
