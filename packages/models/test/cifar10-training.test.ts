import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Cifar10Split } from '@working-papers/nn/cifar10';
import { initialize, stateDict } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { openDevice, toNumbers } from '@working-papers/tensor';
import { cifar10Teacher } from '../src/cifar10-teacher.ts';
import {
  collate,
  type Picture,
  pictures,
  trainFeatures,
  trainTeacher,
  trapezoid,
} from '../src/cifar10-training.ts';

const device = await openDevice({ threads: 1 });
const folder = await mkdtemp(join(tmpdir(), 'cifar10-training-'));
after(async () => {
  await device.close();
  await rm(folder, { recursive: true });
});

/** Pictures that are bright or dark on the left by their label. */
function split(count: number): Cifar10Split {
  const random = new Random(count);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 2);
  const images = Uint8Array.from({ length: count * 3072 }, (_, i) => {
    const left = i % 32 < 16;
    return (left ? 60 + 120 * (Math.floor(i / 3072) % 2) : 128) + random.integer(40);
  });
  return new Cifar10Split(images, labels);
}

const data = { train: split(64), test: split(32) };

const logOf = async (name: string): Promise<{ [figure: string]: number }[]> => {
  const lines = (await readFile(join(folder, name, 'log.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line));
};

test('pictures: in [−1, 1], mirrored and shifted', () => {
  const pixels = Uint8Array.from({ length: 3072 }, (_, i) => (i * 7) % 256);
  const item = (dx: number, dy: number, flip: boolean) => ({ pixels, label: 3, dx, dy, flip });
  const { images, labels } = collate([item(0, 0, false), item(2, -1, true)]);
  assert.deepEqual(images.shape, [2, 3, 32, 32]);
  assert.deepEqual(toNumbers(labels), [3, 3]);
  const value = (c: number, y: number, x: number) => pixels[c * 1024 + y * 32 + x]! / 127.5 - 1;
  const at = (n: number, c: number, y: number, x: number) =>
    Number(images.data[((n * 3 + c) * 32 + y) * 32 + x]);
  assert.ok(Math.abs(at(0, 2, 31, 30) - value(2, 31, 30)) < 1e-6);
  assert.ok(Math.abs(at(1, 1, 5, 10) - value(1, 4, 23)) < 1e-6);
  assert.equal(at(1, 1, 0, 10), 0); // above the edge
  assert.equal(at(1, 1, 5, 1), 0); // 32 is beyond it
  const seen = new Set(
    Array.from({ length: 40 }, (_, i) =>
      pictures(data.train, { flip: true, shift: 1 }).get(0, new Random(i)),
    ).map((picture) => ('dx' in picture ? `${picture.dx} ${picture.dy} ${picture.flip}` : '')),
  );
  assert.ok(seen.size > 8 && seen.size <= 18, `${seen.size}`);
});

test('the rate rises, stays and falls to 0', () => {
  const rate = trapezoid(2, 100, { rise: 4, decay: 0.5 });
  assert.deepEqual([0, 3, 40, 50, 75, 100].map(rate), [0.5, 2, 2, 2, 1, 0]);
});

test('a small teacher trains, with the losses of noise levels and figures in its log, and goes on from where it was', async () => {
  const small = { hiddenSize: 8, depth: 1, numHeads: 2 };
  const seen: number[] = [];
  const common = { device, data, seed: 1, batchSize: 16, model: small };
  const evaluate = {
    every: 2,
    run: async (_: unknown, weights: ReadonlyMap<unknown, unknown>, step: number) => {
      seen.push(step);
      return { weights: weights.size };
    },
  };
  const whole = await trainTeacher({ ...common, steps: 4, folder: join(folder, 'teacher'), evaluate });
  assert.equal(whole.steps, 4);
  assert.deepEqual(seen, [2, 4]);
  const log = await logOf('teacher');
  assert.equal(log.filter((record) => 'loss' in record).length, 4);
  assert.ok('count_σ<0.3' in log[0]!);
  assert.ok(log.at(-1)!.weights! > 10);
  const controller = new AbortController();
  const onStep = (step: number) => step === 2 && controller.abort();
  const stopping = { ...common, steps: 4, folder: join(folder, 'stopped'), evaluate };
  const first = await trainTeacher({ ...stopping, onStep, signal: controller.signal });
  assert.equal(first.steps, 2);
  const second = await trainTeacher({ ...stopping, resume: true });
  assert.deepEqual([...second.weights.values()], [...whole.weights.values()]);
});

test('a teacher goes on from given weights, on pictures of one class', async () => {
  const some = pictures(data.train, { classes: [1] });
  assert.equal(some.length, 32);
  assert.deepEqual(
    [0, 31].map((n) => (some.get(n, new Random(1)) as Picture).label),
    [1, 1],
  );
  const options = { hiddenSize: 8, depth: 1, numHeads: 2 };
  const model = cifar10Teacher(options);
  const start = { model, weights: initialize(model, 7), options, card: {} };
  const common = { device, data, seed: 1, batchSize: 16, start, classes: [1] };
  // at no rate nothing moves: the result is the start
  const given = { ...common, steps: 2, peakRate: 0, folder: join(folder, 'tuned') };
  const same = await trainTeacher(given);
  for (const [name, value] of stateDict(model, start.weights))
    assert.deepEqual(toNumbers(stateDict(same.model, same.weights).get(name)!), toNumbers(value), name);
});

test('the feature network learns two kinds of pictures', async () => {
  const common = { device, data, seed: 2, batchSize: 16, folder: join(folder, 'features') };
  const { steps } = await trainFeatures({ ...common, steps: 16, peakRate: 0.05 });
  assert.equal(steps, 16);
  const last = (await logOf('features')).at(-1)!;
  assert.ok(last.testAccuracy! > 0.9, `accuracy ${last.testAccuracy}`);
});
