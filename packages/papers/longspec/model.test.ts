import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openCachedDecoder, visibility } from '@working-papers/models/decoder/cached-decoder';
import { ropeTables } from '@working-papers/models/decoder/rope';
import { Random } from '@working-papers/nn/random';
import { KvCache, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { compileDraft } from './draft-graph.ts';
import { partsOf } from './model.ts';
import { anchorOffsetPositions, plainPositions } from './positions.ts';
import { promptOf, tinyModels } from './test/tiny.ts';
import { byPosition, draftLosses, lossesOnKeys, sequenceBatch, trainDraft } from './train.ts';
import { visibleAttention } from './visible-attention.ts';

const device = await openDevice({ threads: 1 });
const folder = await mkdtemp(join(tmpdir(), 'longspec-'));
after(async () => {
  await device.close();
  await rm(folder, { recursive: true });
});
const tiny = tinyModels();
const { target, targetWeights, draft, draftWeights } = tiny;
const length = 40;
const sequence = Int32Array.from(promptOf(length + 1));

const compiled = await device.compile((batch) => draftLosses(target, draft, batch, 'text'), {
  inputs: [
    {
      tokens: { shape: [1, length + 1], dtype: 'int32' },
      cos: { shape: [length, 2] },
      sin: { shape: [length, 2] },
      lag: { shape: [], dtype: 'int64' },
    },
  ],
  weights: new Map([...targetWeights, ...draftWeights]),
});

async function losses(positions: readonly number[], lag: number): Promise<number[]> {
  const { tokens, cos, sin, lag: j } = sequenceBatch(target, [sequence], positions, lag);
  return toNumbers(await compiled({ tokens: tokens!, cos: cos!, sin: sin!, lag: j! }));
}

const furthest = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

test('an offset of all positions changes nothing; one that leaves anchors behind does', async () => {
  const plain = await losses(plainPositions(length), 1);
  const moved = await losses(
    plainPositions(length).map((i) => i + 3000),
    1,
  );
  assert.ok(furthest(plain, moved) < 1e-4, `moved: ${furthest(plain, moved)}`);
  const anchored = await losses(
    plainPositions(length).map((i) => (i < 4 ? i : i + 3000)),
    1,
  );
  assert.ok(furthest(plain, anchored) > 1e-3);
});

test('positions: 0 to 4 anchors, the others behind a common offset within the range', () => {
  const random = new Random(1);
  const kinds = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const positions = anchorOffsetPositions(100, random.fork(i), { maxPositions: 16384 });
    const anchors = positions.findIndex((position, at) => position !== at);
    kinds.add(anchors < 0 ? 0 : anchors);
    assert.ok(positions[99]! <= 16384 - 1000);
    for (let at = Math.max(anchors, 0) + 1; at < 100; at++)
      assert.equal(positions[at], positions[at - 1]! + 1);
  }
  assert.deepEqual([...kinds].sort(), [0, 1, 2, 3, 4]);
  assert.deepEqual(anchorOffsetPositions(8, random, { maxPositions: 100 }), [0, 1, 2, 3, 4, 5, 6, 7]);
});

/** −log q(next) of the draft in use, at a root and a chain below it, with a cache of the tokens before the root. */
async function drafted(root: number, depth: number): Promise<number> {
  const decoder = await openCachedDecoder({ device, model: target, weights: targetWeights });
  const cache = await decoder.createCache(64);
  (await decoder.prefill(cache, [...sequence.subarray(0, root)]))[Symbol.dispose]();
  const graph = await compileDraft({ device, ...tiny, guesses: 24 }, 'few');
  const ring = await KvCache.create(device, { layers: 1, kvHeads: 2, headDim: 4, capacity: 8, chunk: 8 });
  const rows = root + depth + 1;
  const { cos, sin } = ropeTables(target.config.rope, plainPositions(rows));
  const result = await graph(
    {
      tokens: ndarray(sequence.subarray(0, rows), [rows], 'int32'),
      cos,
      sin,
      read: ndarray([rows - 1], [1], 'int32'),
      ringBias: visibility(8, 1, () => false),
      ownBias: visibility(rows, 1, () => true),
    },
    ring.view(0),
    cache.view(1),
  );
  const at = toNumbers(result.tokens).indexOf(sequence[rows]!);
  await graph.dispose();
  await decoder.dispose();
  return -toNumbers(result.logProbabilities)[at]!;
}

test('training with lag 1 + d at a position is drafting at depth d below a root d positions before', async () => {
  for (const depth of [0, 1, 3]) {
    const trained = await losses(plainPositions(length), 1 + depth);
    for (const root of [1, 5, 30]) {
      const use = await drafted(root, depth);
      assert.ok(Math.abs(use - trained[root + depth]!) < 1e-4, `root ${root}, depth ${depth}`);
    }
  }
});

