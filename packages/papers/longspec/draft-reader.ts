/** Drafts from safetensors with the names of the authors' checkpoints, wherever their bytes are. */

import type { DecoderConfig } from '@working-papers/models/decoder/config';
import { loadStateDict, stateShapes, type Weights } from '@working-papers/nn/module';
import { type OpenBytes, readMatchingFrom } from '@working-papers/nn/safetensors-reader';
import { DecodeError } from './decode.ts';
import { DraftModel } from './model.ts';

/** What of the paper's training a draft has had. */
export interface DraftTraining {
  /** Anchor-offset positions; without, positions of short texts alone. */
  readonly anchorOffset: boolean;
  /** Flash noisy training; without, the target's keys always ended one before the query. */
  readonly noise: boolean;
}

/** What a draft is called beside its model: the paper's is `draft.safetensors`, others say what they lack. */
export function draftName({ anchorOffset, noise }: DraftTraining): string {
  return `draft${anchorOffset ? '' : '-plain'}${noise ? '' : '-no-noise'}.safetensors`;
}

export interface LoadedDraft {
  readonly draft: DraftModel;
  readonly weights: Weights;
}

/** The release's prefixes; the cross-attention's own k and v, which nothing uses; frequencies of old files. */
function ownName(name: string): string | undefined {
  const bare = name.replace(/^(draft_model|glide)\./, '');
  return /^cross_attn\.[kv]_proj\.|rotary_emb\.inv_freq$/.test(bare) ? undefined : bare;
}

/**
 * The draft of a target. Throws a DecodeError for a pickle, a SafetensorsError for a damaged file, and a
 * NameMismatchError that lists missing, unexpected and mis-shaped tensors.
 */
export async function readDraftFrom(
  file: string,
  open: OpenBytes,
  target: DecoderConfig,
): Promise<LoadedDraft> {
  if (/\.(pth?|bin)$/.test(file)) throw new DecodeError(`${file} is a pickle: convert to safetensors`);
  const draft = new DraftModel(target);
  const tensors = await readMatchingFrom(file, open, stateShapes(draft), { rename: ownName, file });
  return { draft, weights: loadStateDict(draft, tensors) };
}
