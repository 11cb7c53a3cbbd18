/** Attention with the weight names of published checkpoints: timm's and PyTorch's. */

import {
  type AttentionOptions as ProductOptions,
  scaledDotProductAttention,
  type Tensor,
} from '@working-papers/tensor';
import { Dropout } from './dropout.ts';
import { xavierUniform, zeros } from './initializers.ts';
import { type InitOptions, type Layer, LayerNorm, Linear } from './layers.ts';
import { Module, Weight } from './module.ts';

/** Where the queries may look: `mask` broadcasts to [N, heads, T, S]. */
export type MaskOptions = Pick<ProductOptions, 'mask' | 'causal'>;

/** Of `Attention`. */
export interface AttentionOptions extends InitOptions {
  readonly numHeads: number;
  /** Default true, as in ViT and DiT. */
  readonly qkvBias?: boolean;
  /** Normalise queries and keys for each head: `q_norm`, `k_norm`. */
  readonly qkNorm?: boolean;
  /** Dropout of the attention's weights. */
  readonly attnDrop?: number;
  /** Dropout of the result. */
  readonly projDrop?: number;
}

/** Multi-head self-attention, named as timm does: x [N, T, C] → [N, T, C]. Vaswani et al. 2017, arXiv 1706.03762. */
export class Attention extends Module implements Layer {
  readonly qkv: Linear;
  readonly qNorm?: LayerNorm;
  readonly kNorm?: LayerNorm;
  readonly proj: Linear;
  readonly #numHeads: number;
  readonly #attnDrop: Dropout;
  readonly #projDrop: Dropout;

  constructor(dim: number, options: AttentionOptions) {
    super();
    const { numHeads, qkvBias = true, qkNorm = false, attnDrop = 0, projDrop = 0, ...init } = options;
    const headDim = divide(dim, numHeads);
    this.#numHeads = numHeads;
    this.#attnDrop = new Dropout(attnDrop);
    this.#projDrop = new Dropout(projDrop);
    this.qkv = new Linear(dim, 3 * dim, { ...init, bias: qkvBias });
    if (qkNorm) {
      this.qNorm = new LayerNorm(headDim);
      this.kNorm = new LayerNorm(headDim);
    }
    this.proj = new Linear(dim, dim, init);
  }

  forward(x: Tensor, options: MaskOptions = {}): Tensor {
    const [q, k, v] = this.qkv
      .forward(x) // (N, T, 3 C)
      .reshape([x.dim(0), x.dim(1), 3, this.#numHeads, -1])
      .transpose([2, 0, 3, 1, 4]) // (3, N, H, T, D)
      .split(3, 0)
      .map((part) => part.squeeze(0)) as [Tensor, Tensor, Tensor]; // (N, H, T, D)
    const queries = this.qNorm?.forward(q) ?? q;
    const keys = this.kNorm?.forward(k) ?? k;
    const dropout = (weights: Tensor) => this.#attnDrop.forward(weights);
    const y = scaledDotProductAttention(queries, keys, v, { ...options, dropout }); // (N, H, T, D)
    return this.#projDrop.forward(this.proj.forward(mergeHeads(y)));
  }
}

/**
 * Multi-head attention, named as torch.nn.MultiheadAttention does: queries [N, T, C] look at keys and values
 * [N, S, C] → [N, T, C].
 */
export class MultiheadAttention extends Module {
  readonly inProjWeight: Weight;
  readonly inProjBias: Weight;
  readonly outProj: Linear;
  readonly #numHeads: number;
  readonly #drop: Dropout;

  constructor(dim: number, options: { readonly numHeads: number; readonly dropout?: number }) {
    super();
    divide(dim, options.numHeads);
    this.#numHeads = options.numHeads;
    this.#drop = new Dropout(options.dropout ?? 0);
    this.inProjWeight = new Weight([3 * dim, dim], xavierUniform);
    this.inProjBias = new Weight([3 * dim], zeros);
    this.outProj = new Linear(dim, dim, { initBias: zeros });
  }

  forward(query: Tensor, key: Tensor = query, value: Tensor = key, options: MaskOptions = {}): Tensor {
    const weights = this.inProjWeight.split(3, 0);
    const biases = this.inProjBias.split(3, 0);
    const [q, k, v] = [query, key, value].map((x, i) =>
      splitHeads(x.linear(weights[i]!, biases[i]!), this.#numHeads),
    ) as [Tensor, Tensor, Tensor]; // (N, H, T or S, D)
    const dropout = (weights: Tensor) => this.#drop.forward(weights);
    return this.outProj.forward(mergeHeads(scaledDotProductAttention(q, k, v, { ...options, dropout })));
  }
}

function divide(dim: number, numHeads: number): number {
  if (dim % numHeads !== 0) throw new RangeError(`${dim} channels do not divide into ${numHeads} heads`);
  return dim / numHeads;
}

/** (N, T, H D) → (N, H, T, D). */
function splitHeads(x: Tensor, numHeads: number): Tensor {
  return x.reshape([x.dim(0), x.dim(1), numHeads, x.size(2) / numHeads]).transpose([0, 2, 1, 3]);
}

/** (N, H, T, D) → (N, T, H D). */
function mergeHeads(x: Tensor): Tensor {
  return x.transpose([0, 2, 1, 3]).reshape([x.dim(0), x.dim(2), x.size(1) * x.size(3)]);
}
