/** Models of a few thousand weights, untrained but with opinions, for tests. */

import { join } from 'node:path';
import { beginOfText, trainByteBpe } from '@working-papers/models/decoder/byte-bpe';
import { type CachedDecoder, openCachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import { parseConfig } from '@working-papers/models/decoder/config';
import { Decoder } from '@working-papers/models/decoder/decoder';
import { writeDecoder } from '@working-papers/models/decoder/folder';
import { initialize, type Weights } from '@working-papers/nn/module';
import { type Device, type NdArray, ndarray, type Parameter } from '@working-papers/tensor';
import { type DecodeOptions, decode, type Round, type Summary } from '../decode.ts';
import { writeDraft } from '../draft-file.ts';
import { DraftModel } from '../model.ts';

export const tinyConfig = {
  model_type: 'llama',
  vocab_size: 24,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
  tie_word_embeddings: true,
};

/** First values are small, and models with small weights are all alike: these are larger. */
function louder(weights: Weights, factor: number): Map<Parameter, NdArray> {
  return new Map(
    [...weights].map(([weight, value]) => {
      const data = (value.data as Float32Array).map((x) => x * (value.shape.length > 1 ? factor : 1));
      return [weight, ndarray(data, value.shape)];
    }),
  );
}

export interface Tiny {
  readonly target: Decoder;
  readonly targetWeights: Weights;
  readonly draft: DraftModel;
  readonly draftWeights: Weights;
}

export function tinyModels(config: object = {}): Tiny {
  const target = new Decoder(parseConfig({ ...tinyConfig, ...config }));
  const draft = new DraftModel(target.config);
  return {
    target,
    targetWeights: louder(initialize(target, 3), 15),
    draft,
    draftWeights: louder(initialize(draft, 4), 15),
  };
}

export function openTarget(device: Device, { target, targetWeights }: Tiny): Promise<CachedDecoder> {
  return openCachedDecoder({ device, model: target, weights: targetWeights });
}

export function promptOf(length: number, seed = 0, vocab = 24): number[] {
  return Array.from({ length }, (_, i) => (i * i * 7 + i * (3 + seed) + seed * 5 + 1) % vocab);
}

export async function collect(
  options: DecodeOptions,
): Promise<{ tokens: number[]; rounds: Round[]; summary: Summary }> {
  const run = decode(options);
  const rounds: Round[] = [];
  for (;;) {
    const { value, done } = await run.next();
    if (done) return { tokens: rounds.flatMap(({ tokens }) => tokens), rounds, summary: value };
    rounds.push(value);
  }
}

/** Writes a folder with a tokenizer of its own, a target and a draft; `chat_template` where `template` is given. */
export async function writeTinyFolder(folder: string, template?: string, maxPositions = 512): Promise<void> {
  const tokenizer = trainByteBpe(['the whale swam and the whale dived again, and then it swam. '.repeat(9)], {
    vocabSize: 300,
  });
  const models = tinyModels({ vocab_size: 300, max_position_embeddings: maxPositions });
  await writeDecoder(folder, {
    model: models.target,
    weights: models.targetWeights,
    tokenizer,
    tokenizerConfig: { bos_token: beginOfText, ...(template !== undefined && { chat_template: template }) },
    bosToken: 0,
    eosToken: 1,
    storage: 'F32',
  });
  await writeDraft(join(folder, 'draft.safetensors'), models.draft, models.draftWeights, {}, 'F32');
}
