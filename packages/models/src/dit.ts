/**
 * Diffusion transformers (DiT), Peebles and Xie 2022, arXiv 2212.09748, section 3.2: patches as tokens, conditioned on
 * time and class through adaLN-Zero. Names and first values are those of the official PyTorch release.
 */

import { Attention } from '@working-papers/nn/attention';
import { normal, xavierUniform, zeros } from '@working-papers/nn/initializers';
import { Conv, Embedding, type Layer, LayerNorm, Linear, Sequential } from '@working-papers/nn/layers';
import { type Initializer, isTraining, Module, nextDraw, Weight } from '@working-papers/nn/module';
import { Mlp } from '@working-papers/nn/transformer';
import { concat, constant, type Dim, ndarray, type Tensor, uniform, where } from '@working-papers/tensor';

const init = { initWeight: xavierUniform, initBias: zeros } as const;
const zeroInit = { initWeight: zeros, initBias: zeros } as const;
const smallInit = { initWeight: normal(0.02), initBias: zeros } as const;
const silu: Layer = { forward: (x) => x.silu() };

/** The patch convolution starts as a Linear of its flattened patches would. */
const flatXavier: Initializer = ([out, ...rest], random) => {
  const flat = xavierUniform([out!, rest.reduce((a, b) => a * b, 1)], random);
  return { ...flat, shape: [out!, ...rest] };
};

/** A picture as tokens, one a patch in row-major order: x [N, C, S, S] → [N, (S/p)², D]. */
export class PatchEmbed extends Module implements Layer {
  readonly proj: Conv;
  readonly #patch: number;

  constructor(channels: number, dim: number, patch: number) {
    super();
    this.#patch = patch;
    this.proj = new Conv(channels, dim, [patch, patch], {
      stride: patch,
      initWeight: flatXavier,
      initBias: zeros,
    });
  }

  /** A convolution whose stride is its kernel's size, as the matrix product that it is. */
  forward(x: Tensor): Tensor {
    const p = this.#patch;
    const [channels, rows, columns] = [x.size(1), x.size(2) / p, x.size(3) / p];
    const patches = x
      .reshape([x.dim(0), channels, rows, p, columns, p])
      .transpose([0, 2, 4, 1, 3, 5])
      .reshape([x.dim(0), rows * columns, channels * p * p]); // (N, T, C p p)
    return patches.linear(this.proj.weight.reshape([-1, channels * p * p]), this.proj.bias); // (N, T, D)
  }
}

/**
 * Sinusoids of a number in time, cosines first, behind two linear layers: t [N] → [N, D]. The frequencies are
 * 10000^(−j/128), j = 0 ... 127.
 */
export class TimestepEmbedder extends Module implements Layer {
  readonly mlp: Sequential;
  readonly #frequencies: Tensor;

  constructor(dim: number, size = 256) {
    super();
    const half = size / 2;
    this.mlp = new Sequential(new Linear(size, dim, smallInit), silu, new Linear(dim, dim, smallInit));
    this.#frequencies = constant(ndarray(Array.from({ length: half }, (_, j) => 10000 ** (-j / half))));
  }

  forward(t: Tensor): Tensor {
    const angles = t.unsqueeze(-1).mul(this.#frequencies); // (N, 128)
    return this.mlp.forward(concat([angles.cos(), angles.sin()], -1));
  }
}

/**
 * A vector for each class and one, the last, for "no class": labels [N] → [N, D]. In training each label becomes the
 * null class with probability `dropout`, for classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598).
 */
export class LabelEmbedder extends Module {
  readonly embeddingTable: Embedding;
  readonly #classes: number;
  readonly #dropout: number;

  constructor(classes: number, dim: number, dropout: number) {
    super();
    if (!(dropout >= 0 && dropout <= 1)) throw new RangeError(`label dropout ${dropout} is not in 0..1`);
    this.#classes = classes;
    this.#dropout = dropout;
    this.embeddingTable = new Embedding(classes + 1, dim, { initWeight: normal(0.02) });
  }

