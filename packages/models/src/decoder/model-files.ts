/** A Hugging Face model read from its files, wherever they are. */

import { loadStateDict, stateShapes, type Weights } from '@working-papers/nn/module';
import {
  blobSource,
  locateMatchingFrom,
  type OpenBytes,
  openCheckpoint,
  readMatchingFrom,
} from '@working-papers/nn/safetensors-reader';
import type { WeightValues } from '@working-papers/tensor';
import { ConfigError, type DecoderConfig, parseConfig } from './config.ts';
import { Decoder } from './decoder.ts';
import { TextTokenizer } from './tokenizer.ts';

/** The files of a folder, wherever it is: on a disk, or picked by a reader of a page. */
export interface ModelFiles {
  /** As errors call it. */
  readonly folder: string;
  readonly names: readonly string[];
  /** Of a file by its name: what errors call it, and what `open` takes. */
  path(name: string): string;
  readonly open: OpenBytes;
}

/** Files in memory, or those that a reader picked: a blob's bytes are read when they are asked for. */
export function blobFiles(folder: string, blobs: ReadonlyMap<string, Blob>): ModelFiles {
  return {
    folder,
    names: [...blobs.keys()],
    path: (name) => name,
    async open(name) {
      const blob = blobs.get(name);
      if (!blob) throw new ModelFolderError(`${name} is not there`);
      return blobSource(blob);
    },
  };
}

/** A Hugging Face model, read. */
export interface LoadedDecoder<W extends WeightValues = Weights> {
  readonly folder: string;
  readonly config: DecoderConfig;
  readonly model: Decoder;
  readonly weights: W;
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
export function readDecoderFrom(files: ModelFiles): Promise<LoadedDecoder> {
  return readWith(files, async (model, file, rename) =>
    loadStateDict(model, await readMatchingFrom(file, files.open, stateShapes(model), { rename, file })),
  );
}

/**
 * As `readDecoderFrom`, but weights stay in their files where a device can map them: a model is in memory once, however
 * large, and is there for compiled functions alone.
 */
export function locateDecoderFrom(files: ModelFiles): Promise<LoadedDecoder<WeightValues>> {
  return readWith(files, async (model, file, rename) =>
    loadStateDict(model, await locateMatchingFrom(file, files.open, stateShapes(model), { rename, file })),
  );
}

type Rename = (name: string) => string | undefined;

async function readWith<W extends WeightValues>(
  files: ModelFiles,
  readWeights: (model: Decoder, file: string, rename: Rename) => Promise<W>,
): Promise<LoadedDecoder<W>> {
  const configFile = files.path('config.json');
  const json = await readJson(files, 'config.json');
  if (!json)
    throw new ModelFolderError(`${configFile} is not there: a folder of a Hugging Face model is needed`);
  const config = parseConfig(json, configFile);
  const model = new Decoder(config);
  const weightFile = weightsFile(files);
  await refuseOtherDtypes(weightFile, files.open);
  const weights = await readWeights(model, weightFile, (name) => ownName(config, name));
  const generation = await readJson(files, 'generation_config.json');
  const endTokens = endTokensOf(generation, 'generation_config.json') ?? endTokensOf(json, configFile) ?? [];
  const tokenizer = await readTokenizer(files, config);
  return { folder: files.folder, config, model, weights, tokenizer, endTokens };
}

/** PyTorch keeps a tied output layer beside the embedding, and old files their frequencies. */
function ownName({ tied }: DecoderConfig, name: string): string | undefined {
  return name.endsWith('rotary_emb.inv_freq') || (tied && name === 'lm_head.weight') ? undefined : name;
}

/** The safetensors file or index of a folder. */
function weightsFile({ folder, names, path }: ModelFiles): string {
  const here = ['model.safetensors', 'model.safetensors.index.json'].find((name) => names.includes(name));
  if (here !== undefined) return path(here);
  const pickle = names.find((name) => /\.(bin|pth?)$/.test(name));
  const found = pickle === undefined ? '' : `; ${pickle} is a pickle: convert to safetensors`;
  throw new ModelFolderError(
    `${folder} has no model.safetensors and no model.safetensors.index.json${found}`,
  );
}

async function refuseOtherDtypes(path: string, open: OpenBytes): Promise<void> {
  await using file = await openCheckpoint(path, open);
  for (const name of file.names) {
    const { dtype } = file.info(name);
    if (!['F32', 'F16', 'BF16'].includes(dtype) && !name.endsWith('inv_freq'))
      throw new ModelFolderError(`${path}: ${name} is stored as ${dtype}, expected F32, F16 or BF16`);
  }
}

/** The tokenizer of a folder; where it has tokens that the model has not, it is another model's. */
async function readTokenizer(files: ModelFiles, config: DecoderConfig): Promise<TextTokenizer> {
  const file = files.path('tokenizer.json');
  const json = await readJson(files, 'tokenizer.json');
  if (!json) {
    const old = files.names.includes('tokenizer.model')
      ? ': tokenizer.model is SentencePiece, convert it with transformers (save_pretrained of the fast tokenizer)'
      : '';
    throw new ModelFolderError(`${file} is not there${old}`);
  }
  const more = (await readJson(files, 'tokenizer_config.json')) ?? {};
  const template = await readText(files, 'chat_template.jinja');
  const tokenizer = openTokenizer(
    file,
    json,
    template === undefined ? more : { ...more, chat_template: template },
  );
  if (tokenizer.size > config.vocabSize)
    throw new ModelFolderError(
      `${file} has ${tokenizer.size} tokens, the model of ${files.path('config.json')} has ${config.vocabSize}`,
    );
  return tokenizer;
}

/** The library's own errors name no file. */
function openTokenizer(file: string, json: Json, config: Json): TextTokenizer {
  try {
    return new TextTokenizer(json, config);
  } catch (error) {
    throw new ModelFolderError(`${file} is no tokenizer: ${(error as Error).message}`);
  }
}

type Json = { readonly [key: string]: unknown };

/** `undefined` for a file that is not there. */
async function readText({ names, path, open }: ModelFiles, name: string): Promise<string | undefined> {
  if (!names.includes(name)) return undefined;
  const source = await open(path(name));
  const bytes = await source.read(0, source.size);
  await source.close();
  return new TextDecoder().decode(bytes);
}

/** `undefined` for a file that is not there. */
async function readJson(files: ModelFiles, name: string): Promise<Json | undefined> {
  const text = await readText(files, name);
  if (text === undefined) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Json;
  } catch (error) {
    throw new ModelFolderError(`${files.path(name)} is not JSON: ${(error as Error).message}`);
  }
  throw new ModelFolderError(`${files.path(name)} is not a JSON object`);
}

function endTokensOf(json: Json | undefined, file: string): readonly number[] | undefined {
  const value = json?.eos_token_id;
  if (value == null) return undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((id) => Number.isInteger(id)))
    throw new ConfigError(file, 'eos_token_id', value, 'a token id or a list of them');
  return list as number[];
}
