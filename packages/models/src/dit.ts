/**
 * DiT: diffusion transformers with adaLN-Zero (Peebles and Xie 2022, arXiv 2212.09748). Names, shapes and first values
 * are those of the published checkpoints (facebookresearch/DiT), sizes S to XL, or any other.
 *
 * What papers add to a trained DiT, they add around `attn` and `mlp` of its blocks, before the gates: adapters a
 * residual, caches an output of an earlier step. See `DitHooks`.
 */

import { Attention } from '@working-papers/nn/attention';
import { normal, xavierUniform, zeros } from '@working-papers/nn/initializers';
import { Conv, Embedding, type Layer, LayerNorm, Linear, Sequential } from '@working-papers/nn/layers';
import { type Initializer, isTraining, Module, nextDraw, Weight } from '@working-papers/nn/module';
import { Mlp } from '@working-papers/nn/transformer';
import { concat, constant, ndarray, type Tensor, TensorError, uniform, where } from '@working-papers/tensor';

const init = { initWeight: xavierUniform, initBias: zeros } as const;
const nothing = { initWeight: zeros, initBias: zeros } as const;
const small = { initWeight: normal(0.02), initBias: zeros } as const;

/** A patch's weights [d, C, p, p] begin like those of a linear layer from C p² numbers. */
const xavierPatch: Initializer = (shape, random) => {
  const [out, ...rest] = shape as [number, ...number[]];
  const flat = xavierUniform([out, rest.reduce((a, b) => a * b, 1)], random);
  return { ...flat, shape };
};

/** Pictures [N, C, H, W] as tokens, row by row: [N, H W / p², d]. */
export class PatchEmbed extends Module implements Layer {
  readonly proj: Conv;

  constructor(patch: number, channels: number, dim: number) {
    super();
    this.proj = new Conv(channels, dim, [patch, patch], {
      stride: patch,
      initWeight: xavierPatch,
      initBias: zeros,
    });
  }

  forward(x: Tensor): Tensor {
    const grid = this.proj.forward(x); // (N, d, H/p, W/p)
    const [height, width] = [grid.size(2), grid.size(3)];
    return grid.reshape([grid.dim(0), grid.size(1), height * width]).transpose([0, 2, 1]);
  }
}

const frequencies = 128;

/**
 * t [N] → [N, 256]: cosines, then sines of t f_j, f_j = 10000^(−j/128). Times are in steps of a thousand, whole or not.
 */
export function timestepEmbedding(t: Tensor): Tensor {
  const f = Float32Array.from({ length: frequencies }, (_, j) => 10000 ** (-j / frequencies));
  const angles = t.unsqueeze(-1).mul(constant(ndarray(f, [1, frequencies]))); // (N, 128)
  return concat([angles.cos(), angles.sin()], 1);
}

/** t [N] → [N, d]. */
export class TimestepEmbedder extends Module implements Layer {
  readonly mlp: Sequential;

  constructor(dim: number) {
    super();
    this.mlp = new Sequential(
      new Linear(2 * frequencies, dim, small),
      { forward: (x) => x.silu() },
      new Linear(dim, dim, small),
    );
  }

  forward(t: Tensor): Tensor {
    return this.mlp.forward(timestepEmbedding(t));
  }
}

/** Integer labels [N] → [N, d]; the label K means none. In training a share of the labels becomes none. */
export class LabelEmbedder extends Module {
  readonly embeddingTable: Embedding;
  readonly classes: number;
  readonly #dropout: number;

  constructor(classes: number, dim: number, dropout: number) {
    super();
    this.classes = classes;
    this.#dropout = dropout;
    this.embeddingTable = new Embedding(classes + 1, dim, { initWeight: normal(0.02) });
  }

