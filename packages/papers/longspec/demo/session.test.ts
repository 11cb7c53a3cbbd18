import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { blobFiles } from '@working-papers/models/decoder/model-files';
import { openDevice } from '@working-papers/tensor';
import { writeTinyFolder } from '../test/tiny.ts';
import { type Choice, offerOf, readShape, requestOf } from './choice.ts';
import { advance, emptyLane, firstDifference, speedUp } from './lane.ts';
import { guessers, lanes, type RunEvent, type RunRequest } from './protocol.ts';
import { openSession } from './session.ts';
import { label, layOut } from './tree-layout.ts';

const device = await openDevice({ threads: 1 });
const folder = await mkdtemp(join(tmpdir(), 'longspec-live-'));
await writeTinyFolder(folder);
const blobs = new Map<string, Blob>();
for (const name of await readdir(folder)) blobs.set(name, new Blob([await readFile(join(folder, name))]));
after(async () => {
  await device.close();
  await rm(folder, { recursive: true });
});

const session = await openSession(device, blobFiles('tiny', blobs));

const choice: Choice = {
  guesser: 'longspec',
  tree: '2,2,1',
  anchorOffset: true,
  noise: true,
  hybrid: true,
  maxNewTokens: 24,
  temperature: 0,
  seed: 3,
};
const text = 'the whale swam and the whale dived again, and then it swam. the whale';
const asked = (change: Partial<Choice> = {}): RunRequest =>
  requestOf({ ...choice, ...change }, offerOf(session.facts), text);

async function run(request: RunRequest) {
  const events: RunEvent[] = [];
  await session.run(request, (event) => events.push(event), new AbortController().signal);
  const rounds = events.filter((event) => event.kind === 'round');
  const [guessing, plain] = lanes.map((lane) =>
    advance(
      emptyLane,
      rounds.filter((round) => round.lane === lane),
    ),
  ) as [typeof emptyLane, typeof emptyLane];
  return { events, rounds, guessing, plain };
}

test('whatever guesses and however it is verified, both decodings write the same', async () => {
  const texts = new Set<string>();
  for (const temperature of [0, 1])
    for (const guesser of Object.keys(guessers) as (keyof typeof guessers)[])
      for (const hybrid of [true, false]) {
        const { guessing, plain } = await run(asked({ guesser, hybrid, temperature }));
        assert.equal(firstDifference(guessing, plain), undefined, `${guesser}, ${hybrid}, T ${temperature}`);
        assert.equal(guessing.pieces.length, plain.pieces.length);
        assert.equal(plain.calls, plain.pieces.length);
        texts.add(`${temperature} ${plain.pieces.map((piece) => piece.text).join('')}`);
      }
  assert.equal(texts.size, 2);
});

test('trees say what came of them, and the clocks are kept close', async () => {
  const { events, rounds, guessing, plain } = await run(asked({ guesser: 'lookup', maxNewTokens: 60 }));
  const [prompt] = events;
  assert.ok(prompt?.kind === 'prompt' && prompt.done === prompt.total);
  let accepted = 0;
  for (const { lane, pieces, tree } of rounds) {
    assert.deepEqual(
      pieces.map(({ guessed }) => guessed),
      pieces.map((_, i) => i < pieces.length - 1),
    );
    assert.ok(lane === 'guessing' || !tree);
    if (!tree) continue;
    assert.equal(tree.path.length, pieces.length - 1);
    assert.ok(tree.path.every((node, i) => tree.nodes[node]!.parent === (tree.path[i - 1] ?? -1)));
    accepted += tree.path.length;
  }
  assert.ok(accepted > 0, 'a model in a loop repeats what lookup finds');
  assert.equal(accepted + guessing.calls, guessing.pieces.length);
  assert.ok(speedUp(guessing, plain)! > 0);
  assert.equal(guessing.marks.at(-1)!.tokens, guessing.pieces.length);
  // the one that is behind goes next: until one ends no clock is ahead by more than a turn
  const clocks = { guessing: 0, vanilla: 0 };
  const last = { guessing: 0, vanilla: 0 };
  for (const { lane, milliseconds } of rounds.slice(0, guessing.calls)) {
    const other = lane === 'guessing' ? 'vanilla' : 'guessing';
    last[lane] = clocks[lane];
    clocks[lane] = milliseconds;
    assert.ok(last[lane] <= clocks[other], `${lane} went on at ${last[lane]} of ${clocks[other]} ms`);
  }
});

