/**
 * The draft model: one decoder block between the target's embedding and its output layer, with self-attention to a
 * window of its own and cross-attention to what the target's last layer has cached (arXiv 2502.17421, section 3.1).
 * Names are those of the authors' checkpoints.
 */

import type { DecoderConfig } from '@working-papers/models/decoder/config';
import { type Decoder, type PositionTables, SwiGlu } from '@working-papers/models/decoder/decoder';
import { normal, zeros } from '@working-papers/nn/initializers';
import { Linear, RmsNorm } from '@working-papers/nn/layers';
import { Module } from '@working-papers/nn/module';
import { rotary, type Tensor } from '@working-papers/tensor';
import { type Visibility, visibleAttention } from './visible-attention.ts';

/** Query i sees keys i − 512 to i. */
export const windowSize = 512;

/** What a draft needs to know of its target. */
export type DraftConfig = Pick<
  DecoderConfig,
  'hiddenSize' | 'intermediateSize' | 'numHeads' | 'numKvHeads' | 'headDim' | 'normEpsilon'
>;

const initWeight = normal(0.02);

function linear(inFeatures: number, outFeatures: number, bias = true): Linear {
  return new Linear(inFeatures, outFeatures, { bias, initWeight, initBias: zeros });
}

/** q, k and v with biases, whatever the target has; o without. */
class SelfAttention extends Module {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly oProj: Linear;

  constructor({ hiddenSize, numHeads, numKvHeads, headDim }: DraftConfig) {
    super();
    this.qProj = linear(hiddenSize, numHeads * headDim);
    this.kProj = linear(hiddenSize, numKvHeads * headDim);
    this.vProj = linear(hiddenSize, numKvHeads * headDim);
    this.oProj = linear(numHeads * headDim, hiddenSize, false);
  }
}

/** Keys and values are the target's own: only queries and the output have weights. */
class CrossAttention extends Module {
  readonly qProj: Linear;
  readonly oProj: Linear;

  constructor({ hiddenSize, numHeads, headDim }: DraftConfig) {
    super();
    this.qProj = linear(hiddenSize, numHeads * headDim);
    this.oProj = linear(numHeads * headDim, hiddenSize, false);
  }
}

/** A draft and the frozen parts of its target that it uses. */
export interface TargetParts {
  /** Tokens [...] → [..., D]. */
  readonly embed: (tokens: Tensor) => Tensor;
  /** [..., D] → logits [..., V]. */
  readonly logits: (x: Tensor) => Tensor;
}

/** The target's last-layer keys, turned by their positions already, and values: [N, T, Hkv, dh]. */
export interface TargetKeys {
  readonly keys: Tensor;
  readonly values: Tensor;
}

export class DraftModel extends Module {
  readonly inputLayernorm: RmsNorm;
  readonly selfAttn: SelfAttention;
  readonly postSelfAttentionLayernorm: RmsNorm;
  readonly crossAttn: CrossAttention;
  readonly postCrossAttentionLayernorm: RmsNorm;
  readonly mlp: SwiGlu;
  readonly #config: DraftConfig;

  constructor(config: DraftConfig) {
    super();
    this.#config = config;
    const norm = () => new RmsNorm(config.hiddenSize, { epsilon: config.normEpsilon });
    this.inputLayernorm = norm();
    this.selfAttn = new SelfAttention(config);
    this.postSelfAttentionLayernorm = norm();
    this.crossAttn = new CrossAttention(config);
    this.postCrossAttentionLayernorm = norm();
    this.mlp = new SwiGlu(config.hiddenSize, config.intermediateSize);
  }

  get config(): DraftConfig {
    return this.#config;
  }

  /**
   * Training: tokens [N, T], int32 → logits [N, T, V] of the tokens after them. `lag` (int64 scalar) is how many
   * positions the target's keys end before the query: j of flash noisy training, 1 or more.
   */
  forward(tokens: Tensor, tables: PositionTables, target: TargetParts & TargetKeys, lag: Tensor): Tensor {
    const { selfAttn, crossAttn } = this;
    let x = target.embed(tokens); // (N, T, D)
    const h = this.inputLayernorm.forward(x);
    const [q, k, v] = [selfAttn.qProj, selfAttn.kProj, selfAttn.vProj].map((proj) =>
      this.#heads(proj.forward(h)),
    ) as [Tensor, Tensor, Tensor];
    const window = { before: windowSize } satisfies Visibility;
    const own = visibleAttention(this.#turn(q, tables), this.#turn(k, tables), v, window);
    x = x.add(selfAttn.oProj.forward(own));
    const queries = this.#turn(
      this.#heads(crossAttn.qProj.forward(this.postSelfAttentionLayernorm.forward(x))),
      tables,
    );
    x = x.add(crossAttn.oProj.forward(visibleAttention(queries, target.keys, target.values, { lag })));
    return target.logits(this.finish(x));
  }

  /** The last branch: x [..., D] → [..., D]. No norm follows it, the output layer does. */
  finish(x: Tensor): Tensor {
    return x.add(this.mlp.forward(this.postCrossAttentionLayernorm.forward(x)));
  }

  #heads(x: Tensor): Tensor {
    const { headDim } = this.#config;
    return x.reshape([x.dim(0), x.dim(1), x.size(2) / headDim, headDim]);
  }

  #turn(x: Tensor, { cos, sin }: PositionTables): Tensor {
    return rotary(x, cos, sin);
  }
}

/** Embedding and output layer of a target. */
export function partsOf(target: Decoder): TargetParts {
  return {
    embed: (tokens) => target.model.embedTokens.forward(tokens),
    logits: (x) => target.logits(x),
  };
}
