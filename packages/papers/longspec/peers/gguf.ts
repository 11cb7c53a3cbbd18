/**
 * A model as llama.cpp reads it: GGUF version 3 (github.com/ggml-org/ggml, docs/gguf.md), in float32. For comparison
 * with other runtimes; the tokenizer goes along because a file without one is refused.
 */

import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import { stateDict } from '@working-papers/nn/module';
import { type NdArray, ndarray } from '@working-papers/tensor';
import { PeerError } from './peer-error.ts';

const alignment = 32;
const utf8 = new TextEncoder();

/** Types of values, by GGUF's numbers. */
const types = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
const float32Tensor = 0;

/** Little-endian bytes, as they come. */
class Bytes {
  readonly parts: Uint8Array[] = [];
  length = 0;

  push(bytes: Uint8Array): this {
    this.parts.push(bytes);
    this.length += bytes.length;
    return this;
  }

  uint32 = (value: number) => this.push(new Uint8Array(Uint32Array.of(value).buffer));
  int32 = (value: number) => this.push(new Uint8Array(Int32Array.of(value).buffer));
  uint64 = (value: number) => this.push(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  float32 = (value: number) => this.push(new Uint8Array(Float32Array.of(value).buffer));
  bool = (value: boolean) => this.push(Uint8Array.of(Number(value)));
  string(value: string): this {
    const bytes = utf8.encode(value);
    return this.uint64(bytes.length).push(bytes);
  }

  pad(): this {
    return this.push(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }
}

/** Contents of a `tokenizer.json` of byte-level BPE. */
interface TokenizerJson {
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
  };
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
  }[];
}

export interface GgufOptions {
  readonly tokenizer: TokenizerJson;
  readonly bosToken: number;
  readonly eosToken: number;
}

/**
 * The file's bytes. Throws a PeerError for what llama.cpp calls otherwise or computes otherwise: biases, scaled
 * positions, tokenizers that are not byte-level BPE.
 */
export function ggufOf({ config, model, weights }: LoadedDecoder, options: GgufOptions): Uint8Array[] {
  if (config.qkvBias || config.outputBias || config.rope.scaling)
    throw new PeerError('GGUF is written for models of Llama’s without biases and scaled positions only');
  const { tokenizer, bosToken, eosToken } = options;
  if (tokenizer.model.merges === undefined)
    throw new PeerError('GGUF is written for byte-level BPE tokenizers only');

  const fields: [key: string, type: keyof typeof types, write: (to: Bytes) => void][] = [];
  const text = (key: string, value: string) => fields.push([key, 'string', (to) => to.string(value)]);
  const count = (key: string, value: number) => fields.push([key, 'uint32', (to) => to.uint32(value)]);
  const number = (key: string, value: number) => fields.push([key, 'float32', (to) => to.float32(value)]);
  const list = <T>(
    key: string,
    type: keyof typeof types,
    values: readonly T[],
    write: (to: Bytes, value: T) => void,
  ) =>
    fields.push([
      key,
      'array',
      (to) => {
        to.uint32(types[type]).uint64(values.length);
        for (const value of values) write(to, value);
      },
    ]);

  text('general.architecture', 'llama');
  count('general.alignment', alignment);
  count('llama.vocab_size', config.vocabSize);
  count('llama.context_length', config.maxPositions);
  count('llama.embedding_length', config.hiddenSize);
  count('llama.block_count', config.numLayers);
  count('llama.feed_forward_length', config.intermediateSize);
  count('llama.rope.dimension_count', config.headDim);
  number('llama.rope.freq_base', config.rope.theta);
  count('llama.attention.head_count', config.numHeads);
  count('llama.attention.head_count_kv', config.numKvHeads);
  count('llama.attention.key_length', config.headDim);
  count('llama.attention.value_length', config.headDim);
  number('llama.attention.layer_norm_rms_epsilon', config.normEpsilon);
  const { tokens, kinds } = vocabularyOf(tokenizer, config.vocabSize);
  text('tokenizer.ggml.model', 'gpt2');
  text('tokenizer.ggml.pre', 'gpt-2');
  list('tokenizer.ggml.tokens', 'string', tokens, (to, value) => to.string(value));
  list('tokenizer.ggml.token_type', 'int32', kinds, (to, value) => to.int32(value));
  const merges = tokenizer.model.merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' ')));
  list('tokenizer.ggml.merges', 'string', merges, (to, value) => to.string(value));
  count('tokenizer.ggml.bos_token_id', bosToken);
  count('tokenizer.ggml.eos_token_id', eosToken);

  const tensors = [...stateDict(model, weights)].map(([name, array]) => {
    const heads = name.endsWith('.q_proj.weight')
      ? config.numHeads
      : name.endsWith('.k_proj.weight')
        ? config.numKvHeads
        : undefined;
    return { name: ggufName(name), array: heads === undefined ? array : neighbours(array, heads) };
  });
  const head = new Bytes().push(utf8.encode('GGUF')).uint32(3).uint64(tensors.length).uint64(fields.length);
  for (const [key, type, write] of fields) {
    head.string(key).uint32(types[type]);
    write(head);
  }
  const data = new Bytes();
  for (const { name, array } of tensors) {
    head.string(name).uint32(array.shape.length);
    // the fastest dimension first
    for (const size of array.shape.toReversed()) head.uint64(size);
    head.uint32(float32Tensor).uint64(data.length);
    const values = Float32Array.from(array.data as Float32Array);
    data.push(new Uint8Array(values.buffer)).pad();
  }
  return [...head.pad().parts, ...data.parts];
}

function vocabularyOf({ model, added_tokens = [] }: TokenizerJson, size: number) {
  const tokens = Array.from({ length: size }, (_, i) => `[unused ${i}]`);
  const kinds = Array<number>(size).fill(1);
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  for (const { id, content, special } of added_tokens) {
    tokens[id] = content;
    kinds[id] = special ? 3 : 4;
  }
  return { tokens, kinds };
}

function ggufName(name: string): string {
  const [, layer, rest] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  if (layer === undefined) {
    const found = {
      'model.embed_tokens.weight': 'token_embd',
      'model.norm.weight': 'output_norm',
      'lm_head.weight': 'output',
    }[name];
    return `${found}.weight`;
  }
  const part = {
    input_layernorm: 'attn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    post_attention_layernorm: 'ffn_norm',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  }[rest!];
  return `blk.${layer}.${part}.weight`;
}

/** Rotary pairs are (i, i + dh/2) in Hugging Face's weights and neighbours in llama.cpp's: rows [H·dh, D] in that order. */
function neighbours({ data, shape }: NdArray, heads: number): NdArray {
  const [rows, columns] = shape as [number, number];
  const headDim = rows / heads;
  const moved = new Float32Array(rows * columns);
  for (let head = 0; head < heads; head++)
    for (let i = 0; i < headDim; i++) {
      const from = head * headDim + (i % 2) * (headDim / 2) + Math.floor(i / 2);
      const row = (data as Float32Array).subarray(from * columns, (from + 1) * columns);
      moved.set(row, (head * headDim + i) * columns);
    }
  return ndarray(moved, [rows, columns]);
}