test('a run that is stopped rejects, and the next one is whole', async () => {
  const controller = new AbortController();
  let rounds = 0;
  const stopped = session.run(
    asked({ maxNewTokens: 200 }),
    ({ kind }) => {
      if (kind === 'round' && ++rounds === 5) controller.abort(new Error('enough'));
    },
    controller.signal,
  );
  await assert.rejects(stopped, /enough/);
  assert.equal(rounds, 5);
  assert.equal((await run(asked())).plain.pieces.length, 24);
});

test('a switch is offered where drafts differ in it; what is not there is refused by name', async () => {
  assert.deepEqual(session.facts.drafts, [{ anchorOffset: true, noise: true }]);
  assert.equal(offerOf(session.facts).noise, false);
  const draft = blobs.get('draft.safetensors')!;
  const more = blobFiles('more', new Map([...blobs, ['draft-plain.safetensors', draft]]));
  const { facts } = await openSession(device, more);
  const offer = offerOf(facts);
  assert.deepEqual([offer.anchorOffset, offer.noise], [true, false]);
  assert.equal(requestOf({ ...choice, anchorOffset: false }, offer, text).training.anchorOffset, false);
  const none = offerOf({ ...facts, drafts: [] });
  assert.deepEqual(none.guessers, ['lookup', 'magicdec']);
  assert.throws(() => requestOf(choice, none, text), /no draft draft\.safetensors lies beside/);
  assert.throws(() => requestOf(choice, offer, ''), /no text to continue/);
  assert.throws(() => requestOf({ ...choice, seed: 1.5 }, offer, text), /seed: 1\.5/);
  for (const tree of ['', '2,x', '2,0', '99,99'])
    assert.throws(() => readShape(tree), /widths of its levels/);
});

test('a wrong file is refused with its name', async () => {
  const open = (change: Record<string, Blob | undefined>) => {
    const files = new Map(blobs);
    for (const [name, blob] of Object.entries(change)) {
      files.delete(name);
      if (blob) files.set(name, blob);
    }
    return openSession(device, blobFiles('mine', files));
  };
  const json = (value: unknown) => new Blob([JSON.stringify(value)]);
  await assert.rejects(open({ 'config.json': undefined }), /^ModelFolderError: config\.json is not there/);
  await assert.rejects(
    open({ 'config.json': json({ model_type: 'gpt2' }) }),
    /config\.json: model_type is "gpt2"/,
  );
  await assert.rejects(open({ 'tokenizer.json': json({}) }), /tokenizer\.json is no tokenizer/);
  await assert.rejects(open({ 'model.safetensors': undefined }), /mine has no model\.safetensors/);
  await assert.rejects(
    open({ 'model.safetensors': new Blob(['x']) }),
    /^SafetensorsError: model\.safetensors: /,
  );
  const index = json({ weight_map: { 'model.norm.weight': 'model-1-of-2.safetensors' } });
  await assert.rejects(
    open({ 'model.safetensors': undefined, 'model.safetensors.index.json': index }),
    /model-1-of-2\.safetensors is not there/,
  );
  const wrong = await open({ 'draft.safetensors': blobs.get('model.safetensors')! });
  const signal = new AbortController().signal;
  await assert.rejects(
    wrong.run(asked(), () => undefined, signal),
    /^NameMismatchError: draft\.safetensors: \d+ missing: input_layernorm\.weight/,
  );
});

test('a tree is laid out with the accepted path on top and no two leaves in a row', () => {
  const nodes = [
    { text: ' a', parent: -1 },
    { text: ' b', parent: -1 },
    { text: 'c', parent: 1 },
    { text: 'd', parent: 0 },
  ];
  const { nodes: placed, rows, columns } = layOut({ root: 'r', nodes, path: [1, 2], own: '\n' });
  assert.deepEqual([rows, columns], [2, 4]);
  const of = (text: string) => placed.find((node) => node.text === text)!;
  assert.deepEqual(
    ['r', ' b', 'c', '\n'].map((each) => [of(each).column, of(each).row]),
    [
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ],
  );
  assert.deepEqual(
    placed.map(({ kind }) => kind),
    ['root', 'rejected', 'accepted', 'accepted', 'rejected', 'own'],
  );
  assert.equal(of('d').row, 1);
  assert.equal(label(' a\n'), '·a↵');
  assert.equal(label('characters in a row', 9), 'characte…');
});
