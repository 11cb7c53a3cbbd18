/** The draft model in use: a compiled graph that guesses the likeliest next tokens of some rows. */

import { cacheSpec } from '@working-papers/models/decoder/cached-decoder';
import type { DecoderConfig } from '@working-papers/models/decoder/config';
import type { Decoder } from '@working-papers/models/decoder/decoder';
import { sideBySide } from '@working-papers/models/decoder/side-by-side';
import type { Weights } from '@working-papers/nn/module';
import {
  cachedAttention,
  type Device,
  gather,
  keepOnDevice,
  type QueryCount,
  rotary,
  type Tensor,
  topK,
  type WeightValues,
} from '@working-papers/tensor';
import type { DraftModel } from './model.ts';

export interface DraftGraphOptions {
  readonly device: Device;
  readonly target: Decoder;
  readonly targetWeights: WeightValues;
  readonly draft: DraftModel;
  readonly draftWeights: Weights;
  /** Guesses for each row. */
  readonly guesses: number;
}

interface Cache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/**
 * T tokens, of which R ask for what comes next. The others only leave their keys and values, which depend on token
 * and position alone, as the one layer's input is the embedding.
 */
export function compileDraft(options: DraftGraphOptions, queries: QueryCount) {
  const { device, target, targetWeights, draft, draftWeights, guesses } = options;
  const { config } = target;
  const { numHeads, numKvHeads, headDim } = config;
  const half = headDim / 2;
  const ring = ringSpec(config);
  return device.compile(
    ({ tokens, cos, sin, read, ringBias, ownBias }, own: Cache, prefix: Cache) => {
      const { selfAttn, crossAttn } = draft;
      const [time, rows] = [tokens.dim(0), read.dim(0)];
      const embedded = target.model.embedTokens.forward(tokens); // (T, D)
      const normed = draft.inputLayernorm.forward(embedded);
      const kv = sideBySide(normed, [selfAttn.kProj, selfAttn.vProj], queries).reshape([
        time,
        2 * numKvHeads,
        headDim,
      ]);
      const keys = rotary(kv.slice(1, 0, numKvHeads), cos, sin); // (T, Hkv, dh)
      const values = kv.slice(1, numKvHeads);
      const [rowCos, rowSin] = [gather(cos, read), gather(sin, read)];
      const query = (x: Tensor) => rotary(x.reshape([rows, numHeads, headDim]), rowCos, rowSin);
      const q = query(selfAttn.qProj.forward(gather(normed, read)));
      const near = cachedAttention(q, { ...own, bias: ringBias }, { keys, values, bias: ownBias }, queries);
      let x = gather(embedded, read).add(selfAttn.oProj.forward(near)); // (R, D)
      const far = query(crossAttn.qProj.forward(draft.postSelfAttentionLayernorm.forward(x)));
      x = x.add(crossAttn.oProj.forward(cachedAttention(far, prefix, undefined, queries)));
      const { gateProj, upProj, downProj } = draft.mlp;
      const after = draft.postCrossAttentionLayernorm.forward(x);
      const [gate, up] = sideBySide(after, [gateProj, upProj], queries).split(2, -1) as [Tensor, Tensor];
      x = x.add(downProj.forward(gate.silu().mul(up)));
      const logProbabilities = target.logits(x).logSoftmax(-1); // (R, V)
      const best = topK(logProbabilities, Math.min(guesses, config.vocabSize));
      return {
        logProbabilities: best.values, // (R, guesses)
        tokens: best.indices,
        keys: keepOnDevice(keys.unsqueeze(0)), // (1, T, Hkv, dh)
        values: keepOnDevice(values.unsqueeze(0)),
      };
    },
    {
      inputs: [
        {
          tokens: { shape: ['tokens'], dtype: 'int32' },
          cos: { shape: ['tokens', half] },
          sin: { shape: ['tokens', half] },
          read: { shape: ['read'], dtype: 'int32' },
          ringBias: { shape: ['ring', 'read'] },
          ownBias: { shape: ['tokens', 'read'] },
        },
        ring,
        cacheSpec(config),
      ] as const,
      weights: new Map([...targetWeights, ...draftWeights]),
      name: 'draft',
    },
  );
}

/** The ring is one chunk of a cache of its own. */
function ringSpec({ numKvHeads, headDim }: DecoderConfig) {
  return {
    keys: { shape: [1, numKvHeads, 'ring', headDim + 1] },
    values: { shape: [1, numKvHeads, headDim, 'ring'] },
  } as const;
}
