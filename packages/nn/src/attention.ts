/** Attention with the weight names of published checkpoints: timm's and PyTorch's. */

import { type Tensor, tril, where, zeros as zerosTensor } from '@working-papers/tensor';
import { Dropout } from './dropout.ts';
import { xavierUniform, zeros } from './initializers.ts';
import { type InitOptions, type Layer, LayerNorm, Linear } from './layers.ts';
import { Module, Weight } from './module.ts';

export interface MaskOptions {
  /** Broadcasts to [N, heads, T, S]: bool, true where a query may look; or floats, added to the scores. */
  readonly mask?: Tensor;
  /** Each position sees itself and earlier ones; with more keys than queries, the queries are the last. */
  readonly causal?: boolean;
}

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
      .split(3, -1)
      .map((part) => splitHeads(part, this.#numHeads)) as [Tensor, Tensor, Tensor]; // (N, H, T, D)
    const queries = this.qNorm?.forward(q) ?? q;
    const keys = this.kNorm?.forward(k) ?? k;
    const y = attend(queries, keys, v, this.#attnDrop, options); // (N, H, T, D)
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
    return this.outProj.forward(mergeHeads(attend(q, k, v, this.#drop, options)));
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

/** softmax(q kᵀ / √D + mask) v: q [N, H, T, D], k and v [N, H, S, D] → [N, H, T, D]. */
function attend(q: Tensor, k: Tensor, v: Tensor, drop: Dropout, options: MaskOptions): Tensor {
  const { mask, causal = false } = options;
  let scores = q.mul(1 / Math.sqrt(q.size(-1))).matmul(k.transpose()); // (N, H, T, S)
  if (mask) scores = mask.dtype === 'bool' ? where(mask, scores, -1e9) : scores.add(mask);
  if (causal) {
    const [t, s] = [q.size(-2), k.size(-2)];
    const past = tril(zerosTensor([t, s]).add(1), s - t);
    scores = where(past.greater(0), scores, -1e9);
  }
  return drop.forward(scores.softmax(-1)).matmul(v);
}