test('visible attention is a masked softmax over window and lag, across blocks, with zeros where nothing is seen', async () => {
  const [time, heads, kvHeads, dim] = [1100, 2, 1, 2];
  const random = new Random(3);
  const array = (h: number) => ndarray(random.normals(time * h * dim), [1, time, h, dim]);
  const [q, k, v] = [array(heads), array(kvHeads), array(kvHeads)];
  const inputs = [q, k, v, ndarray([2], [], 'int64')] as const;
  const run = await device.compile(
    (q, k, v, lag) => [visibleAttention(q, k, v, { before: 512 }), visibleAttention(q, k, v, { lag })],
    { inputs },
  );
  const [windowed, lagging] = (await run(...inputs)).map(toNumbers) as [number[], number[]];
  const value = (x: typeof q, t: number, h: number, d: number) =>
    Number(x.data[(t * (x.shape[2] as number) + h) * dim + d]);
  const expected = (t: number, h: number, d: number, from: number, to: number) => {
    let [sum, total] = [0, 0];
    for (let s = from; s <= to; s++) {
      const score = Math.exp(
        (value(q, t, h, 0) * value(k, s, 0, 0) + value(q, t, h, 1) * value(k, s, 0, 1)) / Math.SQRT2,
      );
      sum += score * value(v, s, 0, d);
      total += score;
    }
    return total === 0 ? 0 : sum / total;
  };
  for (const t of [0, 1, 2, 3, 511, 512, 513, 600, 1023, 1024, 1099]) {
    const at = (t * heads + 1) * dim + 1;
    assert.ok(Math.abs(windowed[at]! - expected(t, 1, 1, Math.max(0, t - 512), t)) < 1e-5, `window at ${t}`);
    assert.ok(Math.abs(lagging[at]! - expected(t, 1, 1, 0, t - 2)) < 1e-5, `lag at ${t}`);
  }
  assert.deepEqual(lagging.slice(0, 2 * heads * dim), Array(8).fill(0));
});

test('a draft learns what its target has in store, and a resumed training is the same training', async () => {
  const documents = [Int32Array.from({ length: 3000 }, (_, i) => [3, 1, 4, 1, 5, 9, 2, 6][i % 8]!)];
  const stage = {
    ...{ length: 24, batchSize: 2, steps: 30, peakRate: 1e-2 },
    ...({ positions: 'anchor-offset', labels: 'text' } as const),
  };
  const options = { device, target, targetWeights, documents, begin: 0, stage, seed: 1 };
  const seen: number[] = [];
  const whole = await trainDraft({
    ...options,
    folder: join(folder, 'whole'),
    onStep: (_, { loss }) => seen.push(loss!),
  });
  assert.equal(whole.steps, 30);
  assert.ok(seen.at(-1)! < 0.6 * seen[0]!, `loss ${seen[0]} to ${seen.at(-1)}`);
  const stop = new AbortController();
  await trainDraft({
    ...options,
    folder: join(folder, 'parts'),
    signal: stop.signal,
    onStep: (step) => step === 12 && stop.abort(),
  });
  const resumed = await trainDraft({ ...options, folder: join(folder, 'parts'), resume: true });
  const values = ({ draft, weights }: typeof whole) =>
    [...draft.namedWeights().values()].map((weight) => [...(weights.get(weight)!.data as Float32Array)]);
  assert.deepEqual(values(resumed), values(whole));
  const told: number[] = [];
  await trainDraft({
    ...options,
    stage: { ...stage, labels: 'target' },
    folder: join(folder, 'told'),
    onStep: (_, { loss }) => told.push(loss!),
  });
  assert.ok(told.at(-1)! < 0.5 * told[0]!, `divergence ${told[0]} to ${told.at(-1)}`);
});

test('labels of the target: the divergence of what the draft says from what the target says, whatever the text does', async () => {
  const { tokens, cos, sin, lag } = sequenceBatch(target, [sequence], plainPositions(length), 2);
  const batch = { tokens: tokens!, cos: cos!, sin: sin!, lag: lag! };
  const { vocabSize } = target.config;
  const run = await device.compile(
    (given) => {
      const inputs = given.tokens.slice(1, 0, length);
      const seen = { ...partsOf(target), ...target.lastKeysValues(inputs, given) };
      return [
        draftLosses(target, draft, given, 'target'),
        target.forward(inputs, given).softmax(-1),
        draft.forward(inputs, given, seen, given.lag).softmax(-1),
        lossesOnKeys(draft, seen, given),
      ];
    },
    { inputs: [batch], weights: new Map([...targetWeights, ...draftWeights]) },
  );
  const [found, p, q, onText] = (await run(batch)).map(toNumbers) as [number[], number[], number[], number[]];
  await run.dispose();
  for (let t = 0; t < length; t++) {
    let divergence = 0;
    for (let token = 0; token < vocabSize; token++) {
      const [a, b] = [p[t * vocabSize + token]!, q[t * vocabSize + token]!];
      divergence += a * Math.log(a / b);
    }
    assert.ok(Math.abs(found[t]! - divergence) < 1e-4, `position ${t}: ${found[t]} for ${divergence}`);
    assert.ok(Math.abs(onText[t]! + Math.log(q[t * vocabSize + sequence[t + 1]!]!)) < 1e-4);
  }
});

test('losses by position are averages over buckets', () => {
  const array = ndarray([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
  assert.deepEqual(byPosition(array, [0, 2, 8, 16]), [
    { from: 0, to: 2, crossEntropy: 3.5 },
    { from: 2, to: 4, crossEntropy: 5.5 },
  ]);
});
