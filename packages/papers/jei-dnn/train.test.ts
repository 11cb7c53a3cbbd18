import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readLog } from '@working-papers/nn/log';
import { tensorsHash } from '@working-papers/nn/tensors-hash';
import { type NdArray, ndarray, openDevice } from '@working-papers/tensor';
import { gatherRows } from './batches.ts';
import { byGates, Evaluator, operatingPoint } from './evaluate.ts';
import { Population } from './population.ts';
import type { ExitTensors, Member } from './population-graphs.ts';
import { costs, layout, syntheticSplit } from './test/synthetic.ts';
import { trainExits } from './train.ts';
import { initialExits } from './training.ts';
import { warmUp } from './warmup.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const folder = await mkdtemp(join(tmpdir(), 'jei-dnn-'));
after(() => rm(folder, { recursive: true }));

const train = syntheticSplit(2000, 1, 2);
const validation = syntheticSplit(600, 2);
const common = { device, layout, train, validation, costs, seed: 5, batchSize: 64 };
const start = initialExits(layout, 5);
const method = (costWeight: number): Member => ({ costWeight, weighting: 'stopgrad' });

function distance(a: ExitTensors, b: ExitTensors): number {
  let largest = 0;
  for (const [name, { data }] of a)
    (data as Float32Array).forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - Number(b.get(name)!.data[i])));
    });
  return largest;
}

const only = (tensors: ReadonlyMap<string, NdArray>, holds: (name: string) => boolean) =>
  tensorsHash(new Map([...tensors].filter(([name]) => holds(name))));

test('the phase that is idle leaves its numbers as they are, bit for bit, momentum included', async () => {
  const members = [method(0.5), method(1)];
  const population = await Population.create({ ...common, members }, start);
  const batch = gatherRows(
    train,
    layout,
    Uint32Array.from({ length: 64 }, (_, i) => i),
  );
  const positive = ndarray(new Float32Array(6).fill(1), [2, 3]);
  const gates = (name: string) => name.startsWith('gate');
  const heads = (name: string) => !name.startsWith('gate');
  // both have momentum by now, which must not go on either
  await population.trainGates(batch, 0.01, positive);
  await population.trainHeads(batch, 0.01);
  const before = await population.state();
  await population.trainHeads(batch, 0.01);
  const afterHeads = await population.state();
  assert.equal(only(afterHeads, gates), only(before, gates));
  assert.notEqual(only(afterHeads, heads), only(before, heads));
  await population.trainGates(batch, 0.01, positive);
  const afterGates = await population.state();
  assert.equal(only(afterGates, heads), only(afterHeads, heads));
  assert.notEqual(only(afterGates, gates), only(afterHeads, gates));
  await population.dispose();
});

test('an IM that is frozen, and a member that trains gates only, keep their IMs bit for bit', async () => {
  const members = [method(0.5), { ...method(0.5), movesHeads: false }];
  const population = await Population.create({ ...common, members }, start);
  const batch = gatherRows(
    train,
    layout,
    Uint32Array.from({ length: 64 }, (_, i) => i),
  );
  // [L−1, M]: the first member's second IM is frozen
  await population.trainHeads(batch, 0.1, Uint8Array.of(1, 1, 0, 1, 1, 1));
  const [first, second] = await population.read();
  assert.equal(tensorsHash(second!), tensorsHash(start));
  const same = (l: number) => (name: string) => name.startsWith(`intermediate_heads.${l}`);
  assert.equal(only(first!, same(1)), only(start, same(1)));
  assert.notEqual(only(first!, same(0)), only(start, same(0)));
  await population.dispose();
});

test('trained in a crowd is trained alone', async () => {
  const members: Member[] = [
    method(0.3),
    { costWeight: 0.3, weighting: 'released' },
    { costWeight: 1, weighting: 'plain P', gateInputs: 'max-p' },
    { costWeight: 1, weighting: [1, 0.5, 0.25], balanced: false },
  ];
  const options = { ...common, start, epochs: 2, turn: 8 };
  const crowd = await trainExits({ ...options, members });
  for (const [m, member] of members.entries()) {
    const [alone] = await trainExits({ ...options, members: [member] });
    const largest = distance(crowd[m]!.tensors, alone!.tensors);
    assert.ok(largest < 1e-5, `member ${m} differs by ${largest}`);
    assert.ok(distance(alone!.tensors, start) > 1e-3);
  }
});

