/** Models from disk, with the way of guessing ahead that is asked for. Node only. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CachedDecoder, openCachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import { locateDecoder } from '@working-papers/models/decoder/folder';
import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import type { Device, WeightValues } from '@working-papers/tensor';
import { DecodeError } from './decode.ts';
import { readDraft } from './draft-file.ts';
import type { Drafter } from './drafter.ts';
import type { TextModel } from './generate.ts';
import { openLongSpec } from './longspec.ts';
import { magicDec } from './magicdec.ts';
import type { Method } from './options.ts';
import { promptLookup } from './prompt-lookup.ts';
import type { TreeShape } from './tree.ts';
import { vanilla } from './vanilla.ts';

export interface TextModelOptions {
  readonly device: Device;
  /** Of a Hugging Face model. */
  readonly folder: string;
  readonly method: Method;
  /** The draft's file, for `longspec` and `chain`; default `draft.safetensors` in the folder. */
  readonly draft?: string | undefined;
  /** Nodes a level of LongSpec's tree; default whichever pays. A chain is as long as it has levels, default 4. */
  readonly shape?: TreeShape | undefined;
}

export interface OpenTextModel extends TextModel, AsyncDisposable {
  readonly name: string;
  readonly loaded: LoadedDecoder<WeightValues>;
  /** Another way of guessing ahead with the same target. */
  openDrafter(options: Pick<TextModelOptions, 'method' | 'draft' | 'shape'>): Promise<Drafter>;
}

/** Where the trained model of this paper lies, beside the sources, and so one folder up from what is compiled. */
export const shippedFolder = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './weights/books-5m' : '../weights/books-5m', import.meta.url),
);

/** Throws the errors of `locateDecoder` and `readDraft`. */
export async function openTextModel(options: TextModelOptions): Promise<OpenTextModel> {
  const { device, folder } = options;
  if (folder === shippedFolder && !existsSync(folder))
    throw new DecodeError("this copy of the package has no model: name a Hugging Face folder with '--model'");
  const loaded = await locateDecoder(folder);
  const { model, weights, tokenizer, endTokens } = loaded;
  const target = await openCachedDecoder({ device, model, weights });
  const openDrafter: OpenTextModel['openDrafter'] = (asked) => openDrafterOf(device, loaded, target, asked);
  const drafter = await openDrafter(options);
  return {
    name: folder.split(/[\\/]/).findLast((part) => part !== '') ?? folder,
    loaded,
    target,
    tokenizer,
    endTokens,
    drafter,
    openDrafter,
    async [Symbol.asyncDispose]() {
      await drafter.dispose();
      await target.dispose();
    },
  };
}

async function openDrafterOf(
  device: Device,
  { folder, model, weights, config }: LoadedDecoder<WeightValues>,
  target: CachedDecoder,
  { method, draft: file, shape }: Pick<TextModelOptions, 'method' | 'draft' | 'shape'>,
): Promise<Drafter> {
  switch (method) {
    case 'vanilla':
      return vanilla;
    case 'lookup':
      return promptLookup();
    case 'magicdec':
      return magicDec({ target });
    case 'longspec':
    case 'chain': {
      const { draft, weights: draftWeights } = await readDraft(
        file ?? join(folder, 'draft.safetensors'),
        config,
      );
      const tree = method === 'chain' ? (shape ?? [1, 1, 1, 1]).map(() => 1) : shape;
      const name = method === 'chain' ? 'LongSpec, chain' : 'LongSpec';
      return openLongSpec({
        device,
        target: model,
        targetWeights: weights,
        draft,
        draftWeights,
        ...(tree && { shape: tree }),
        name,
      });
    }
  }
}
