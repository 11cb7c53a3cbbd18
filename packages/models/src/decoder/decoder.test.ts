import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize } from '@working-papers/nn/module';
import { type NdArray, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { openCachedDecoder, visibility } from './cached-decoder.ts';
import { parseConfig } from './config.ts';
import { Decoder } from './decoder.ts';
import { ropeTables } from './rope.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const tiny = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 24,
  intermediate_size: 32,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
};

const distance = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length
    ? Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))
    : Number.POSITIVE_INFINITY;

function setUp(json: object) {
  const model = new Decoder(parseConfig(json));
  return { model, weights: initialize(model, 3) };
}

const tokensOf = (count: number, vocab = 40): number[] =>
  Array.from({ length: count }, (_, i) => (i * i * 7 + i * 3 + 1) % vocab);

/** Logits [T, V] without cache. */
async function plain(
  { model, weights }: ReturnType<typeof setUp>,
  tokens: readonly number[],
): Promise<number[][]> {
  const { cos, sin } = ropeTables(
    model.config.rope,
    tokens.map((_, i) => i),
  );
  const ids = ndarray(tokens, [1, tokens.length], 'int32');
  const run = await device.compile((t, cos, sin) => model.forward(t, { cos, sin }), {
    inputs: [ids, cos, sin] as const,
    weights,
  });
  const logits = toNumbers(await run(ids, cos, sin));
  await run.dispose();
  const { vocabSize } = model.config;
  return tokens.map((_, i) => logits.slice(i * vocabSize, (i + 1) * vocabSize));
}

const rowsOf = (array: NdArray): number[][] => {
  const width = array.shape[1]!;
  const numbers = toNumbers(array);
  return Array.from({ length: array.shape[0]! }, (_, i) => numbers.slice(i * width, (i + 1) * width));
};

test('blocks and single tokens after a cache give the logits of one pass, across chunks', async () => {
  const biased = { ...tiny, model_type: 'qwen2', tie_word_embeddings: true };
  // in two graphs, and in the one that large models have
  for (const [json, twiceUpTo] of [
    [tiny, 1e9],
    [tiny, 0],
    [biased, 1e9],
    [biased, 0],
  ] as const) {
    const made = setUp(json);
    const tokens = tokensOf(530);
    const expected = await plain(made, tokens);
    const decoder = await openCachedDecoder({ device, ...made, twiceUpTo });
    const cache = await decoder.createCache(600);
    const prompt = tokens.slice(0, 508);
    using first = await decoder.prefill(cache, prompt, { block: 200 });
    assert.ok(distance(rowsOf(await first.logits.read())[0]!, expected[507]!) < 1e-4);
    for (let at = 508; at < tokens.length; at++) {
      using next = await decoder.step(cache, { tokens: [tokens[at]!] });
      const row = rowsOf(await next.logits.read())[0]!;
      assert.ok(distance(row, expected[at]!) < 1e-4, `token ${at}: ${distance(row, expected[at]!)}`);
      assert.equal(next.best[0], row.indexOf(Math.max(...row)));
      await cache.append(next.keys, next.values, [0]);
    }
    assert.equal(cache.length, 530);
    await cache.dispose();
    await decoder.dispose();
  }
});

test('each node of a tree gets the logits of a plain pass over its path', async () => {
  const made = setUp(tiny);
  const decoder = await openCachedDecoder({ device, ...made });
  const prompt = tokensOf(20);
  const cache = await decoder.createCache(64);
  (await decoder.prefill(cache, prompt))[Symbol.dispose]();
  const [tokens, parents] = [
    [5, 9, 13, 2, 30, 31],
    [-1, 0, 0, 1, 1, 4],
  ];
  const path = (node: number): number[] => (node < 0 ? [] : [...path(parents[node]!), node]);
  using result = await decoder.step(cache, {
    tokens,
    positions: tokens.map((_, i) => 20 + path(i).length - 1),
    bias: visibility(6, 6, (query, key) => path(query).includes(key)),
    read: [0, 1, 2, 3, 4, 5],
  });
  const rows = rowsOf(await result.logits.read());
  for (const [node, row] of rows.entries()) {
    const expected = (await plain(made, [...prompt, ...path(node).map((i) => tokens[i]!)])).at(-1)!;
    assert.ok(distance(row, expected) < 1e-4, `node ${node}`);
  }
  // the path 0, 1, 4 taken into the cache is what a prompt with these tokens leaves there
  await cache.append(result.keys, result.values, [0, 1, 4]);
  using next = await decoder.step(cache, { tokens: [7] });
  const expected = await plain(made, [...prompt, 5, 9, 30, 7]);
  assert.ok(distance(rowsOf(await next.logits.read())[0]!, expected.at(-1)!) < 1e-4);
});

test('shared key heads are key heads repeated', async () => {
  const grouped = setUp(tiny);
  const wide = setUp({ ...tiny, num_key_value_heads: 4 });
  const dim = 6;
  const byName = new Map(
    [...grouped.model.namedWeights()].map(([name, w]) => [name, grouped.weights.get(w)!]),
  );
  for (const [name, weight] of wide.model.namedWeights()) {
    const value = byName.get(name)!;
    const repeated = /\.[kv]_proj\.weight$/.test(name)
      ? Array.from({ length: 4 }, (_, head) => {
          const from = Math.floor(head / 2) * dim * 24;
          return toNumbers(value).slice(from, from + dim * 24);
        }).flat()
      : toNumbers(value);
    wide.weights.set(weight, ndarray(repeated, weight.shape as number[]));
  }
  const [a, b] = [await plain(grouped, tokensOf(12)), await plain(wide, tokensOf(12))];
  assert.ok(distance(a.flat(), b.flat()) < 1e-5);
});