test('the same seed gives the same weights, another seed others', async () => {
  const options = { ...common, members: [method(0.5)], start, epochs: 1, turn: 8 };
  const [[a], [b], [c]] = [
    await trainExits(options),
    await trainExits(options),
    await trainExits({ ...options, seed: 6 }),
  ];
  assert.equal(tensorsHash(a!.tensors), tensorsHash(b!.tensors));
  assert.notEqual(tensorsHash(a!.tensors), tensorsHash(c!.tensors));
});

test('a run that is stopped in the middle of an epoch and resumed ends with the same weights', async () => {
  const options = { ...common, members: [method(0.2), method(1)], start, epochs: 3, turn: 8 };
  const whole = await trainExits({ ...options, folder: join(folder, 'whole') });
  const stopped = new AbortController();
  const parts = join(folder, 'parts');
  await assert.rejects(
    trainExits({
      ...options,
      folder: parts,
      signal: stopped.signal,
      onBatch: (done) => {
        if (done === 40) stopped.abort(new Error('stopped here'));
      },
    }),
    /stopped here/,
  );
  const resumed = await trainExits({ ...options, folder: parts, resume: true });
  assert.deepEqual(
    resumed.map(({ tensors }) => tensorsHash(tensors)),
    whole.map(({ tensors }) => tensorsHash(tensors)),
  );
  assert.deepEqual(
    resumed.map(({ history }) => history),
    whole.map(({ history }) => history),
  );
  const epochs = (await readLog(join(parts, 'heads.jsonl'))).map(({ epoch, costWeight }) => [
    epoch,
    costWeight,
  ]);
  assert.deepEqual(
    epochs,
    [1, 2, 3].flatMap((epoch) => [
      [epoch, 0.2],
      [epoch, 1],
    ]),
  );
  await assert.rejects(
    trainExits({ ...options, members: [method(0.3), method(1)], folder: parts, resume: true }),
    /checkpoint of another run/,
  );
});

test('the warm-up returns every IM at its best epoch', async () => {
  const { tensors, best, epochs } = await warmUp({ ...common, epochs: 4 });
  const evaluator = await Evaluator.create(device, layout, tensors);
  const outputs = await evaluator.evaluate(tensors, validation);
  const { exits } = operatingPoint(outputs, byGates(outputs), costs);
  best.forEach(({ accuracy, epoch }, l) => {
    assert.ok(
      Math.abs(exits[l]!.accuracyAll - accuracy) < 1e-9,
      `IM ${l}: ${exits[l]!.accuracyAll}, said ${accuracy}`,
    );
    assert.ok(epoch >= 1 && epoch <= epochs);
  });
  // deeper exits see more here
  assert.ok(best[2]!.accuracy > best[0]!.accuracy && best[0]!.accuracy > 0.5);
  await evaluator.dispose();
});

test('training pays: a higher λ costs less, and CE + λ·cost beats both the start and the whole network', async () => {
  const { tensors } = await warmUp({ ...common, epochs: 2 });
  const members = [method(0.05), method(0.5)];
  const trained = await trainExits({ ...common, members, start: tensors, epochs: 6, turn: 8 });
  const figures = trained.map(({ history, epoch }) => history[epoch - 1]!);
  assert.ok(figures[1]!.cost < figures[0]!.cost);
  trained.forEach(({ history, epoch }) => {
    const least = Math.min(...history.map(({ objective }) => objective));
    assert.equal(history[epoch - 1]!.objective, least);
  });
  const evaluator = await Evaluator.create(device, layout, tensors);
  const outputs = await evaluator.evaluate(tensors, validation);
  const wholeCe = outputs.crossEntropy.at(-1)!.reduce((a, b) => a + b) / validation.length;
  assert.ok(figures[1]!.objective < wholeCe + 0.5, `${figures[1]!.objective} for ${wholeCe + 0.5}`);
  await evaluator.dispose();
});

test('a loss that is not finite and a negative λ are refused', async () => {
  const broken = { ...train, features: train.features.slice().fill(Number.NaN) };
  await assert.rejects(
    trainExits({ ...common, train: broken, members: [method(0.5)], start, epochs: 1 }),
    /diverged: loss NaN at cost weight 0\.5/,
  );
  await assert.rejects(
    trainExits({ ...common, members: [method(-1)], start, epochs: 1 }),
    /cost weight -1 is not 0 or more/,
  );
});