  forward(labels: Tensor): Tensor {
    return this.embeddingTable.forward(this.#drop(labels));
  }

  #drop(labels: Tensor): Tensor {
    if (!isTraining() || this.#dropout === 0) return labels;
    const { seed, stream } = nextDraw();
    const dropped = uniform(labels.shape, seed, { stream }).less(this.#dropout);
    return where(dropped, this.#classes, labels);
  }
}

/** Which branch of which block a tensor belongs to. */
export interface Branch {
  /** From 0. */
  readonly block: number;
  readonly kind: 'attn' | 'mlp';
  /** What goes into the branch: normalised, shifted and scaled tokens [N, T, D]. */
  readonly input: Tensor;
}

/** Where other methods enter a DiT without changing it. */
export interface DiTHooks {
  /** Stands in for the condition c [N, D], the sum of the embedded time and label: a further one may be added. */
  readonly condition?: (c: Tensor) => Tensor;
  /**
   * Stands in for a branch: [N, T, D], before its gate. `compute` is the branch itself; what is not called is not
   * part of the graph. An adapter adds to it, a cache reuses an older one.
   */
  readonly branch?: (branch: Branch, compute: () => Tensor) => Tensor;
  /** Sees the tokens [N, T, D] behind each block, from 0. */
  readonly onBlock?: (block: number, tokens: Tensor) => void;
}

/** x (1 + scale) + shift, for x [N, T, D] and vectors [N, D]. */
function modulate(x: Tensor, shift: Tensor, scale: Tensor): Tensor {
  return x.mul(scale.unsqueeze(1).add(1)).add(shift.unsqueeze(1));
}

/** adaLN is spelled as the release spells it. */
function stateName(property: string, otherwise: string): string {
  return property === 'adaLNModulation' ? 'adaLN_modulation' : otherwise;
}

const plainNorm = { affine: false, epsilon: 1e-6 } as const;

/** A block with adaLN-Zero: x [N, T, D] and its condition c [N, D] → [N, T, D]. Starts as the identity. */
export class DiTBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly adaLNModulation: Sequential;

  constructor(dim: number, numHeads: number, mlpRatio: number) {
    super();
    this.norm1 = new LayerNorm(dim, plainNorm);
    this.attn = new Attention(dim, { ...init, numHeads });
    this.norm2 = new LayerNorm(dim, plainNorm);
    this.mlp = new Mlp(dim, Math.round(dim * mlpRatio), {
      ...init,
      activation: (x) => x.gelu('tanh'),
    });
    this.adaLNModulation = new Sequential(silu, new Linear(dim, 6 * dim, zeroInit));
  }

  override stateName(property: string): string {
    return stateName(property, super.stateName(property));
  }

  forward(x: Tensor, c: Tensor, block = 0, hooks: DiTHooks = {}): Tensor {
    const { branch = (_: Branch, compute: () => Tensor) => compute() } = hooks;
    const [shift1, scale1, gate1, shift2, scale2, gate2] = this.adaLNModulation.forward(c).split(6, -1) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ]; // (N, D)
    const h1 = modulate(this.norm1.forward(x), shift1, scale1);
    const attended = branch({ block, kind: 'attn', input: h1 }, () => this.attn.forward(h1));
    const y = x.add(attended.mul(gate1.unsqueeze(1)));
    const h2 = modulate(this.norm2.forward(y), shift2, scale2);
    const mixed = branch({ block, kind: 'mlp', input: h2 }, () => this.mlp.forward(h2));
    return y.add(mixed.mul(gate2.unsqueeze(1)));
  }
}

/** Tokens [N, T, D] and their condition [N, D] → patches [N, T, p p C]. Starts as zero. */
export class FinalLayer extends Module {
  readonly normFinal: LayerNorm;
  readonly linear: Linear;
  readonly adaLNModulation: Sequential;

  constructor(dim: number, outFeatures: number) {
    super();
    this.normFinal = new LayerNorm(dim, plainNorm);
    this.linear = new Linear(dim, outFeatures, zeroInit);
    this.adaLNModulation = new Sequential(silu, new Linear(dim, 2 * dim, zeroInit));
  }

  override stateName(property: string): string {
    return stateName(property, super.stateName(property));
  }