  forward(labels: Tensor): Tensor {
    return this.embeddingTable.forward(this.#dropped(labels));
  }

  #dropped(labels: Tensor): Tensor {
    if (!isTraining() || this.#dropout === 0) return labels;
    const { seed, stream } = nextDraw();
    const drawn = uniform([labels.dim(0)], seed, { stream });
    return where(drawn.less(this.#dropout), constant(this.classes, labels.dtype), labels);
  }
}

/** x (1 + scale) + shift: x [N, T, d], scale and shift [N, d]. */
function modulate(x: Tensor, shift: Tensor, scale: Tensor): Tensor {
  return x.mul(scale.unsqueeze(1).add(1)).add(shift.unsqueeze(1));
}

/** Shifts, scales and gates from a condition: c [N, d] → [N, n d]. Its linear layer is `adaLN_modulation.1`. */
class Modulation extends Sequential {
  constructor(dim: number, count: number) {
    super({ forward: (c) => c.silu() }, new Linear(dim, count * dim, nothing));
  }
}

/**
 * A look into a block's two branches. `branch` is asked once for each: `name` is its module's (`blocks.3.attn`), `h`
 * its modulated input [N, T, d], `compute` the module. What it returns is what the gate multiplies: the module's own
 * output, with something added, or another in its place.
 */
export interface DitHooks {
  readonly branch?: (name: string, h: Tensor, compute: (h: Tensor) => Tensor) => Tensor;
  /** Told of every block's output [N, T, d]. */
  readonly block?: (index: number, x: Tensor) => void;
}

/** x [N, T, d] and a condition c [N, d] → [N, T, d]. The identity at first, since gates begin at 0. */
export class DitBlock extends Module {
  readonly attn: Attention;
  readonly mlp: Mlp;
  readonly adaLNModulation: Modulation;
  readonly #norm: LayerNorm;

  constructor(dim: number, numHeads: number, mlpRatio: number) {
    super();
    this.#norm = new LayerNorm(dim, { affine: false, epsilon: 1e-6 });
    this.attn = new Attention(dim, { numHeads, ...init });
    const activation = (x: Tensor) => x.gelu('tanh');
    this.mlp = new Mlp(dim, Math.round(dim * mlpRatio), { activation, ...init });
    this.adaLNModulation = new Modulation(dim, 6);
  }

  override stateName(property: string): string {
    return property === 'adaLNModulation' ? 'adaLN_modulation' : super.stateName(property);
  }

  forward(x: Tensor, c: Tensor, name = 'block', { branch }: DitHooks = {}): Tensor {
    const [shift1, scale1, gate1, shift2, scale2, gate2] = this.adaLNModulation.forward(c).split(6, 1) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ]; // each (N, d)
    const add = (to: Tensor, gate: Tensor, output: Tensor) => to.add(output.mul(gate.unsqueeze(1)));
    const run = (part: 'attn' | 'mlp', h: Tensor) => {
      const compute = (input: Tensor) => this[part].forward(input);
      return branch ? branch(`${name}.${part}`, h, compute) : compute(h);
    };
    const y = add(x, gate1, run('attn', modulate(this.#norm.forward(x), shift1, scale1)));
    return add(y, gate2, run('mlp', modulate(this.#norm.forward(y), shift2, scale2)));
  }
}

/** Tokens [N, T, d] → patches [N, T, p² C]. Zero at first. */
export class FinalLayer extends Module {
  readonly linear: Linear;
  readonly adaLNModulation: Modulation;
  readonly #norm: LayerNorm;

  constructor(dim: number, patch: number, channels: number) {
    super();
    this.#norm = new LayerNorm(dim, { affine: false, epsilon: 1e-6 });
    this.linear = new Linear(dim, patch * patch * channels, nothing);
    this.adaLNModulation = new Modulation(dim, 2);
  }

  override stateName(property: string): string {
    return property === 'adaLNModulation' ? 'adaLN_modulation' : super.stateName(property);
  }

  forward(x: Tensor, c: Tensor): Tensor {
    const [shift, scale] = this.adaLNModulation.forward(c).split(2, 1) as [Tensor, Tensor];
    return this.linear.forward(modulate(this.#norm.forward(x), shift, scale));
  }
}

/**
 * Positions of a square grid [1, side², d], row by row. The first half of the channels encodes the column, the second
 * the row: sines, then cosines of position · 10000^(−j / (d/4)).
 */
function gridPositions(side: number): Initializer {
  return (shape) => {
    const dim = shape[2]!;
    const quarter = dim / 4;
    const values = new Float32Array(side * side * dim);
    for (let at = 0; at < side * side; at++) {
      for (const [half, position] of [at % side, Math.floor(at / side)].entries()) {
        for (let j = 0; j < quarter; j++) {
          const angle = position * 10000 ** (-j / quarter);
          const from = at * dim + (half * dim) / 2 + j;
          values[from] = Math.sin(angle);
          values[from + quarter] = Math.cos(angle);
        }
      }
    }
    return ndarray(values, shape);
  };
}

export interface DitOptions {
  /** Height and width of the input: for latents of a picture of 256 pixels 32. */
  readonly inputSize: number;
  readonly patchSize: number;
  readonly hiddenSize: number;
  readonly depth: number;
  readonly numHeads: number;
  /** Hidden features of the MLP over d; default 4. */
  readonly mlpRatio?: number;
  /** Of the input; default 4. */
  readonly channels?: number;
  /** K; default 1000. The label K means none. */
  readonly classes?: number;
  /** Twice as many channels come out: what is predicted, then the variance v in −1 to 1. Default true. */
  readonly learnSigma?: boolean;
  /** Share of labels that training replaces by none; default 0.1. */
  readonly labelDropout?: number;
}

/** The published sizes; `patchSize` is 2, 4 or 8. */
export const ditSizes = {
  S: { hiddenSize: 384, depth: 12, numHeads: 6 },
  B: { hiddenSize: 768, depth: 12, numHeads: 12 },
  L: { hiddenSize: 1024, depth: 24, numHeads: 16 },
  XL: { hiddenSize: 1152, depth: 28, numHeads: 16 },
} as const;

/** x [N, C, S, S], times [N], labels [N] → [N, C or 2 C, S, S]. */
export class Dit extends Module {
  readonly xEmbedder: PatchEmbed;
  readonly tEmbedder: TimestepEmbedder;
  readonly yEmbedder: LabelEmbedder;
  /** Not trained: [1, T, d]. */
  readonly posEmbed: Weight;
  readonly blocks: readonly DitBlock[];
  readonly finalLayer: FinalLayer;
  readonly #patch: number;
  readonly #channels: number;

  constructor(options: DitOptions) {
    super();
    const { inputSize, patchSize, hiddenSize, depth, numHeads, mlpRatio = 4, channels = 4 } = options;
    const { classes = 1000, learnSigma = true, labelDropout = 0.1 } = options;
    if (inputSize % patchSize !== 0)
      throw new RangeError(`input size ${inputSize} is not a multiple of the patch size ${patchSize}`);
    if (hiddenSize % 4 !== 0)
      throw new RangeError(`hidden size ${hiddenSize} is not a multiple of 4: positions have four parts`);
    const side = inputSize / patchSize;
    this.#patch = patchSize;
    this.#channels = learnSigma ? 2 * channels : channels;
    this.xEmbedder = new PatchEmbed(patchSize, channels, hiddenSize);
    this.tEmbedder = new TimestepEmbedder(hiddenSize);
    this.yEmbedder = new LabelEmbedder(classes, hiddenSize, labelDropout);
    this.posEmbed = new Weight([1, side * side, hiddenSize], gridPositions(side), { trainable: false });
    this.blocks = Array.from({ length: depth }, () => new DitBlock(hiddenSize, numHeads, mlpRatio));
    this.finalLayer = new FinalLayer(hiddenSize, patchSize, this.#channels);
  }

  forward(x: Tensor, t: Tensor, labels: Tensor, hooks: DitHooks = {}): Tensor {
    const tokens = this.xEmbedder.forward(x); // (N, T, d)
    if (tokens.size(1) !== this.posEmbed.size(1))
      throw new TensorError(
        `Dit: x ${x} makes ${tokens.size(1)} tokens, the positions are of ${this.posEmbed.size(1)}`,
      );
    const c = this.tEmbedder.forward(t).add(this.yEmbedder.forward(labels)); // (N, d)
    let h = tokens.add(this.posEmbed);
    for (const [i, block] of this.blocks.entries()) {
      h = block.forward(h, c, `blocks.${i}`, hooks);
      hooks.block?.(i, h);
    }
    return this.#unpatchify(this.finalLayer.forward(h, c));
  }

  /** [N, T, p² C], the channel counting fastest → [N, C, S, S]. */
  #unpatchify(patches: Tensor): Tensor {
    const [p, channels] = [this.#patch, this.#channels];
    const side = Math.sqrt(patches.size(1));
    return patches
      .reshape([patches.dim(0), side, side, p, p, channels])
      .transpose([0, 5, 1, 3, 2, 4]) // (N, C, row, p, column, p)
      .reshape([patches.dim(0), channels, side * p, side * p]);
  }
}
