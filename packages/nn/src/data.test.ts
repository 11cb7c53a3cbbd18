import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ndarray } from '@working-papers/tensor/array';
import fc from 'fast-check';
import { DataError, DataLoader, type Dataset, randomSplit, stack, stackFields, subset } from './data.ts';

/** Items are `index:random word`. */
const words = (length: number): Dataset<string> => ({
  length,
  get: async (index, random) => {
    if (index % 3 === 0) await setImmediate();
    return `${index}:${random.uint32()}`;
  },
});
const join = (items: string[]) => items.join(' ');

async function collect<Batch>(loader: DataLoader<string, Batch>, epochs: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  while (loader.epoch < epochs) for await (const batch of loader) batches.push(batch);
  return batches;
}

test('an epoch holds every item once, in a new order and with new augmentations each time', async () => {
  const loader = new DataLoader(words(10), (items) => items, { batchSize: 4, shuffle: true, seed: 1 });
  assert.equal(loader.batches, 3);
  const [first, second] = [await collect(loader, 1), await collect(loader, 2)];
  for (const epoch of [first, second]) {
    assert.deepEqual(
      epoch.map((batch) => batch.length),
      [4, 4, 2],
    );
    const indices = epoch.flat().map((item) => Number(item.split(':')[0]));
    assert.deepEqual(
      indices.sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
  }
  assert.equal(new Set([...first.flat(), ...second.flat()]).size, 20);
  const ordered = new DataLoader(words(5), join, { batchSize: 2, dropLast: true });
  assert.match((await collect(ordered, 1)).join(' '), /^0:\d+ 1:\d+ 2:\d+ 3:\d+$/);
});

test('resuming after any batch gives the batches of an undisturbed run, whatever the prefetch', async () => {
  const options = fc.record({
    batchSize: fc.integer({ min: 1, max: 7 }),
    shuffle: fc.boolean(),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(options, fc.nat(20), fc.nat(4), fc.nat(4), async (options, stop, prefetch, later) => {
      const whole = await collect(new DataLoader(words(13), join, options), 3);
      const loader = new DataLoader(words(13), join, { ...options, prefetch });
      const batches: string[] = [];
      reading: while (loader.epoch < 3) {
        for await (const batch of loader) {
          batches.push(batch);
          if (batches.length > stop) break reading;
        }
      }
      const resumed = new DataLoader(words(13), join, { ...options, prefetch: later });
      resumed.load(JSON.parse(JSON.stringify(loader.state())));
      assert.deepEqual([...batches, ...(await collect(resumed, 3))], whole);
    }),
    { numRuns: 40 },
  );
});

test('no more batches than asked for are made ahead, and an early break leaves nothing running', async () => {
  let started = 0;
  let finished = 0;
  const slow: Dataset<number> = {
    length: 100,
    async get(index) {
      started++;
      await setImmediate();
      finished++;
      return index;
    },
  };
  const loader = new DataLoader(slow, (items) => items, { batchSize: 5, prefetch: 3 });
  for await (const _ of loader) {
    for (let i = 0; i < 10; i++) await setImmediate();
    assert.equal(started, 20, 'one batch in use, three ahead');
    break;
  }
  assert.equal(finished, started);
  assert.equal(loader.state().batch, 1);
});

test('a bad item is named when its batch is due, and later failures stay silent', async () => {
  const dataset: Dataset<string> = {
    length: 8,
    get: (index) => {
      if (index >= 3) throw new Error('not an image');
      return 'ok';
    },
    describe: (index) => `cat/${index}.jpg`,
  };
  const seen: string[] = [];
  const loader = new DataLoader(dataset, join, { batchSize: 2, prefetch: 3 });
  const reading = (async () => {
    for await (const batch of loader) seen.push(batch);
  })();
  await assert.rejects(reading, (error: unknown) => {
    assert.ok(error instanceof DataError);
    assert.equal(error.message, 'item 3 (cat/3.jpg) of batch 1, epoch 0: not an image');
    return true;
  });
  assert.deepEqual(seen, ['ok ok']);
});

test('what would not resume exactly is refused', async () => {
  const loader = new DataLoader(words(10), join, { batchSize: 4, seed: 1 });
  const other = new DataLoader(words(10), join, { batchSize: 5, seed: 1 });
  assert.throws(() => loader.load(other.state()), /cannot resume: batchSize was 5, is 4/);
  for await (const _ of loader) {
    assert.throws(() => loader.load(loader.state()), /being iterated/);
    await assert.rejects(loader[Symbol.asyncIterator]().next(), /already being iterated/);
    break;
  }
  assert.throws(
    () => new DataLoader(words(3), join, { batchSize: 4, dropLast: true }),
    /3 items gives no batch of 4/,
  );
  assert.throws(() => new DataLoader(words(3), join, { batchSize: 0 }), RangeError);
});

test('a split is disjoint, complete and seeded', () => {
  const [train, validation] = randomSplit(100, [90, 10], 42) as [Uint32Array, Uint32Array];
  assert.deepEqual([train.length, validation.length], [90, 10]);
  assert.equal(new Set([...train, ...validation]).size, 100);
  assert.deepEqual(randomSplit(100, [90, 10], 42), [train, validation]);
  assert.notDeepEqual(randomSplit(100, [90, 10], 43), [train, validation]);
  assert.throws(() => randomSplit(100, [90, 11], 42), /90 \+ 11 = 101 items, not 100/);
  const part = subset(words(100), validation);
  assert.equal(part.length, 10);
  assert.equal(part.describe!(0), `item ${validation[0]} of the whole`);
});

test('arrays stack by field', () => {
  const item = (n: number) => ({ image: ndarray([n, n + 1], [1, 2]), label: ndarray([n], [], 'int32') });
  assert.deepEqual(stackFields([item(1), item(5)]), {
    image: ndarray([1, 2, 5, 6], [2, 1, 2]),
    label: ndarray([1, 5], [2], 'int32'),
  });
  assert.throws(
    () => stack([ndarray([1]), ndarray([1, 2])]),
    /cannot stack float32 \[2\] \(item 1\) on float32 \[1\]/,
  );
  assert.throws(() => stack([]), /nothing to stack/);
});