  forward(x: Tensor, c: Tensor): Tensor {
    const [shift, scale] = this.adaLNModulation.forward(c).split(2, -1) as [Tensor, Tensor];
    return this.linear.forward(modulate(this.normFinal.forward(x), shift, scale));
  }
}

/**
 * Fixed positions of a `side` × `side` grid, row-major: [1, side², D]. The first half of the channels encodes the
 * column, the second the row; each half has sines, then cosines, of pos · 10000^(−j/(D/4)).
 */
function gridSinusoids(side: number): Initializer {
  return (shape) => {
    const dim = shape[2]!;
    const quarter = dim / 4;
    const values = new Float32Array(side * side * dim);
    for (let at = 0; at < side * side; at++) {
      for (const [half, position] of [at % side, Math.floor(at / side)].entries()) {
        for (let j = 0; j < quarter; j++) {
          const angle = position * 10000 ** (-j / quarter);
          values[at * dim + 2 * half * quarter + j] = Math.sin(angle);
          values[at * dim + (2 * half + 1) * quarter + j] = Math.cos(angle);
        }
      }
    }
    return ndarray(values, shape);
  };
}

/** A DiT's size and what it is conditioned on. */
export interface DiTOptions {
  readonly hiddenSize: number;
  readonly depth: number;
  readonly numHeads: number;
  /** Height and width of a patch in pixels (of the latent picture, where there is one). */
  readonly patchSize: number;
  /** Height and width of the input, a multiple of the patch; default 32. */
  readonly inputSize?: number;
  /** Default 4, the channels of the usual autoencoder. */
  readonly inChannels?: number;
  /** Without the null class; default 1000. */
  readonly classes?: number;
  /** Default 4. */
  readonly mlpRatio?: number;
  /** Twice as many channels come out, the second half for the variance; default true. */
  readonly learnSigma?: boolean;
  /** Probability that a label is dropped in training; default 0.1. */
  readonly classDropout?: number;
}

const sizes = {
  S: { hiddenSize: 384, depth: 12, numHeads: 6 },
  B: { hiddenSize: 768, depth: 12, numHeads: 12 },
  L: { hiddenSize: 1024, depth: 24, numHeads: 16 },
  XL: { hiddenSize: 1152, depth: 28, numHeads: 16 },
} as const;

/** One of the published sizes, table 1 of the paper: `ditSize('XL', 2)` is DiT-XL/2. */
export function ditSize(size: keyof typeof sizes, patchSize: 2 | 4 | 8) {
  return { ...sizes[size], patchSize };
}

/** x [N, C, S, S], times t [N] and labels y [N] (integers, `nullLabel` for none) → [N, C or 2 C, S, S]. */
export class DiT extends Module {
  readonly xEmbedder: PatchEmbed;
  readonly tEmbedder: TimestepEmbedder;
  readonly yEmbedder: LabelEmbedder;
  /** Sinusoids, not trained; [1, T, D]. */
  readonly posEmbed: Weight;
  readonly blocks: readonly DiTBlock[];
  readonly finalLayer: FinalLayer;
  /** The label that means "no class". */
  readonly nullLabel: number;
  readonly hiddenSize: number;
  readonly inChannels: number;
  readonly inputSize: number;
  readonly #patch: number;

  constructor(options: DiTOptions) {
    super();
    const {
      hiddenSize,
      depth,
      numHeads,
      patchSize,
      inputSize = 32,
      inChannels = 4,
      classes = 1000,
    } = options;
    const { mlpRatio = 4, learnSigma = true, classDropout = 0.1 } = options;
    if (hiddenSize % 4 !== 0) throw new RangeError(`hidden size ${hiddenSize} is not a multiple of 4`);
    if (inputSize % patchSize !== 0)
      throw new RangeError(`input size ${inputSize} is not a multiple of the patch size ${patchSize}`);
    const side = inputSize / patchSize;
    const outFeatures = patchSize * patchSize * inChannels * (learnSigma ? 2 : 1);
    this.#patch = patchSize;
    this.nullLabel = classes;
    this.hiddenSize = hiddenSize;
    this.inChannels = inChannels;
    this.inputSize = inputSize;
    this.xEmbedder = new PatchEmbed(inChannels, hiddenSize, patchSize);
    this.tEmbedder = new TimestepEmbedder(hiddenSize);
    this.yEmbedder = new LabelEmbedder(classes, hiddenSize, classDropout);
    this.posEmbed = new Weight([1, side * side, hiddenSize], gridSinusoids(side), { trainable: false });
    this.blocks = Array.from({ length: depth }, () => new DiTBlock(hiddenSize, numHeads, mlpRatio));
    this.finalLayer = new FinalLayer(hiddenSize, outFeatures);
  }

  forward(x: Tensor, t: Tensor, y: Tensor, hooks: DiTHooks = {}): Tensor {
    let tokens = this.xEmbedder.forward(x).add(this.posEmbed); // (N, T, D)
    const embedded = this.tEmbedder.forward(t).add(this.yEmbedder.forward(y)); // (N, D)
    const c = hooks.condition?.(embedded) ?? embedded;
    for (const [i, block] of this.blocks.entries()) {
      tokens = block.forward(tokens, c, i, hooks);
      hooks.onBlock?.(i, tokens);
    }
    return this.unpatchify(this.finalLayer.forward(tokens, c)); // (N, C or 2 C, S, S)
  }

  /** Patches [N, T, p p C], channels fastest, back to a picture [N, C, S, S]. */
  unpatchify(patches: Tensor): Tensor {
    const p = this.#patch;
    const side = this.inputSize / p;
    const channels = patches.size(2) / (p * p);
    const n: Dim = patches.dim(0);
    return patches
      .reshape([n, side, side, p, p, channels])
      .transpose([0, 5, 1, 3, 2, 4])
      .reshape([n, channels, this.inputSize, this.inputSize]);
  }
}
