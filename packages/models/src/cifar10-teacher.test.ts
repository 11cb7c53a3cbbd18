import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Cifar10Split } from '@working-papers/nn/cifar10';
import { readLog } from '@working-papers/nn/log';
import { countParameters, initialize, stateDict } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { openDevice, toNumbers } from '@working-papers/tensor';
import { openTeacher, quickTeacherOptions, teacherOptions } from './cifar10-teacher.ts';
import { Dit } from './dit.ts';
import { guided } from './guidance.ts';
import { karrasLevels } from './noise-levels.ts';
import { euler, sample } from './samplers.ts';
import { collateExamples, teacherExamples, teacherSchedule, trainTeacher } from './train-cifar10-teacher.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const folder = await mkdtemp(join(tmpdir(), 'teacher-'));
after(() => rm(folder, { recursive: true }));

test('the teacher has 3.84 M parameters, the quick one 1 M', () => {
  assert.equal(countParameters(new Dit(teacherOptions)), 3_841_328);
  assert.ok(Math.abs(countParameters(new Dit(quickTeacherOptions)) / 1e6 - 1.06) < 0.05);
});

const tiny = { ...teacherOptions, hiddenSize: 16, depth: 2, numHeads: 2 };
const pictures = (count: number) =>
  new Cifar10Split(
    Uint8Array.from({ length: count * 3072 }, (_, i) => (Math.floor(i / 1024) * 60 + (i % 32)) % 256),
    Uint8Array.from({ length: count }, (_, i) => i % 10),
  );
const data = { train: pictures(5200), test: pictures(10) };

test('pictures become −1 to 1, mirrored or not', async () => {
  const split = new Cifar10Split(
    Uint8Array.from({ length: 3072 }, (_, i) => (i % 32 === 0 ? 255 : 0)),
    Uint8Array.of(3),
  );
  const one = await teacherExamples(split, [0], false).get(0, new Random(1));
  const { images, labels } = collateExamples([one, { ...one, flip: true }]);
  const row = (n: number) => toNumbers(images).slice(n * 3072, n * 3072 + 32);
  assert.deepEqual(row(0), [1, ...Array(31).fill(-1)]);
  assert.deepEqual(row(1), row(0).toReversed());
  assert.deepEqual([...labels.data], [3, 3]);
});

test('the rate rises, stays, and falls to nothing over the last 30 %', () => {
  const rate = teacherSchedule(2, 1000);
  assert.deepEqual([rate(0), rate(49), rate(500), rate(700), rate(850)], [2 / 50, 2, 2, 2, 1]);
  assert.ok(rate(999) > 0 && rate(999) < 0.01);
});

test('training lowers the held-out loss at every noise level, goes on exactly, and leaves a log', async () => {
  const common = {
    device,
    data,
    options: tiny,
    seed: 3,
    batchSize: 8,
    steps: 15,
    evaluateEvery: 5,
    peakRate: 5e-3,
  };
  const whole = await trainTeacher({ ...common, folder: join(folder, 'whole') });
  const stop = new AbortController();
  const parts = join(folder, 'parts');
  const first = await trainTeacher({
    ...common,
    folder: parts,
    signal: stop.signal,
    onStep: (step) => {
      if (step === 7) stop.abort();
    },
  });
  await first.trainer.dispose();
  const second = await trainTeacher({ ...common, folder: parts, resume: true });
  const ema = async ({ model, trainer }: typeof whole) =>
    [...stateDict(model, await trainer.weights('ema'))].map(([name, { data }]) => [name, [...data]]);
  assert.deepEqual(await ema(second), await ema(whole));
  const held = (await readLog(join(folder, 'whole', 'log.jsonl'))).filter((line) => 'heldOut' in line);
  assert.equal(held.length, 3);
  for (const name of ['heldOut', 'heldOut0.3', 'heldOut3'])
    assert.ok(
      Number(held[2]![name]) < Number(held[0]![name]),
      `${name}: ${held[0]![name]}, ${held[2]![name]}`,
    );
  await whole.trainer.dispose();
  await second.trainer.dispose();
});

test('an untrained teacher says c_skip x; sampling is seeded; labels that are none are refused', async () => {
  const model = new Dit(tiny);
  const teacher = await openTeacher(device, stateDict(model, initialize(model, 1)), tiny);
  const x = new Random(2).normals(2 * teacher.sampleSize);
  const labels = Int32Array.of(1, 10);
  const found = await teacher.denoise(x.slice(), { level: 2, step: 0 }, labels);
  found.forEach((value, i) => {
    assert.ok(Math.abs(value - (x[i]! * 0.25) / 4.25) < 1e-6);
  });
  const draw = (seed: number) =>
    sample({
      sampler: euler,
      levels: karrasLevels(4),
      noise: new Random(seed).normals(teacher.sampleSize),
      random: new Random(0),
      denoise: guided(teacher.denoise, { labels: Int32Array.of(3), nullLabel: teacher.nullLabel, scale: 2 }),
    });
  assert.deepEqual(await draw(1), await draw(1));
  assert.notDeepEqual(await draw(1), await draw(2));
  await assert.rejects(
    teacher.denoise(x, { level: 1, step: 0 }, Int32Array.of(0, 11)),
    /label 11 is not in 0 to 10/,
  );
  await teacher.dispose();
});
