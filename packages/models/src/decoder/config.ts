/** `config.json` of decoders of the Llama family, as Hugging Face writes it. */

import { parseRope, type Rope, RopeError } from './rope.ts';

/** Which relatives differ in more than numbers. */
export type DecoderFamily = 'llama' | 'qwen2' | 'mistral';

/** A decoder's sizes and variants, read from a `config.json`. */
export interface DecoderConfig {
  readonly family: DecoderFamily;
  readonly vocabSize: number;
  /** D. */
  readonly hiddenSize: number;
  /** F. */
  readonly intermediateSize: number;
  readonly numLayers: number;
  /** H. */
  readonly numHeads: number;
  /** Hkv: query head h uses key head ⌊h / (H / Hkv)⌋. */
  readonly numKvHeads: number;
  /** dh. */
  readonly headDim: number;
  readonly normEpsilon: number;
  readonly rope: Rope;
  /** Most positions that the model was made for. */
  readonly maxPositions: number;
  /** Biases of q, k and v. */
  readonly qkvBias: boolean;
  /** A bias of o. */
  readonly outputBias: boolean;
  /** The embedding is the output layer too. */
  readonly tied: boolean;
}

/** A field that is wrong or asks for what is not supported: names the file, the field, what is there and what may be. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(file: string, field: string, found: unknown, expected: string) {
    super(`${file}: ${field} is ${JSON.stringify(found)}, expected ${expected}`);
  }
}

type Json = { readonly [key: string]: unknown };

/** Numbers of a JSON object with their checks. */
function fields(json: Json, file: string) {
  const wrong = (key: string, expected: string): never => {
    throw new ConfigError(file, key, json[key], expected);
  };
  const number = (
    key: string,
    fallback: number | undefined,
    isRight: (n: number) => boolean,
    what: string,
  ) => {
    const value = json[key] ?? fallback;
    return typeof value === 'number' && isRight(value) ? value : wrong(key, what);
  };
  return {
    wrong,
    count: (key: string, fallback?: number) =>
      number(key, fallback, (n) => Number.isInteger(n) && n > 0, 'a positive integer'),
    positive: (key: string, fallback?: number) => number(key, fallback, (n) => n > 0, 'a positive number'),
    flag(key: string, fallback: boolean): boolean {
      const value = json[key] ?? fallback;
      return typeof value === 'boolean' ? value : wrong(key, 'true or false');
    },
  };
}

const families: readonly string[] = ['llama', 'qwen2', 'mistral'] satisfies DecoderFamily[];

/**
 * The model that a `config.json` describes. Throws a ConfigError for a field that is wrong, and for what would need
 * another computation than this decoder's: other model types, quantised weights, sliding windows, biases of the MLP.
 */
export function parseConfig(json: unknown, file = 'config.json'): DecoderConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new ConfigError(file, 'content', json, 'an object');
  const config = json as Json;
  const { wrong, count, positive, flag } = fields(config, file);
  if (typeof config.model_type !== 'string' || !families.includes(config.model_type))
    wrong('model_type', `one of ${families.join(', ')}`);
  const family = config.model_type as DecoderFamily;
  if (config.quantization_config != null) wrong('quantization_config', 'none: weights of F32, F16 or BF16');
  if (config.use_sliding_window === true) wrong('use_sliding_window', 'false');
  if (family === 'mistral' && config.sliding_window != null) wrong('sliding_window', 'null');
  if ((config.hidden_act ?? 'silu') !== 'silu') wrong('hidden_act', '"silu"');
  if (flag('mlp_bias', false)) wrong('mlp_bias', 'false');

  const hiddenSize = count('hidden_size');
  const numHeads = count('num_attention_heads');
  const numKvHeads = count('num_key_value_heads', numHeads);
  if (numHeads % numKvHeads !== 0) wrong('num_key_value_heads', `a divisor of ${numHeads}`);
  const headDim = count('head_dim', hiddenSize / numHeads);
  if (headDim % 2 !== 0) wrong('head_dim', 'an even number');
  const bias = flag('attention_bias', family === 'qwen2');
  const positions = count('max_position_embeddings', 2048);
  return {
    family,
    vocabSize: count('vocab_size'),
    hiddenSize,
    intermediateSize: count('intermediate_size'),
    numLayers: count('num_hidden_layers'),
    numHeads,
    numKvHeads,
    headDim,
    normEpsilon: positive('rms_norm_eps', 1e-6),
    ...ropeOf(config, headDim, positions, file),
    qkvBias: family === 'qwen2' || bias,
    outputBias: family === 'llama' && bias,
    tied: flag('tie_word_embeddings', false),
  };
}

function ropeOf(
  config: Json,
  headDim: number,
  positions: number,
  file: string,
): { readonly rope: Rope; readonly maxPositions: number } {
  try {
    return parseRope(config, headDim, positions);
  } catch (error) {
    if (error instanceof RopeError) throw new ConfigError(file, error.field, error.found, error.expected);
    throw error;
  }
}

/** The `config.json` of a model of ours, which Hugging Face's libraries read. */
export function writeConfig(config: DecoderConfig, more: Json = {}): string {
  const { rope } = config;
  const architectures = {
    llama: 'LlamaForCausalLM',
    qwen2: 'Qwen2ForCausalLM',
    mistral: 'MistralForCausalLM',
  };
  const json = {
    architectures: [architectures[config.family]],
    model_type: config.family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    rms_norm_eps: config.normEpsilon,
    rope_theta: rope.theta,
    ...(rope.scaling && { rope_scaling: rope.scaling }),
    max_position_embeddings: rope.modelPositions,
    ...(config.family !== 'qwen2' && { attention_bias: config.qkvBias }),
    tie_word_embeddings: config.tied,
    torch_dtype: 'float32',
    ...more,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
