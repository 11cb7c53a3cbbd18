import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDevice, toNumbers } from '@working-papers/tensor';
import { DecodeError, decode } from './decode.ts';
import type { Drafter } from './drafter.ts';
import { checkDraftFits, draftBytes, openLongSpec } from './longspec.ts';
import { magicDec } from './magicdec.ts';
import { promptLookup } from './prompt-lookup.ts';
import { collect, openTarget, promptOf, tinyModels } from './test/tiny.ts';
import { chainTree, depths, type TokenTree } from './tree.ts';
import { defaultShapes } from './tree-choice.ts';
import { vanilla } from './vanilla.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const tiny = tinyModels();
const target = await openTarget(device, tiny);

const { target: model, targetWeights, draft, draftWeights } = tiny;
const withShape = (shape?: readonly number[]) =>
  openLongSpec({ device, target: model, targetWeights, draft, draftWeights, ...(shape && { shape }) });

/** Proposes given trees, one a round. */
function scripted(trees: (text: readonly number[]) => TokenTree): Drafter {
  return {
    name: 'scripted',
    start: async (text) => ({
      propose: async () => trees(text.tokens),
      accept: async () => {},
      dispose: async () => {},
    }),
    dispose: async () => {},
  };
}

const drafters: Drafter[] = [
  await withShape(),
  await withShape([2, 2, 2, 1]),
  await withShape([1, 1, 1, 1]),
  await withShape([4, 16, 16, 16, 16]),
  promptLookup(),
  magicDec({ target, first: 2, last: 6 }),
];

test('every drafter emits what vanilla decoding emits, greedily and with a seed', async () => {
  for (const [i, length] of [1, 7, 516].entries()) {
    for (const sampling of [
      {},
      { temperature: 1, seed: i + 1 },
      { temperature: 0.7, topK: 5, topP: 0.9, seed: 3 },
    ]) {
      const options = { target, prompt: promptOf(length, i), maxNewTokens: 14, ...sampling };
      const expected = await collect({ ...options, drafter: vanilla });
      assert.equal(expected.summary.forwards, 14);
      for (const drafter of drafters) {
        const { tokens, summary } = await collect({ ...options, drafter });
        assert.deepEqual(
          tokens,
          expected.tokens,
          `${drafter.name}, prompt of ${length}, ${JSON.stringify(sampling)}`,
        );
        assert.equal(summary.tokens, 14);
        assert.ok(Math.abs(summary.tau * summary.forwards - 14) < 1e-9);
      }
    }
  }
});

test('trees are those that are asked for, or one after the other of those to choose from', async () => {
  const shapeOf = (tree: TokenTree) => {
    const counts: number[] = [];
    for (const depth of depths(tree)) counts[depth - 1] = (counts[depth - 1] ?? 0) + 1;
    return counts;
  };
  const options = { target, prompt: promptOf(9), maxNewTokens: 40 };
  const [auto, fixed] = drafters as [Drafter, Drafter];
  const seen = (await collect({ ...options, drafter: auto })).rounds.slice(1, 1 + defaultShapes.length);
  assert.deepEqual(
    seen.map(({ tree }) => shapeOf(tree)),
    defaultShapes,
  );
  for (const { tree } of (await collect({ ...options, drafter: fixed })).rounds.slice(1, 6))
    assert.deepEqual(shapeOf(tree), [2, 2, 2, 1]);
});

test('a drafter that knows the text is accepted whole, up to the length that is asked for', async () => {
  const prompt = promptOf(30);
  const expected = (await collect({ target, drafter: vanilla, prompt, maxNewTokens: 40 })).tokens;
  for (const maxNewTokens of [1, 2, 6, 11, 12, 13, 40]) {
    const knowing = scripted((text) => {
      const next = expected.slice(text.length - 30);
      // the right chain of five, with wrong siblings before it
      const right = next.slice(0, Math.min(5, maxNewTokens - (text.length - 30) - 1));
      const wrong = right.map((token) => (token + 1) % 24);
      return {
        tokens: [...wrong, ...right],
        parents: [...wrong.map(() => -1), ...right.map((_, i) => (i === 0 ? -1 : right.length + i - 1))],
      };
    });
    const { tokens, summary, rounds } = await collect({ target, drafter: knowing, prompt, maxNewTokens });
    assert.deepEqual(tokens, expected.slice(0, maxNewTokens));
    assert.equal(summary.reason, 'length');
    assert.equal(summary.forwards, 1 + Math.ceil((maxNewTokens - 1) / 6));
    assert.equal(rounds.flatMap(({ tokens }) => tokens).length, maxNewTokens);
    assert.ok(summary.accepted.every((count, depth) => count <= summary.proposed[depth]!));
  }
});

test('wrong guesses change nothing: one token a call, as without them', async () => {
  const prompt = promptOf(12);
  const expected = (await collect({ target, drafter: vanilla, prompt, maxNewTokens: 12 })).tokens;
  const wrong = scripted((text) => {
    const right = expected[text.length - 12] ?? 0;
    return chainTree([(right + 1) % 24, right, right].slice(0, 12 - (text.length - 12) - 1));
  });
  const { tokens, summary } = await collect({ target, drafter: wrong, prompt, maxNewTokens: 12 });
  assert.deepEqual(tokens, expected);
  assert.equal(summary.forwards, 12);
});

