import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { initialize } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { Cifar10Features, roundToBytes } from './cifar10-features.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

test('192 features, the last 128 of which the classifier reads', async () => {
  const model = new Cifar10Features();
  const weights = initialize(model, 1);
  const run = await device.compile(
    (x) => {
      const { features, logits } = model.look(x);
      return [features, logits, model.forward(x), model.head.forward(features.slice(1, 64))];
    },
    { inputs: [{ shape: ['n', 3, 32, 32] }] as const, weights },
  );
  const x = ndarray(new Random(2).uniforms(2 * 3072, -1, 1), [2, 3, 32, 32]);
  const [features, logits, whole, again] = await run(x);
  assert.deepEqual(features!.shape, [2, 192]);
  assert.deepEqual(logits!.shape, [2, 10]);
  for (const other of [whole!, again!]) {
    const expected = toNumbers(logits!);
    for (const [i, value] of toNumbers(other).entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-4);
  }
});

test('bytes: rounded to the nearest of 256 levels, ends included', () => {
  const levels = Array.from({ length: 256 }, (_, i) => i / 127.5 - 1);
  assert.deepEqual(roundToBytes(levels), Float32Array.from(levels));
  assert.deepEqual([...roundToBytes([-3, 3, 1 / 255 - 1 - 1e-6])], [-1, 1, -1]);
});
