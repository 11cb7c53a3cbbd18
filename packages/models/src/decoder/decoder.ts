/**
 * Decoders of the Llama family with the names of Hugging Face's checkpoints: Llama 2 and 3, Mistral, Qwen2 and
 * Qwen2.5, SmolLM2, TinyLlama. RMS norm before each branch, rotary positions, grouped-query attention, SwiGLU
 * (Touvron et al. 2023, arXiv 2302.13971 and 2307.09288).
 */

import { normal, zeros } from '@working-papers/nn/initializers';
import { Embedding, Linear, RmsNorm } from '@working-papers/nn/layers';
import { Module } from '@working-papers/nn/module';
import {
  byRows,
  recomputedAttention,
  rotary,
  scaledDotProductAttention,
  type Tensor,
} from '@working-papers/tensor';
import type { DecoderConfig } from './config.ts';

/** Row t is of the t-th token's position: cosines and sines [T, dh/2], from `ropeTables`. */
export interface PositionTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Keys, turned by their positions, and values of one layer: [N, T, Hkv, dh]. */
export interface KeysValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

const initWeight = normal(0.02);

function linear(inFeatures: number, outFeatures: number, bias: boolean): Linear {
  return new Linear(inFeatures, outFeatures, { bias, initWeight, initBias: zeros });
}

/** Causal self-attention with rotary positions and grouped queries (Ainslie et al. 2023, arXiv 2305.13245). */
export class DecoderAttention extends Module {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly oProj: Linear;
  readonly #config: DecoderConfig;

  constructor(config: DecoderConfig) {
    super();
    const { hiddenSize, numHeads, numKvHeads, headDim, qkvBias, outputBias } = config;
    this.#config = config;
    this.qProj = linear(hiddenSize, numHeads * headDim, qkvBias);
    this.kProj = linear(hiddenSize, numKvHeads * headDim, qkvBias);
    this.vProj = linear(hiddenSize, numKvHeads * headDim, qkvBias);
    this.oProj = linear(numHeads * headDim, hiddenSize, outputBias);
  }

  /** x [N, T, D] → keys and values [N, T, Hkv, dh]. */
  keysValues(x: Tensor, { cos, sin }: PositionTables): KeysValues {
    const { numKvHeads, headDim } = this.#config;
    const shape = [x.dim(0), x.dim(1), numKvHeads, headDim];
    return {
      keys: rotary(this.kProj.forward(x).reshape(shape), cos, sin),
      values: this.vProj.forward(x).reshape(shape),
    };
  }

  /** Causal: x [N, T, D] → [N, T, D]. */
  forward(x: Tensor, tables: PositionTables): Tensor {
    const { numHeads, headDim } = this.#config;
    const [n, t] = [x.dim(0), x.dim(1)];
    const q = rotary(this.qProj.forward(x).reshape([n, t, numHeads, headDim]), tables.cos, tables.sin);
    const { keys, values } = this.keysValues(x, tables);
    const [queries, k, v] = [q, keys, values].map((each) => each.transpose([0, 2, 1, 3])) as [
      Tensor,
      Tensor,
      Tensor,
    ]; // (N, H or Hkv, T, dh)
    // weights of long texts would fill the memory until the gradient needs them
    const attended =
      typeof t === 'number' && t > 2048
        ? recomputedAttention(queries, k, v)
        : scaledDotProductAttention(queries, k, v, { causal: true });
    return this.oProj.forward(attended.transpose([0, 2, 1, 3]).reshape([n, t, numHeads * headDim]));
  }
}

/** W_down(silu(W_gate x) · W_up x) (Shazeer 2020, arXiv 2002.05202). */
export class SwiGlu extends Module {
  readonly gateProj: Linear;
  readonly upProj: Linear;
  readonly downProj: Linear;

  constructor(hiddenSize: number, intermediateSize: number) {
    super();
    this.gateProj = linear(hiddenSize, intermediateSize, false);
    this.upProj = linear(hiddenSize, intermediateSize, false);
    this.downProj = linear(intermediateSize, hiddenSize, false);
  }

  forward(x: Tensor): Tensor {
    return byRows(x, this.gateProj.weight.size(0), (rows) =>
      this.downProj.forward(this.gateProj.forward(rows).silu().mul(this.upProj.forward(rows))),
    );
  }
}

