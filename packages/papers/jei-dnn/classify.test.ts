import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fromPlanes, type RgbImage } from '@working-papers/nn/images';
import { Random } from '@working-papers/nn/random';
import { openDevice, toNumbers } from '@working-papers/tensor';
import { normalizeInto } from './backbone.ts';
import { defaultCostWeight, openClassifier } from './classify.ts';
import { batchOf, squareOf } from './photo.ts';
import { tinyWeights } from './test/tiny.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

function randomImage(width: number, height: number, seed = 1): RgbImage {
  const random = new Random(seed);
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, () => random.integer(256)) };
}

test('a photo of the right size goes in as training normalised it', () => {
  const random = new Random(2);
  const planes = Uint8Array.from({ length: 3072 }, () => random.integer(256));
  const expected = new Float32Array(3072);
  normalizeInto(expected, 0, planes);
  const actual = toNumbers(batchOf([fromPlanes(planes, 32, 32)], 32));
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) < 1e-5);
  });
});

test('of a wide or a tall photo the network sees the middle', () => {
  for (const [width, height] of [
    [90, 40],
    [40, 90],
  ] as const) {
    const image = randomImage(width, height);
    // a white edge outside the middle square must not show
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const outside = Math.abs(x + 0.5 - width / 2) > 20 || Math.abs(y + 0.5 - height / 2) > 20;
        if (outside) image.data.fill(255, (y * width + x) * 3, (y * width + x) * 3 + 3);
        else image.data.fill(10, (y * width + x) * 3, (y * width + x) * 3 + 3);
      }
    }
    const square = squareOf(image, 16);
    assert.deepEqual([square.width, square.height], [16, 16]);
    assert.ok(square.data.every((value) => value === 10));
  }
});

test('a photo of one pixel, and no photo at all', async () => {
  const classifier = await openClassifier({ device, weights: tinyWeights() });
  const [answer] = await classifier.classify([randomImage(1, 1)]);
  assert.equal(answer!.className, classifier.classNames[answer!.label]);
  assert.deepEqual(await classifier.classify([]), []);
  await classifier.dispose();
});

test('the answer is the likeliest class at the exit taken, at the cost of that exit', async () => {
  const classifier = await openClassifier({ device, weights: tinyWeights() });
  const images = Array.from({ length: 5 }, (_, i) => randomImage(20 + i, 16, i));
  for (const threshold of [0.5, 0.9]) {
    for (const answer of await classifier.classify(images, { threshold })) {
      const taken = answer.exits.at(-1)!;
      assert.equal(taken.exit, answer.exit);
      assert.ok(Math.abs(taken.probabilities.reduce((a, b) => a + b) - 1) < 1e-9);
      assert.equal(taken.probabilities[answer.label], Math.max(...taken.probabilities));
      assert.equal(answer.cost, classifier.costs.shares[answer.exit]);
      assert.ok(answer.exits.slice(0, -1).every(({ gate }) => gate?.taken === false));
    }
  }
});

test('changing the cost weight gives what opening with it gives, and back again', async () => {
  const weights = tinyWeights();
  const images = [randomImage(30, 30)];
  const [low, high] = await Promise.all(
    [0.1, 1].map(async (costWeight) => {
      const classifier = await openClassifier({ device, weights, costWeight });
      return classifier.classify(images);
    }),
  );
  assert.notDeepEqual(low, high);
  const classifier = await openClassifier({ device, weights });
  assert.deepEqual(classifier.costWeights, [0.1, 1]);
  assert.equal(classifier.costWeight, defaultCostWeight(weights));
  await classifier.setCostWeight(1);
  assert.deepEqual(await classifier.classify(images), high);
  await classifier.setCostWeight(0.1);
  assert.deepEqual(await classifier.classify(images), low);
  await assert.rejects(classifier.setCostWeight(0.2), /was not trained/);
  assert.equal(classifier.costWeight, 0.1);
});

test('a cost weight that was not trained and a threshold out of range are refused', async () => {
  await assert.rejects(openClassifier({ device, weights: tinyWeights(), costWeight: -1 }), /not 0 or more/);
  const classifier = await openClassifier({ device, weights: tinyWeights() });
  await assert.rejects(classifier.classify([randomImage(8, 8)], { threshold: 1.5 }), /threshold 1\.5/);
});