test('an end token ends the text where it stands, inside a path too', async () => {
  const prompt = promptOf(30);
  const expected = (await collect({ target, drafter: vanilla, prompt, maxNewTokens: 30 })).tokens;
  const ending = expected[9]!;
  const at = expected.indexOf(ending);
  const knowing = scripted((text) => chainTree(expected.slice(text.length - 30, text.length - 30 + 7)));
  for (const drafter of [vanilla, knowing]) {
    const { tokens, summary } = await collect({
      target,
      drafter,
      prompt,
      maxNewTokens: 30,
      endTokens: [ending],
    });
    assert.deepEqual(tokens, expected.slice(0, at + 1));
    assert.equal(summary.reason, 'end token');
  }
});

test('a tree of width 1 is a chain, and its guesses are those of the draft run token by token', async () => {
  const [tree, chain] = [await withShape([1, 1, 1, 1]), await withShape([1])];
  const prompt = promptOf(70);
  const options = { target, prompt, maxNewTokens: 16 };
  const deep = await collect({ ...options, drafter: tree });
  const shallow = await collect({ ...options, drafter: chain });
  // the first guess after the same text is the same guess
  const guesses = (rounds: typeof deep.rounds) => {
    const found = new Map<number, number>();
    let length = 0;
    for (const { tokens, tree } of rounds) {
      if (tree.tokens.length > 0) found.set(length, tree.tokens[0]!);
      length += tokens.length;
    }
    return found;
  };
  const [a, b] = [guesses(deep.rounds), guesses(shallow.rounds)];
  const common = [...a.keys()].filter((length) => b.has(length));
  assert.ok(common.length > 3);
  for (const length of common) assert.equal(a.get(length), b.get(length), `after ${length} tokens`);
  assert.ok(deep.rounds.slice(1).every(({ tree }) => tree.parents.every((parent, i) => parent === i - 1)));
  await tree.dispose();
  await chain.dispose();
});

test('tree guesses do not depend on how the ring came to hold its keys', async () => {
  // the same text as a prompt and as a prompt with decoded tokens behind
  const drafter = await withShape([3, 4, 2]);
  for (const length of [20, 505]) {
    const prompt = promptOf(length);
    const long = await collect({ target, drafter, prompt, maxNewTokens: 22 });
    let at = 0;
    for (const [i, round] of long.rounds.entries()) {
      if (i > 0 && i % 7 === 0 && round.tree.tokens.length === 9) {
        const again = await collect({
          target,
          drafter,
          prompt: [...prompt, ...long.tokens.slice(0, at - 1)],
          maxNewTokens: 10,
        });
        assert.deepEqual(again.rounds[1]!.tree, round.tree, `${length} tokens and ${at} more`);
      }
      at += round.tokens.length;
    }
  }
  await drafter.dispose();
});

test('the draft’s own memory is the same for a short and a long text', async () => {
  const { config } = model;
  const places = 512 + 2 + 7;
  assert.equal(draftBytes(config, [[2, 2, 2, 1]]), 4 * places * 2 * (2 * 4 + 1));
});

test('the beginning is drawn from the target’s distribution, whatever the tree', async () => {
  const small = tinyModels({ vocab_size: 8 });
  const eight = await openTarget(device, small);
  const cache = await eight.createCache(16);
  using prefill = await eight.prefill(cache, [1, 2, 3]);
  const logits = toNumbers(await prefill.logits.read());
  const { createSampler } = await import('./sampling.ts');
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  const counts = new Array<number>(8).fill(0);
  const draws = 100_000;
  for (let seed = 0; seed < draws; seed++) {
    const token = createSampler({ temperature: 1, seed }).choose(logits, 3);
    counts[token] = counts[token]! + 1;
  }
  const variation =
    counts.reduce((sum, n, i) => sum + Math.abs(n / draws - Math.exp(logits[i]!) / total), 0) / 2;
  assert.ok(variation < 0.01, `total variation ${variation}`);
  await eight.dispose();
});

test('what cannot be decoded is refused in one line, with value and limit', async () => {
  const options = { target, drafter: vanilla, prompt: [1, 2], maxNewTokens: 4 };
  const refused = async (
    change: object,
    message: RegExp,
    type: typeof RangeError | typeof DecodeError = DecodeError,
  ) =>
    assert.rejects(
      async () => decode({ ...options, ...change }).next(),
      (error) => error instanceof type && message.test(error.message),
    );
  await refused(
    { prompt: promptOf(4000), maxNewTokens: 100 },
    /4000 tokens of prompt and 100 new ones are 4100, the model has 4096 positions/,
  );
  await refused({ prompt: [] }, /prompt is empty: 0 tokens/);
  await refused({ prompt: [1, 24] }, /token 24 in the prompt: the model has tokens 0 to 23/);
  await refused({ maxNewTokens: 0 }, /new tokens: 0, expected 1 or more/);
  await refused({ temperature: -1 }, /temperature is -1, expected 0 or more/, RangeError);
  await refused({ topP: 0 }, /topP is 0/, RangeError);
  for (const [key, change] of [
    ['hiddenSize', { hidden_size: 32 }],
    ['numHeads', { num_attention_heads: 2, head_dim: 4 }],
    ['numKvHeads', { num_key_value_heads: 4 }],
  ] as const) {
    const other = tinyModels(change).draft;
    assert.throws(
      () => checkDraftFits(other.config, model.config),
      new RegExp(`the draft's ${key} is \\d+, the target's is \\d+`),
    );
  }
});

test('an abort ends the text between two calls and frees what it held', async () => {
  const controller = new AbortController();
  const run = decode({
    target,
    drafter: vanilla,
    prompt: [1, 2, 3],
    maxNewTokens: 50,
    signal: controller.signal,
  });
  await run.next();
  controller.abort(new Error('enough'));
  await assert.rejects(run.next(), /enough/);
});