/** Attention, then the MLP, each behind an RMS norm and beside a residual: x [N, T, D] → [N, T, D]. */
export class DecoderLayer extends Module {
  readonly selfAttn: DecoderAttention;
  readonly mlp: SwiGlu;
  readonly inputLayernorm: RmsNorm;
  readonly postAttentionLayernorm: RmsNorm;

  constructor(config: DecoderConfig) {
    super();
    const { hiddenSize, intermediateSize, normEpsilon: epsilon } = config;
    this.selfAttn = new DecoderAttention(config);
    this.mlp = new SwiGlu(hiddenSize, intermediateSize);
    this.inputLayernorm = new RmsNorm(hiddenSize, { epsilon });
    this.postAttentionLayernorm = new RmsNorm(hiddenSize, { epsilon });
  }

  forward(x: Tensor, tables: PositionTables): Tensor {
    const y = x.add(this.selfAttn.forward(this.inputLayernorm.forward(x), tables));
    return y.add(this.mlp.forward(this.postAttentionLayernorm.forward(y)));
  }
}

class DecoderTrunk extends Module {
  readonly embedTokens: Embedding;
  readonly layers: readonly DecoderLayer[];
  readonly norm: RmsNorm;

  constructor(config: DecoderConfig) {
    super();
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize, { initWeight });
    this.layers = Array.from({ length: config.numLayers }, () => new DecoderLayer(config));
    this.norm = new RmsNorm(config.hiddenSize, { epsilon: config.normEpsilon });
  }
}

/** A Llama-family decoder (Touvron et al. 2023, arXiv 2302.13971), under the names of Hugging Face's weights. */
export class Decoder extends Module {
  readonly model: DecoderTrunk;
  /** Absent where the embedding is the output layer too. */
  readonly lmHead?: Linear;
  readonly #config: DecoderConfig;

  constructor(config: DecoderConfig) {
    super();
    this.#config = config;
    this.model = new DecoderTrunk(config);
    if (!config.tied) this.lmHead = linear(config.hiddenSize, config.vocabSize, false);
  }

  get config(): DecoderConfig {
    return this.#config;
  }

  /** Without cache, causal: tokens [N, T], int32 → logits [N, T, V]. */
  forward(tokens: Tensor, tables: PositionTables): Tensor {
    return this.#logitsAfter(this.#beforeLast(tokens, tables), tables);
  }

  /** The output layer alone: x [..., D] → logits [..., V]. */
  logits(x: Tensor): Tensor {
    return this.lmHead?.forward(x) ?? x.linear(this.model.embedTokens.weight);
  }

  /** What the last layer's attention takes in, [N, T, D]: all layers but the last are computed. */
  lastInput(tokens: Tensor, tables: PositionTables): Tensor {
    return this.#lastLayer.inputLayernorm.forward(this.#beforeLast(tokens, tables));
  }

  /** What the last layer's attention looks at, for heads that read it. */
  lastKeysValues(tokens: Tensor, tables: PositionTables): KeysValues {
    return this.#lastLayer.selfAttn.keysValues(this.lastInput(tokens, tables), tables);
  }

  /** `forward` and `lastKeysValues` in one pass. */
  logitsAndLastKeysValues(tokens: Tensor, tables: PositionTables): KeysValues & { readonly logits: Tensor } {
    const x = this.#beforeLast(tokens, tables);
    const { inputLayernorm, selfAttn } = this.#lastLayer;
    return {
      ...selfAttn.keysValues(inputLayernorm.forward(x), tables),
      logits: this.#logitsAfter(x, tables),
    };
  }

  get #lastLayer(): DecoderLayer {
    return this.model.layers.at(-1)!;
  }

  /** The stream that the last layer adds to, [N, T, D]. */
  #beforeLast(tokens: Tensor, tables: PositionTables): Tensor {
    const { embedTokens, layers } = this.model;
    return layers.slice(0, -1).reduce((y, layer) => layer.forward(y, tables), embedTokens.forward(tokens));
  }

  #logitsAfter(x: Tensor, tables: PositionTables): Tensor {
    return this.logits(this.model.norm.forward(this.#lastLayer.forward(x, tables)));
  }
}
