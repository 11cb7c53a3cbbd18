import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { encodeSafetensors, type FloatStorage } from '@working-papers/nn/safetensors';
import { isFileArray, type NdArray, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { referenceLogits } from '../../test/decoder-reference.ts';
import { trainByteBpe } from './byte-bpe.ts';
import { openCachedDecoder } from './cached-decoder.ts';
import { locateDecoder, readDecoder, writeDecoder } from './folder.ts';

const device = await openDevice({ threads: 1 });
const root = await mkdtemp(join(tmpdir(), 'decoder-'));
after(async () => {
  await device.close();
  await rm(root, { recursive: true });
});

const vocabulary = trainByteBpe(['one two one two three '.repeat(20)], { vocabSize: 262 });
const sizes = { vocab: 270, hidden: 16, inner: 20, layers: 2, heads: 4, kvHeads: 2, headDim: 4 };

/** Tensors by Hugging Face's names and shapes, written out. */
function tensors(
  options: { readonly qkvBias?: boolean; readonly tied?: boolean } = {},
): Map<string, NdArray> {
  const { vocab, hidden, inner, layers, heads, kvHeads, headDim } = sizes;
  const random = new Random(5);
  const made = new Map<string, NdArray>();
  const add = (name: string, shape: readonly number[], std = 0.3, mean = 0) => {
    const count = shape.reduce((a, b) => a * b);
    // halves, so that F16 and BF16 hold them exactly
    const values = random.normals(count, mean, std).map((value) => Math.round(value * 64) / 64);
    made.set(name, ndarray(values, shape));
  };
  add('model.embed_tokens.weight', [vocab, hidden], 1);
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}`;
    add(`${at}.input_layernorm.weight`, [hidden], 0.2, 1);
    add(`${at}.post_attention_layernorm.weight`, [hidden], 0.2, 1);
    for (const [name, rows] of [
      ['q', heads * headDim],
      ['k', kvHeads * headDim],
      ['v', kvHeads * headDim],
    ] as const) {
      add(`${at}.self_attn.${name}_proj.weight`, [rows, hidden]);
      if (options.qkvBias) add(`${at}.self_attn.${name}_proj.bias`, [rows]);
    }
    add(`${at}.self_attn.o_proj.weight`, [hidden, heads * headDim]);
    add(`${at}.mlp.gate_proj.weight`, [inner, hidden]);
    add(`${at}.mlp.up_proj.weight`, [inner, hidden]);
    add(`${at}.mlp.down_proj.weight`, [hidden, inner]);
  }
  add('model.norm.weight', [hidden], 0.2, 1);
  if (!options.tied) add('lm_head.weight', [vocab, hidden]);
  return made;
}

const config = {
  model_type: 'llama',
  vocab_size: sizes.vocab,
  hidden_size: sizes.hidden,
  intermediate_size: sizes.inner,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  num_key_value_heads: sizes.kvHeads,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 512,
  eos_token_id: 1,
};

interface FolderOptions {
  readonly config: object;
  readonly weights: ReadonlyMap<string, NdArray>;
  readonly storage?: FloatStorage;
  readonly shards?: number;
  readonly files?: { readonly [name: string]: string | Uint8Array };
}

let count = 0;

async function folderOf({ config, weights, storage = 'F32', shards = 1, files = {} }: FolderOptions) {
  const folder = join(root, String(count++));
  await mkdir(folder);
  const write = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content);
  await write('config.json', JSON.stringify(config));
  await write('tokenizer.json', JSON.stringify(vocabulary));
  const entries = [...weights];
  if (shards === 1)
    await write(
      'model.safetensors',
      encodeSafetensors(weights, { float32As: storage, metadata: { format: 'pt' } }),
    );
  else {
    const weightMap: { [name: string]: string } = {};
    for (let shard = 0; shard < shards; shard++) {
      const name = `model-${shard + 1}-of-${shards}.safetensors`;
      const part = new Map(entries.filter((_, i) => i % shards === shard));
      for (const key of part.keys()) weightMap[key] = name;
      await write(name, encodeSafetensors(part, { float32As: storage }));
    }
    await write('model.safetensors.index.json', JSON.stringify({ metadata: {}, weight_map: weightMap }));
  }
  for (const [name, content] of Object.entries(files)) await write(name, content);
  return folder;
}

const tokens = [0, 17, 260, 33, 5, 120, 261, 44, 44, 2];

const llama3 = {
  rope_type: 'llama3',
  factor: 4,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};

const cases: (FolderOptions & {
  readonly name: string;
  readonly angle: (position: number, i: number) => number;
  readonly ropeFactor?: number;
})[] = [
  {
    name: 'Llama 3: scaled rotary positions, output layer apart',
    config: { ...config, rope_theta: 500, rope_scaling: llama3 },
    weights: tensors(),
    // wavelengths 2π and 2π √500 = 140, against 8 and 32
    angle: (position, i) => position * [1, 1 / Math.sqrt(500) / 4][i]!,
  },
  {
    name: 'Qwen2: biases, yarn, BF16',
    config: {
      ...config,
      model_type: 'qwen2',
      rope_scaling: { type: 'yarn', factor: 2, original_max_position_embeddings: 4096 },
    },
    weights: tensors({ qkvBias: true }),
    storage: 'BF16',
    // c(32) = 0.65 → 0, c(1) = 1.41 → 2: half of the way for i = 1
    angle: (position, i) => position * [1, 0.01 * 0.5 + 0.005 * 0.5][i]!,
    ropeFactor: 0.1 * Math.log(2) + 1,
  },
  {
    name: 'three shards, tied, F16',
    config: { ...config, tie_word_embeddings: true },
    weights: tensors({ tied: true }),
    storage: 'F16',
    shards: 3,
    angle: (position, i) => position * [1, 0.01][i]!,
  },
];

for (const each of cases) {
  test(`${each.name}: the logits of the formulas`, async () => {
    const folder = await folderOf(each);
    const read = await readDecoder(folder);
    assert.deepEqual(read.endTokens, [1]);
    const located = await locateDecoder(folder);
    assert.ok([...located.weights.values()].every(isFileArray));
    const { layers, heads, kvHeads, headDim } = sizes;
    const shape = { layers, heads, kvHeads, headDim };
    const { angle, ropeFactor = 1 } = each;
    const numbers = new Map(
      [...each.weights].map(([key, w]) => [key, { shape: w.shape, data: toNumbers(w) }]),
    );
    const reference = { ...shape, weights: numbers, epsilon: 1e-5, angle, ropeFactor };
    const expected = referenceLogits(reference, tokens);
    const logits: number[][] = [];
    for (const { model, weights } of [read, located]) {
      const decoder = await openCachedDecoder({ device, model, weights });
      const cache = await decoder.createCache(32);
      using result = await decoder.step(cache, { tokens, read: tokens.map((_, i) => i) });
      logits.push(toNumbers(await result.logits.read()));
      await decoder.dispose();
    }
    const worst = Math.max(...expected.flat().map((value, i) => Math.abs(value - logits[0]![i]!)));
    assert.ok(worst < 1e-4, `differs by ${worst}`);
    assert.deepEqual(logits[1], logits[0], 'weights in files give the same bits');
  });
}

test('a folder that lacks something is refused with the name of it', async () => {
  const weights = tensors();
  const read = async (options: Partial<FolderOptions>) =>
    readDecoder(await folderOf({ config, weights, ...options }));
  const without = (name: string) => new Map([...weights].filter(([key]) => key !== name));
  await assert.rejects(
    read({ weights: without('model.layers.1.mlp.up_proj.weight') }),
    /1 missing: model\.layers\.1\.mlp\.up_proj\.weight$/,
  );
  const wrong = new Map(weights).set('model.norm.weight', ndarray([1, 2], [2]));
  await assert.rejects(read({ weights: wrong }), /model\.norm\.weight: found \[2\], expected \[16\]/);
  await assert.rejects(
    read({ config: { ...config, model_type: 'qwen2' } }),
    /6 missing: model\.layers\.0\.self_attn\.q_proj\.bias/,
  );
  const bytes = new Map(weights).set('model.norm.weight', ndarray([...Array(16).fill(1)], [16], 'int8'));
  await assert.rejects(
    read({ weights: bytes }),
    /model\.norm\.weight is stored as I8, expected F32, F16 or BF16/,
  );
  const sharded = await folderOf({ config, weights, shards: 2 });
  await rm(join(sharded, 'model-2-of-2.safetensors'));
  await assert.rejects(readDecoder(sharded), /model-2-of-2\.safetensors/);
  const pickled = await folderOf({ config, weights, files: { 'pytorch_model.bin': '' } });
  await rm(join(pickled, 'model.safetensors'));
  await assert.rejects(readDecoder(pickled), /pytorch_model\.bin is a pickle: convert to safetensors/);
  await assert.rejects(readDecoder(join(root, 'nowhere')), /config\.json is not there/);
  const silent = await folderOf({ config, weights, files: { 'tokenizer.model': '' } });
  await rm(join(silent, 'tokenizer.json'));
  await assert.rejects(
    readDecoder(silent),
    /tokenizer\.json is not there: tokenizer\.model is SentencePiece/,
  );
  await assert.rejects(
    read({ files: { 'generation_config.json': '{' } }),
    /generation_config\.json is not JSON/,
  );
});

test('end tokens: the generation configuration goes before the model’s, and may be a list', async () => {
  const files = { 'generation_config.json': '{"eos_token_id": [1, 7]}' };
  const { endTokens } = await readDecoder(await folderOf({ config, weights: tensors(), files }));
  assert.deepEqual(endTokens, [1, 7]);
});

test('a folder that is written is read back', async () => {
  const first = await readDecoder(await folderOf({ ...cases[0]! }));
  const folder = join(root, 'written');
  const { model, weights } = first;
  await writeDecoder(folder, {
    model,
    weights,
    tokenizer: vocabulary,
    bosToken: 0,
    eosToken: 1,
    storage: 'F32',
  });
  const second = await readDecoder(folder);
  assert.deepEqual(second.config, first.config);
  assert.deepEqual(
    [...second.weights.values()].map(({ data }) => data),
    [...weights.values()].map(({ data }) => data),
  );
  assert.deepEqual(second.tokenizer.encode('one two'), first.tokenizer.encode('one two'));
});
