import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize } from '@working-papers/nn/module';
import { tensorsHash } from '@working-papers/nn/tensors-hash';
import { constant, gradients, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { boostedLogits, trainBoosted, trainL2w, WeightNetwork } from './baselines.ts';
import { Evaluator, operatingPoint } from './evaluate.ts';
import { costs, layout, syntheticSplit } from './test/synthetic.ts';
import { initialExits } from './training.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const train = syntheticSplit(1500, 1);
const validation = syntheticSplit(500, 2);
const options = { device, layout, train, validation, costs, seed: 2, epochs: 3 };
const start = initialExits(layout, 2);

const accuracies = async (tensors: typeof start, combine?: typeof boostedLogits) => {
  const evaluator = await Evaluator.create(device, layout, start, combine);
  const outputs = await evaluator.evaluate(tensors, validation);
  await evaluator.dispose();
  return operatingPoint(outputs, new Uint8Array(validation.length), costs).exits.map(
    (exit) => exit.accuracyAll,
  );
};

test('a boosted exit adds half of what came before, as a constant; the last exit stands alone', async () => {
  const z = [[8], [4], [2], [1]].map((row) => constant(ndarray(row, [1, 1])));
  const answers = boostedLogits(z);
  const run = await device.compile(
    () => ({
      answers: answers.map((each) => each.sum()),
      slope: gradients(answers[2]!.sum(), [z[0]!, z[2]!]),
    }),
    { inputs: [] as const },
  );
  const found = await run();
  assert.deepEqual(
    found.answers.map((each) => toNumbers(each)[0]),
    [8, 8, 6, 1],
  );
  assert.deepEqual(
    found.slope.map((each) => toNumbers(each)[0]),
    [0, 1],
  );
  await run.dispose();
});

test('BoostedNet learns, and the same seed gives the same weights', async () => {
  const before = await accuracies(start, boostedLogits);
  const boosted = await trainBoosted(options);
  const now = await accuracies(boosted, boostedLogits);
  now.slice(0, -1).forEach((accuracy, l) => {
    assert.ok(accuracy > before[l]! && accuracy > 0.55, `exit ${l}: ${before[l]} to ${accuracy}`);
  });
  assert.equal(tensorsHash(await trainBoosted(options)), tensorsHash(boosted));
});

test('L2W-DEN learns with its meta steps, the weights of a batch have mean 1', async () => {
  const trained = await trainL2w({ ...options, metaEvery: 5 });
  const without = await trainL2w({ ...options, metaEvery: 1e9 });
  assert.notEqual(tensorsHash(trained), tensorsHash(without), 'meta steps change nothing');
  (await accuracies(trained)).slice(0, -1).forEach((accuracy) => {
    assert.ok(accuracy > 0.55, String(accuracy));
  });
  const network = new WeightNetwork(3, 20);
  const run = await device.compile((losses) => network.forward(losses), {
    inputs: [{ shape: [6, 3] }] as const,
    weights: initialize(network, 1),
  });
  const weights = toNumbers(
    await run(
      ndarray(
        Float32Array.from({ length: 18 }, (_, i) => i / 5),
        [6, 3],
      ),
    ),
  );
  assert.ok(Math.abs(weights.reduce((a, b) => a + b) / 18 - 1) < 1e-6);
  assert.ok(weights.every((weight) => weight > 0.4 && weight < 1.6));
  await run.dispose();
});
