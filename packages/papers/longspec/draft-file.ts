/** Drafts as files: safetensors with the names of the authors' checkpoints. Node only. */

import { existsSync } from 'node:fs';
import type { DecoderConfig } from '@working-papers/models/decoder/config';
import { loadStateDict, stateDict, stateShapes, type Weights } from '@working-papers/nn/module';
import type { FloatStorage } from '@working-papers/nn/safetensors';
import { readMatching, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { DecodeError } from './decode.ts';
import { DraftModel } from './model.ts';

/** The release's prefixes; the cross-attention's own k and v, which nothing uses; frequencies of old files. */
function ownName(name: string): string | undefined {
  const bare = name.replace(/^(draft_model|glide)\./, '');
  return /^cross_attn\.[kv]_proj\.|rotary_emb\.inv_freq$/.test(bare) ? undefined : bare;
}

/**
 * The draft of a target from a `.safetensors` file. Throws a DecodeError for a pickle or a missing file, and a
 * NameMismatchError that lists missing, unexpected and mis-shaped tensors.
 */
export async function readDraft(
  file: string,
  target: DecoderConfig,
): Promise<{ readonly draft: DraftModel; readonly weights: Weights }> {
  if (/\.(pth?|bin)$/.test(file)) throw new DecodeError(`${file} is a pickle: convert to safetensors`);
  if (!existsSync(file)) throw new DecodeError(`${file} is not there: 'wp train longspec' makes such a file`);
  const draft = new DraftModel(target);
  const tensors = await readMatching(file, stateShapes(draft), { rename: ownName, file });
  return { draft, weights: loadStateDict(draft, tensors) };
}

export async function writeDraft(
  file: string,
  draft: DraftModel,
  weights: Weights,
  metadata: Readonly<Record<string, string>> = {},
  storage: FloatStorage = 'F16',
): Promise<void> {
  await writeSafetensors(file, stateDict(draft, weights), {
    float32As: storage,
    metadata: { format: 'pt', ...metadata },
  });
}
