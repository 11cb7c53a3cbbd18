import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ResNet } from '@working-papers/models/resnet';
import { Cifar10Split } from '@working-papers/nn/cifar10';
import { initialize, loadStateDict, stateDict } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { tensorsHash } from '@working-papers/nn/tensors-hash';
import { concat, type NdArray, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { collate, examples } from './backbone.ts';
import { loadFeatures } from './features.ts';
import { JeiDnn } from './model.ts';
import { trainExits } from './train.ts';
import { initialExits } from './training.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const folder = await mkdtemp(join(tmpdir(), 'jei-dnn-'));
after(() => rm(folder, { recursive: true }));

// the validation split is 5,000 pictures of the archive, whatever its size
const random = new Random(1);
const pictures = (count: number) =>
  new Cifar10Split(
    Uint8Array.from({ length: count * 3072 }, (_, i) => (i * 2654435761) >>> 24),
    Uint8Array.from({ length: count }, () => random.integer(10)),
  );
const data = { train: pictures(5040), test: pictures(20) };
const backbone = new ResNet({ blocksPerStage: 1, widths: [4, 6, 8] });
const tensors = stateDict(backbone, initialize(backbone, 1));
const options = { device, backbone, tensors, data, folder, limit: 12, augmentedViews: 2 };

test('cached features are what the exits read, in the order of the views, and the second time from the file', async () => {
  const cache = await loadFeatures(options);
  assert.deepEqual(cache.widths, [4, 6]);
  assert.deepEqual(
    [cache.train, cache.validation, cache.test].map(({ length, views }) => [length, views]),
    [
      [12, 3],
      [12, 1],
      [12, 1],
    ],
  );
  const model = new JeiDnn(backbone);
  const values = new Map([...initialize(model, 2), ...loadStateDict(backbone, tensors)]);
  const run = await device.compile((x) => concat(model.features(x).slice(0, -1), 1), {
    inputs: [{ shape: ['n', 3, 32, 32] }] as const,
    weights: values,
  });
  const indices = Array.from({ length: 12 }, (_, i) => Math.floor((i * 20) / 12));
  const items = await Promise.all(indices.map((_, i) => examples(data.test, indices, false).get(i, random)));
  const direct = toNumbers(await run(collate(items).images));
  direct.forEach((value, i) => {
    assert.ok(Math.abs(value - cache.test.features[i]!) < 1e-5, `at ${i}`);
  });
  assert.deepEqual(
    [...cache.test.labels],
    indices.map((i) => data.test.labels[i]),
  );
  // augmented views differ from each other and from the picture itself
  const view = (v: number) => cache.train.features.slice(v * 120, (v + 1) * 120).join();
  assert.equal(new Set([view(0), view(1), view(2)]).size, 3);

  const again = await loadFeatures({ ...options, onProgress: () => assert.fail('computed again') });
  assert.deepEqual(again, cache);
});

test('another backbone gets features of its own; a damaged cache is made anew', async () => {
  const moved = new Map(tensors);
  moved.set('linear.bias', ndarray(new Float32Array(10).fill(0.5)));
  assert.notEqual(tensorsHash(moved), tensorsHash(tensors));
  let computed = 0;
  await loadFeatures({ ...options, tensors: moved, onProgress: () => computed++ });
  assert.ok(computed > 0);
  for (const file of await readdir(folder)) await writeFile(join(folder, file), 'not a cache');
  computed = 0;
  await loadFeatures({ ...options, onProgress: () => computed++ });
  assert.ok(computed > 0);
});

test('training the exits leaves the backbone as it was', async () => {
  const before = tensorsHash(tensors);
  const cache = await loadFeatures(options);
  await trainExits({
    device,
    layout: cache,
    train: cache.train,
    validation: cache.validation,
    costs: [0.4, 0.7, 1],
    seed: 1,
    batchSize: 4,
    turn: 1,
    epochs: 2,
    members: [{ costWeight: 0.5, weighting: 'stopgrad' }],
    start: initialExits(cache, 1),
  });
  assert.equal(tensorsHash(tensors), before);
  assert.equal(cache.hash, before);
});

test('a checkpoint without one of the tensors is refused by its name', async () => {
  const missing = new Map<string, NdArray>(tensors);
  missing.delete('layer2.0.conv1.weight');
  await assert.rejects(loadFeatures({ ...options, tensors: missing }), /has no 'layer2\.0\.conv1\.weight'/);
});
