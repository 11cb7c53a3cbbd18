/** A folder as Hugging Face's libraries write and read it: configuration, weights, tokenizer. Node only. */

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@working-papers/nn/atomic';
import { stateDict, type Weights } from '@working-papers/nn/module';
import type { FloatStorage } from '@working-papers/nn/safetensors';
import { diskSource, writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { WeightValues } from '@working-papers/tensor';
import { writeConfig } from './config.ts';
import type { Decoder } from './decoder.ts';
import { type LoadedDecoder, locateDecoderFrom, type ModelFiles, readDecoderFrom } from './model-files.ts';

/** A folder on disk; one that is not there has no files. */
export async function diskFiles(folder: string): Promise<ModelFiles> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  return { folder, names, path: (name) => join(folder, name), open: diskSource };
}

/** `readDecoderFrom` of a folder on disk. */
export async function readDecoder(folder: string): Promise<LoadedDecoder> {
  return readDecoderFrom(await diskFiles(folder));
}

/** `locateDecoderFrom` of a folder on disk. */
export async function locateDecoder(folder: string): Promise<LoadedDecoder<WeightValues>> {
  return locateDecoderFrom(await diskFiles(folder));
}

/** What `writeDecoder` makes a Hugging Face folder of. */
export interface SavedDecoder {
  readonly model: Decoder;
  readonly weights: Weights;
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: object;
  /** Contents of `tokenizer_config.json`. */
  readonly tokenizerConfig?: object;
  readonly bosToken: number;
  readonly eosToken: number;
  readonly storage?: FloatStorage;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes a folder that `readDecoder` and Hugging Face's libraries read. */
export async function writeDecoder(folder: string, saved: SavedDecoder): Promise<void> {
  const { model, weights, tokenizer, tokenizerConfig = {}, bosToken, eosToken, storage = 'F16' } = saved;
  await mkdir(folder, { recursive: true });
  const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
  const ends = { bos_token_id: bosToken, eos_token_id: eosToken };
  const torchType = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[storage];
  const files = {
    'config.json': writeConfig(model.config, { ...ends, torch_dtype: torchType }),
    'generation_config.json': json(ends),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json(tokenizerConfig),
  };
  for (const [name, content] of Object.entries(files)) await writeAtomically(join(folder, name), [content]);
  await writeSafetensors(join(folder, 'model.safetensors'), stateDict(model, weights), {
    float32As: storage,
    metadata: { format: 'pt', ...saved.metadata },
  });
}
