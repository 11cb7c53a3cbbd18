/** A folder as Hugging Face's libraries write and read it: configuration, weights, tokenizer. Node only. */

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@working-papers/nn/atomic';
import { loadStateDict, stateDict, stateShapes, type Weights } from '@working-papers/nn/module';
import type { FloatStorage } from '@working-papers/nn/safetensors';
import { openSafetensors, readMatching, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { ConfigError, type DecoderConfig, parseConfig, writeConfig } from './config.ts';
import { Decoder } from './decoder.ts';
import { TextTokenizer } from './tokenizer.ts';

/** A Hugging Face folder, read. */
export interface LoadedDecoder {
  readonly folder: string;
  readonly config: DecoderConfig;
  readonly model: Decoder;
  readonly weights: Weights;
  readonly tokenizer: TextTokenizer;
  /** Tokens that end a text: those of `generation_config.json`, else of `config.json`. */
  readonly endTokens: readonly number[];
}

/** A folder that lacks something, or has it in a format that is not read here. */
export class ModelFolderError extends Error {
  override readonly name = 'ModelFolderError';
}

/**
 * Reads `config.json`, `model.safetensors` or the shards of `model.safetensors.index.json`, `tokenizer.json` with
 * `tokenizer_config.json`, `generation_config.json` and `chat_template.jinja`. F32, F16 and BF16 become float32.
 * Throws a ModelFolderError or ConfigError that names the file, a SafetensorsError for a damaged or missing shard, and
 * a NameMismatchError that lists missing, unexpected and mis-shaped tensors.
 */
export async function readDecoder(folder: string): Promise<LoadedDecoder> {
  const configFile = join(folder, 'config.json');
  const json = await readJson(configFile);
  if (!json)
    throw new ModelFolderError(`${configFile} is not there: a folder of a Hugging Face model is needed`);
  const config = parseConfig(json, configFile);
  const model = new Decoder(config);
  const weights = await readWeights(folder, model);
  const generation = await readJson(join(folder, 'generation_config.json'));
  const endTokens = endTokensOf(generation, 'generation_config.json') ?? endTokensOf(json, configFile) ?? [];
  return { folder, config, model, weights, tokenizer: await readTokenizer(folder, config), endTokens };
}

async function readWeights(folder: string, model: Decoder): Promise<Weights> {
  const file = await weightsFile(folder);
  await refuseOtherDtypes(file);
  // PyTorch keeps a tied output layer beside the embedding, and old files their frequencies
  const rename = (name: string) =>
    name.endsWith('rotary_emb.inv_freq') || (model.config.tied && name === 'lm_head.weight')
      ? undefined
      : name;
  return loadStateDict(model, await readMatching(file, stateShapes(model), { rename, file }));
}

/** The safetensors file or index of a folder. */
async function weightsFile(folder: string): Promise<string> {
  for (const name of ['model.safetensors', 'model.safetensors.index.json']) {
    const file = join(folder, name);
    if (existsSync(file)) return file;
  }
  const pickle = (await readdir(folder)).find((name) => /\.(bin|pth?)$/.test(name));
  const found = pickle === undefined ? '' : `; ${pickle} is a pickle: convert to safetensors`;
  throw new ModelFolderError(
    `${folder} has no model.safetensors and no model.safetensors.index.json${found}`,
  );
}

async function refuseOtherDtypes(path: string): Promise<void> {
  await using file = await openSafetensors(path);
  for (const name of file.names) {
    const { dtype } = file.info(name);
    if (!['F32', 'F16', 'BF16'].includes(dtype) && !name.endsWith('inv_freq'))
      throw new ModelFolderError(`${path}: ${name} is stored as ${dtype}, expected F32, F16 or BF16`);
  }
}

/** The tokenizer of a folder. Throws a ModelFolderError where it is not there or has tokens that the model has not. */
export async function readTokenizer(folder: string, config?: DecoderConfig): Promise<TextTokenizer> {
  const file = join(folder, 'tokenizer.json');
  const json = await readJson(file);
  if (!json) {
    const old = existsSync(join(folder, 'tokenizer.model'))
      ? ': tokenizer.model is SentencePiece, convert it with transformers (save_pretrained of the fast tokenizer)'
      : '';
    throw new ModelFolderError(`${file} is not there${old}`);
  }
  const more = (await readJson(join(folder, 'tokenizer_config.json'))) ?? {};
  const template = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined);
  const tokenizer = new TextTokenizer(
    json,
    template === undefined ? more : { ...more, chat_template: template },
  );
  if (config && tokenizer.size > config.vocabSize)
    throw new ModelFolderError(
      `${file} has ${tokenizer.size} tokens, the model of ${join(folder, 'config.json')} has ${config.vocabSize}`,
    );
  return tokenizer;
}

type Json = { readonly [key: string]: unknown };

/** `undefined` for a file that is not there. */
async function readJson(path: string): Promise<Json | undefined> {
  if (!existsSync(path)) return undefined;
  try {
    const json: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Json;
  } catch (error) {
    throw new ModelFolderError(`${path} is not JSON: ${(error as Error).message}`);
  }
  throw new ModelFolderError(`${path} is not a JSON object`);
}

function endTokensOf(json: Json | undefined, file: string): readonly number[] | undefined {
  const value = json?.eos_token_id;
  if (value == null) return undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((id) => Number.isInteger(id)))
    throw new ConfigError(file, 'eos_token_id', value, 'a token id or a list of them');
  return list as number[];
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
