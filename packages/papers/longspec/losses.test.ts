import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { benchPrompt } from './bench.ts';
import { measureLosses } from './losses.ts';
import { plainPositions } from './positions.ts';
import { targetLosses } from './target.ts';
import { promptOf, tinyModels } from './test/tiny.ts';
import { draftLosses, sequenceBatch } from './train.ts';

const device = await openDevice({ provider: 'cpu', threads: 1 });
after(() => device.close());
const { target, targetWeights, draft, draftWeights } = tinyModels();
const length = 1100;
const begin = 3;
const document = Int32Array.from(promptOf(length + 1));
const options = { device, target, targetWeights, documents: [document], begin, length, count: 1 };
const text = { name: 'losses', documents: [document] };
const window = Int32Array.from(benchPrompt(text, length + 1, 0, begin)!);
const average = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

test('losses by position are those that training minimises, at each lag', async () => {
  const drafts = [{ name: 'own', draft, weights: draftWeights }];
  const { losses } = await measureLosses({ ...options, drafts });
  assert.deepEqual(
    losses.map(({ model, lag, from, to }) => [model, lag, from, to]),
    [['target', 0], ...[1, 2, 3, 4].map((lag) => ['own', lag] as const)].flatMap(([model, lag]) => [
      [model, lag, 0, 1024],
      [model, lag, 1024, length],
    ]),
  );
  const weights = new Map([...targetWeights, ...draftWeights]);
  const { tokens, cos, sin, lag } = sequenceBatch(target, [window], plainPositions(length), 3);
  const batch = { tokens: tokens!, cos: cos!, sin: sin!, lag: lag! };
  const run = await device.compile(
    (given) => [targetLosses(target, given), draftLosses(target, draft, given, 'text')],
    { inputs: [batch], weights },
  );
  const [own, lagging] = (await run(batch)).map(toNumbers);
  await run.dispose();
  const found = (model: string, at: number) =>
    losses.find((each) => each.model === model && each.lag === at && each.from === 1024)!.crossEntropy;
  assert.ok(Math.abs(found('target', 0) - average(own!.slice(1024))) < 1e-5);
  assert.ok(Math.abs(found('own', 3) - average(lagging!.slice(1024))) < 1e-5);
  assert.ok(Math.abs(found('own', 1) - found('own', 3)) > 1e-3);
});

test('the share of attention on the first four tokens is 4 / t where all keys are alike', async () => {
  const { qProj } = target.model.layers.at(-1)!.selfAttn;
  const { shape } = targetWeights.get(qProj.weight)!;
  const zero = ndarray(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const indifferent = new Map([...targetWeights, [qProj.weight, zero] as const]);
  const { sinkMass } = await measureLosses({ ...options, targetWeights: indifferent, drafts: [] });
  const expected = average(Array.from({ length: 256 }, (_, i) => 4 / (length - i)));
  assert.ok(Math.abs(sinkMass! - expected) < 1e-6, `${sinkMass} for ${expected}`);
});

test('texts that are too short are none: nothing is measured', async () => {
  const short = Int32Array.from(promptOf(10));
  const found = await measureLosses({ ...options, documents: [short], drafts: [] });
  assert.deepEqual(found, { losses: [], sinkMass: null });
});
