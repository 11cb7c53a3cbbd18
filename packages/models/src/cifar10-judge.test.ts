import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { openDevice } from '@working-papers/tensor';
import { Cifar10Features } from './cifar10-features.ts';
import { openJudge } from './cifar10-judge.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

/** Pictures of one grey a class, with noise. */
function split(count: number, seed: number) {
  const random = new Random(seed);
  const labels = Uint8Array.from({ length: count }, (_, n) => (7 * n) % 10);
  const images = new Uint8Array(count * 3072);
  for (let n = 0; n < count; n++)
    for (let i = 0; i < 3072; i++) images[n * 3072 + i] = 20 * labels[n]! + 20 + random.integer(30);
  return { images, labels, length: count };
}

test('pictures of the test set itself are at no distance; others are; the floor is between', async () => {
  const model = new Cifar10Features();
  const weights = initialize(model, 1);
  const data = { train: split(400, 1), test: split(400, 2), classes: [] };
  const features = { model, weights, options: { blocksPerStage: 1 }, card: {} };
  const judge = await openJudge({ device, features, data: data as never, neighbours: 100 });
  const same = Float64Array.from(data.test.images, (byte) => byte / 127.5 - 1);
  const own = await judge.judge(same, Array.from(data.test.labels));
  assert.ok(Math.abs(own.fdCnn) < 1e-6 && own.precision > 0.5 && own.recall > 0.5);
  const grey = await judge.judge(
    same.map((value) => value * 0.3),
    Array.from(data.test.labels),
  );
  const floor = await judge.floor(400, 3);
  assert.ok(own.fdCnn < floor.fdCnn && floor.fdCnn < grey.fdCnn, `${own.fdCnn} ${floor.fdCnn} ${grey.fdCnn}`);
  assert.ok(grey.precision < own.precision);
  await assert.rejects(judge.judge(same, [1]), /not 1 pictures/);
  await judge.dispose();
});
