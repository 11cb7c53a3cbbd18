import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readDecoder } from '@working-papers/models/decoder/folder';
import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { stateDict } from '@working-papers/nn/module';
import { ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { plainPositions } from '../positions.ts';
import { collect, openTarget, promptOf, tinyModels } from '../test/tiny.ts';
import { shippedFolder } from '../text-model.ts';
import { vanilla } from '../vanilla.ts';
import { ggufOf } from './gguf.ts';
import { huggingFaceOnnx } from './hugging-face-onnx.ts';
import { PeerError } from './peer-error.ts';
import { openPeers } from './peers.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

// rotary operators of ONNX Runtime want 16 numbers a head
const tiny = tinyModels({ head_dim: 16, max_position_embeddings: 64 });
const loaded = {
  config: tiny.target.config,
  model: tiny.target,
  weights: tiny.targetWeights,
} as LoadedDecoder;
const tokens = promptOf(11);

test('the ONNX graph gives the logits of the decoder, at once and after a cache', async () => {
  const { cos, sin } = ropeTables(tiny.target.config.rope, plainPositions(11));
  const batch = { tokens: ndarray(Int32Array.from(tokens), [1, 11], 'int32'), cos, sin };
  const forward = await device.compile((given) => tiny.target.forward(given.tokens, given), {
    inputs: [batch],
    weights: tiny.targetWeights,
  });
  const expected = toNumbers(await forward(batch));
  await forward.dispose();

  const session = await InferenceSession.create(huggingFaceOnnx(loaded));
  const row = (values: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const names = session.inputNames.filter((name) => name.startsWith('past'));
  assert.equal(names.length, 4);
  const nothing = Object.fromEntries(
    names.map((name) => [name, new Tensor('float32', new Float32Array(0), [1, 2, 0, 16])]),
  );
  const first = await session.run({
    input_ids: row(tokens.slice(0, 10)),
    attention_mask: row(Array(10).fill(1)),
    ...nothing,
  });
  const cache = Object.fromEntries(
    names.map((name) => [name, first[name.replace('past_key_values', 'present')]!]),
  );
  const second = await session.run({
    input_ids: row(tokens.slice(10)),
    attention_mask: row(Array(11).fill(1)),
    ...cache,
  });
  const found = [...(first.logits!.data as Float32Array), ...(second.logits!.data as Float32Array)];
  await session.release();
  assert.equal(found.length, expected.length);
  for (const [i, value] of found.entries())
    assert.ok(Math.abs(value - expected[i]!) < 1e-4, `${i}: ${value} for ${expected[i]}`);
});

/** The parts of a GGUF file, read by their lengths. */
function parse(bytes: Buffer) {
  let at = 0;
  const take = <T>(size: number, read: (at: number) => T): T => {
    at += size;
    return read(at - size);
  };
  const u32 = () => take(4, (i) => bytes.readUInt32LE(i));
  const u64 = () => Number(take(8, (i) => bytes.readBigUInt64LE(i)));
  const text = (): string => {
    const length = u64();
    return take(length, (i) => bytes.toString('utf8', i, i + length));
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return take(4, (i) => bytes.readInt32LE(i));
    if (type === 6) return take(4, (i) => bytes.readFloatLE(i));
    if (type === 8) return text();
    assert.equal(type, 9);
    const of = u32();
    return Array.from({ length: u64() }, () => value(of));
  };
  assert.equal(
    take(4, (i) => bytes.toString('latin1', i, i + 4)),
    'GGUF',
  );
  assert.equal(u32(), 3);
  const [tensorCount, fieldCount] = [u64(), u64()];
  const fields = new Map(Array.from({ length: fieldCount }, () => [text(), value(u32())] as const));
  const infos = Array.from({ length: tensorCount }, () => ({
    name: text(),
    shape: Array.from({ length: u32() }, u64),
    type: u32(),
    offset: u64(),
  }));
  const start = Math.ceil(at / 32) * 32;
  const tensors = new Map(
    infos.map(({ name, shape, type, offset }) => {
      assert.equal(type, 0);
      assert.equal(offset % 32, 0);
      const length = shape.reduce((a, b) => a * b, 1);
      const data = Array.from({ length }, (_, i) => bytes.readFloatLE(start + offset + 4 * i));
      return [name, { shape, data }] as const;
    }),
  );
  return { fields, tensors };
}

const tokenizer = {
  model: { type: 'BPE', vocab: { a: 2, b: 3, ab: 4 }, merges: [['a', 'b'] as const] },
  added_tokens: [{ id: 0, content: '<s>', special: true }],
};

test('GGUF: sizes, tokenizer, every tensor by its name, and the scores of rotary positions between neighbours', () => {
  const options = { tokenizer, bosToken: 0, eosToken: 1 };
  const { fields, tensors } = parse(Buffer.concat(ggufOf(loaded, options)));
  assert.equal(fields.get('general.architecture'), 'llama');
  assert.equal(fields.get('llama.attention.head_count_kv'), 2);
  assert.equal(fields.get('llama.context_length'), 64);
  assert.deepEqual(fields.get('tokenizer.ggml.merges'), ['a b']);
  const words = fields.get('tokenizer.ggml.tokens') as string[];
  assert.equal(words.length, 24);
  assert.deepEqual([words[0], words[2], words[4]], ['<s>', 'a', 'ab']);
  assert.equal((fields.get('tokenizer.ggml.token_type') as number[])[0], 3);

  const state = stateDict(loaded.model, loaded.weights);
  assert.equal(tensors.size, state.size);
  const down = tensors.get('blk.1.ffn_down.weight')!;
  assert.deepEqual(down.shape, [24, 16]);
  assert.deepEqual(down.data, [...state.get('model.layers.1.mlp.down_proj.weight')!.data].map(Number));

  const x = Array.from({ length: 16 }, (_, i) => Math.sin(i + 1));
  const rows = (data: ArrayLike<number | bigint>, head: number) =>
    Array.from({ length: 16 }, (_, r) =>
      x.reduce((sum, value, c) => sum + value * Number(data[(head * 16 + r) * 16 + c]), 0),
    );
  const turn = (
    values: readonly number[],
    position: number,
    pair: (i: number) => readonly [number, number],
  ) => {
    const out = [...values];
    for (let i = 0; i < 8; i++) {
      const angle = position * 10_000 ** (-i / 8);
      const [a, b] = pair(i);
      out[a] = values[a]! * Math.cos(angle) - values[b]! * Math.sin(angle);
      out[b] = values[b]! * Math.cos(angle) + values[a]! * Math.sin(angle);
    }
    return out;
  };
  const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const halves = (i: number) => [i, i + 8] as const;
  const pairs = (i: number) => [2 * i, 2 * i + 1] as const;
  const own = (name: string) => state.get(`model.layers.0.self_attn.${name}_proj.weight`)!.data;
  const theirs = (name: string) => tensors.get(`blk.0.attn_${name}.weight`)!.data;
  const expected = dot(turn(rows(own('q'), 3), 5, halves), turn(rows(own('k'), 1), 2, halves));
  const found = dot(turn(rows(theirs('q'), 3), 5, pairs), turn(rows(theirs('k'), 1), 2, pairs));
  assert.ok(Math.abs(found - expected) < 1e-4 * Math.abs(expected), `${found} for ${expected}`);
});

test('models that the other runtimes call or compute otherwise are refused', () => {
  const qwen = tinyModels({ model_type: 'qwen2' });
  const biased = { config: qwen.target.config, model: qwen.target, weights: qwen.targetWeights };
  const options = { tokenizer, bosToken: 0, eosToken: 1 };
  assert.throws(() => ggufOf(biased as LoadedDecoder, options), PeerError);
  assert.throws(() => huggingFaceOnnx(biased as LoadedDecoder), PeerError);
});

test('runtimes that are installed decode the same tokens; one that is not is named with the reason', async () => {
  const shipped = await readDecoder(shippedFolder);
  await using peers = await openPeers(shipped, 1);
  for (const { name, why } of peers.missing) assert.match(why, new RegExp(name));
  assert.equal(peers.list.length + peers.missing.length, 2);
  const target = await openTarget(device, { ...tiny, target: shipped.model, targetWeights: shipped.weights });
  const prompt = shipped.tokenizer.encode('It was a dark');
  const own = await collect({ target, drafter: vanilla, prompt, maxNewTokens: 6 });
  for (const peer of peers.list) {
    const found = await peer.decode({ prompt, newTokens: 6 });
    assert.deepEqual(found.tokens, own.tokens, peer.name);
    assert.ok(found.decodeMs > 0);
  }
});
