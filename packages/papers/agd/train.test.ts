import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Weights } from '@working-papers/nn/module';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import { toNumbers } from '@working-papers/tensor';
import { drift, errorByScale, errorByStep, pointErrors, relativeError } from './evaluate.ts';
import { adapterKinds, student } from './model.ts';
import { losses, riseAndCosine } from './objective.ts';
import { randomWeights, testDevice, tinyModel, tinyTrajectories } from './test/tiny.ts';
import { trainAdapters, trainFully } from './train.ts';

const device = await testDevice();
const tiny = tinyModel();
const weights = randomWeights(tiny, 1, 0.25);
const trajectories = await tinyTrajectories(device, tiny, weights, 40);
const [seen, unseen] = [trajectories.select(range(0, 32)), trajectories.select(range(32, 40))];
const folder = await mkdtemp(join(tmpdir(), 'agd-'));
after(() => rm(folder, { recursive: true }));
let run = 0;

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

const common = (steps: number) =>
  ({
    device,
    network: tiny.network,
    weights,
    trajectories: seen,
    seed: 1,
    steps,
    batchSize: 16,
    peakRate: 1e-2,
    folder: join(folder, String(run++)),
  }) as const;

for (const kind of adapterKinds)
  test(`${kind} adapters learn guidance on trajectories they have not seen; the network stays as it was`, async () => {
    const before = new Map([...weights].map(([weight, { data }]) => [weight, data.slice()]));
    const options = common(300);
    const trained = await trainAdapters({ ...options, adapters: { kind, hiddenSize: 8 } });
    for (const [weight, { data }] of weights) assert.deepEqual(data, before.get(weight));
    const guided = student(tiny.network, trained.adapters);
    const all: Weights = new Map([...weights, ...trained.weights]);
    const points = await pointErrors({
      device,
      network: tiny.network,
      weights: all,
      guided,
      trajectories: unseen,
    });
    const error = relativeError(points)!;
    assert.ok(error < 0.9, `E is ${error}`);
    const { tensors } = await readSafetensors(join(options.folder, 'checkpoint.safetensors'));
    assert.ok(
      [...tensors.keys()].every((name) => /^(model|optimizer)(\.\w+)?\.blocks\.\d\.attn\./.test(name)),
    );
  });

for (const loss of losses)
  test(`the loss ${loss} falls`, async () => {
    const seenLosses: number[] = [];
    await trainAdapters({
      ...common(120),
      adapters: { kind: 'offset', hiddenSize: 8 },
      loss,
      onStep: (_, metrics) => seenLosses.push(metrics.loss!),
    });
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    assert.ok(mean(seenLosses.slice(-20)) < 0.9 * mean(seenLosses.slice(0, 10)));
  });

test('the whole network with ω as a condition learns it too', async () => {
  const { model, weights: all } = await trainFully({ ...common(300), peakRate: 3e-3 });
  const points = await pointErrors({
    device,
    network: tiny.network,
    weights: all,
    teacher: weights,
    guided: (...inputs) => model.forward(...inputs),
    trajectories: unseen,
  });
  assert.ok(relativeError(points)! < 0.6, String(relativeError(points)));
});

test('a stopped and resumed training is the undisturbed one, bit for bit', async () => {
  const adapters = { kind: 'offset', hiddenSize: 4 } as const;
  const whole = await trainAdapters({ ...common(20), adapters });
  const options = { ...common(20), adapters };
  const stop = new AbortController();
  const half = await trainAdapters({
    ...options,
    signal: stop.signal,
    onStep: (step) => {
      if (step === 9) stop.abort();
    },
  });
  assert.equal(half.steps, 9);
  const rest = await trainAdapters({ ...options, resume: true });
  const bits = (trained: typeof whole) =>
    [...trained.adapters.namedWeights()].map(([name, weight]) => [
      name,
      toNumbers(trained.weights.get(weight)!),
    ]);
  assert.deepEqual(bits(rest), bits(whole));
});

test('the rate rises over a tenth and falls as a cosine, both from and to a ten-thousandth', () => {
  const rate = riseAndCosine(1, 100);
  assert.ok(Math.abs(rate(0) - 1e-4) < 1e-12);
  assert.ok(Math.abs(rate(10) - 1) < 1e-12);
  assert.ok(Math.abs(rate(55) - (1e-4 + (1 - 1e-4) / 2)) < 1e-9);
  assert.ok(Math.abs(rate(100) - 1e-4) < 1e-12);
});

test('errors in buckets, by hand', () => {
  const point = (step: number, scale: number, error: number, gap: number) => ({
    trajectory: 0,
    step,
    scale,
    error,
    gap,
  });
  const points = [point(0, 1.5, 1, 4), point(1, 1.5, 1, 0), point(0, 3, 3, 6)];
  assert.equal(relativeError(points), 0.5);
  assert.deepEqual(
    errorByScale(points, [1, 2, 4, 6]).map(({ points: count, error }) => [count, error]),
    [
      [2, 0.5],
      [1, 0.5],
      [0, null],
    ],
  );
  assert.deepEqual(errorByStep(points, 2), [0.4, null]);
  assert.equal(drift([0, 0, 1, 1], [3, 4, 1, 1], 2), 2.5);
  assert.throws(() => drift([1], [1, 2], 1), /no pictures/);
});
