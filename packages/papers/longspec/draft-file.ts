/** Drafts as files on disk. Node only. */

import { existsSync } from 'node:fs';
import type { DecoderConfig } from '@working-papers/models/decoder/config';
import { stateDict, type Weights } from '@working-papers/nn/module';
import type { FloatStorage } from '@working-papers/nn/safetensors';
import { diskSource, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { DecodeError } from './decode.ts';
import { type LoadedDraft, readDraftFrom } from './draft-reader.ts';
import type { DraftModel } from './model.ts';

/** `readDraftFrom` of a `.safetensors` file on disk; throws a DecodeError also where there is none. */
export async function readDraft(file: string, target: DecoderConfig): Promise<LoadedDraft> {
  if (!existsSync(file)) throw new DecodeError(`${file} is not there: 'wp train longspec' makes such a file`);
  return readDraftFrom(file, diskSource, target);
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
