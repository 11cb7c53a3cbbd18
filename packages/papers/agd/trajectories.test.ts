import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { Epsilon } from '@working-papers/models/diffusion/epsilon';
import { guided } from '@working-papers/models/diffusion/guidance';
import { ddpmSigmas } from '@working-papers/models/diffusion/levels';
import { perPicture } from '@working-papers/models/diffusion/preconditioned';
import { euler, sample } from '@working-papers/models/diffusion/samplers';
import { DiT } from '@working-papers/models/dit';
import { encodeTorch } from '@working-papers/nn/torch-file';
import { ndarray, type Tensor, toNumbers } from '@working-papers/tensor';
import { randomWeights, shape, sigmas, testDevice, tinyModel, tinyTrajectories } from './test/tiny.ts';
import { drawConditions, recordForward, recordTrajectories } from './trajectories.ts';
import { readTrajectories, writeTrajectories } from './trajectory-files.ts';

const device = await testDevice();
const model = tinyModel();
const weights = randomWeights(model, 1, 0.25);
const set = await tinyTrajectories(device, model, weights);
const folder = await mkdtemp(join(tmpdir(), 'agd-'));
after(() => rm(folder, { recursive: true }));
const everything = set.batch(
  Array.from({ length: 24 }, (_, i) => ({ trajectory: Math.floor(i / 4), step: i % 4 })),
);

async function ask(f: (x: Tensor, level: Tensor, labels: Tensor) => Tensor, labels = everything.labels) {
  const compiled = await device.compile(f, {
    inputs: [{ shape: [24, ...shape] }, { shape: [24] }, { shape: [24], dtype: 'int32' }] as const,
    weights,
  });
  const out = toNumbers(await compiled(everything.x, everything.level, labels));
  await compiled.dispose();
  return out;
}

test('targets are the guided answers at the stored inputs: at ω = 1 the conditional one, at 0 the other', async () => {
  const conditional = await ask((x, t, y) => model.network.forward(x, t, y));
  const none = ndarray(new Int32Array(24).fill(3), [24], 'int32');
  const unconditional = await ask((x, t, y) => model.network.forward(x, t, y), none);
  const target = toNumbers(everything.target);
  for (const [i, value] of target.entries()) {
    const omega = Number(everything.scale.data[Math.floor(i / 16)]);
    const expected = unconditional[i]! + omega * (conditional[i]! - unconditional[i]!);
    assert.ok(Math.abs(value - expected) < 1e-2 * Math.max(1, Math.abs(expected)), `${value} ${expected}`);
  }
});

test('at ω = 1 the target is the conditional answer exactly, at 0 the unconditional one', async () => {
  const inputs = [{ shape: [1, ...shape] }, { shape: [1] }, { shape: [1], dtype: 'int32' }] as const;
  const call = await device.compile((x: Tensor, sigma: Tensor, y: Tensor) => model.raw(x, sigma, y), {
    inputs,
    weights,
  });
  const guide = guided((x, sigma, y) => model.raw(x, sigma, y), { nullLabel: 3 });
  const both = await device.compile(guide, { inputs: [...inputs, { shape: [1] }] as const, weights });
  const x = ndarray(
    Array.from({ length: 16 }, (_, i) => Math.cos(i)),
    [1, ...shape],
  );
  const label = (y: number) => ndarray([y], [1], 'int32');
  for (const [omega, y] of [
    [1, 2],
    [0, 3],
  ] as const) {
    const target = toNumbers(await both(x, ndarray([0.7]), label(2), ndarray([omega])));
    const answer = toNumbers(await call(x, ndarray([0.7]), label(y)));
    assert.ok(target.every((value, i) => Math.abs(value - answer[i]!) < 1e-6 * Math.max(1, Math.abs(value))));
  }
  await call.dispose();
  await both.dispose();
});

test('guidance in x0, carried to ε, is guidance in ε, and in F', async () => {
  const n = 5;
  const inputs = [
    { shape: [n, ...shape] },
    { shape: [n] },
    { shape: [n], dtype: 'int32' },
    { shape: [n] },
  ] as const;
  const epsilon = (x: Tensor, sigma: Tensor, clean: Tensor) => x.sub(clean).div(perPicture(sigma));
  const inClean = guided((x, sigma, y) => model.forward(x, sigma, y), { nullLabel: 3 });
  const inEpsilon = guided((x, sigma, y) => epsilon(x, sigma, model.forward(x, sigma, y)), { nullLabel: 3 });
  const inRaw = guided((x, sigma, y) => model.raw(x, sigma, y), { nullLabel: 3 });
  const compiled = await device.compile(
    (x: Tensor, sigma: Tensor, y: Tensor, scale: Tensor) => [
      epsilon(x, sigma, inClean(x, sigma, y, scale)),
      inEpsilon(x, sigma, y, scale),
      epsilon(x, sigma, model.denoised(x, sigma, inRaw(x, sigma, y, scale))),
    ],
    { inputs, weights },
  );
  const levels = [0.3, 0.5, 1, 4, 40];
  const x = Float32Array.from({ length: n * 16 }, (_, i) => levels[Math.floor(i / 16)]! * Math.sin(3 * i));
  const outputs = await compiled(
    ndarray(x, [n, ...shape]),
    ndarray(levels),
    ndarray([0, 1, 2, 0, 1], [n], 'int32'),
    ndarray([0.5, 1, 2, 4, 6]),
  );
  const [first, ...others] = outputs.map(toNumbers);
  for (const other of others)
    for (const [i, value] of other.entries())
      assert.ok(Math.abs(value - first![i]!) < 1e-5 * Math.max(1, Math.abs(value)), `${value} ${first![i]}`);
  await compiled.dispose();
});

test('replaying a trajectory with the guided teacher passes through its points', async () => {
  const denoiser = await compileDenoiser({ device, model, weights, shape });
  const seen: number[][] = [];
  await sample({
    denoise: denoiser.for({ labels: set.data.labels, scale: set.data.scales }),
    sampler: euler,
    sigmas,
    count: set.count,
    size: 16,
    seed: 5,
    onStep: ({ x, sigma }) => {
      seen.push(Array.from(x, (value) => value / Math.sqrt(sigma ** 2 + 0.25)));
    },
  });
  const points = seen.map((_, step) =>
    Array.from({ length: set.count }, (_, trajectory) => ({ trajectory, step })),
  );
  for (const [step, values] of seen.entries()) {
    const stored = toNumbers(set.batch(points[step]!).x);
    for (const [i, value] of values.entries())
      assert.ok(Math.abs(value - stored[i]!) < 3e-3 * Math.max(1, Math.abs(value)), `${value} ${stored[i]}`);
  }
  await denoiser.dispose();
});

test('seeded, whatever the batch; conditions cover the classes and the range', async () => {
  const conditions = drawConditions(6, { classes: 3, seed: 5 });
  const again = await recordTrajectories({
    device,
    model,
    weights,
    shape,
    sigmas,
    ...conditions,
    seed: 5,
    batchSize: 6,
  });
  const worst = again.data.inputs.findIndex((bits, i) => Math.abs(bits - set.data.inputs[i]!) > 4);
  assert.equal(worst, -1);
  assert.deepEqual(conditions.labels, [0, 1, 2, 0, 1, 2]);
  const many = drawConditions(2000, { classes: 3, seed: 5 }).scales;
  assert.ok(Math.min(...many) >= 1 && Math.max(...many) <= 6 && Math.max(...many) > 5.9);
});

test('forward points are noised pictures at the same levels', async () => {
  const forward = await recordForward({
    device,
    model,
    weights,
    shape,
    sigmas,
    labels: [0, 2],
    scales: [2, 5],
    seed: 1,
    clean: (label) => new Array(16).fill(label / 2),
  });
  assert.deepEqual(forward.data.levels, set.data.levels);
  const last = toNumbers(forward.batch([{ trajectory: 1, step: 3 }]).x);
  // at σ = 0.002 the picture itself, over d
  assert.ok(last.every((value) => Math.abs(value - 2) < 0.05));
});

test('a noise-predicting network with a learned variance: guided channels, the others conditional', async () => {
  const network = new DiT({
    hiddenSize: 8,
    depth: 1,
    numHeads: 2,
    patchSize: 2,
    inputSize: 4,
    inChannels: 1,
    classes: 3,
  });
  const epsilon = new Epsilon(network);
  const own = await recordTrajectories({
    device,
    model: epsilon,
    weights: randomWeights(network, 4),
    shape,
    sigmas: ddpmSigmas([0, 400, 999]),
    labels: [1],
    scales: [2],
    channels: 1,
    seed: 1,
  });
  assert.equal(own.data.parts, 2);
  assert.deepEqual(own.data.levels, [999, 400, 0]);
  assert.deepEqual(own.batch([{ trajectory: 0, step: 0 }]).target.shape, [1, 2, 4, 4]);
});

test('parting by trajectories', () => {
  const some = set.select([4, 1]);
  assert.deepEqual(some.data.labels, [set.data.labels[4], set.data.labels[1]]);
  assert.deepEqual(
    some.batch([{ trajectory: 1, step: 2 }]).target,
    set.batch([{ trajectory: 1, step: 2 }]).target,
  );
});

test('the release’s folders: written, read again, and refused with the file’s name where they are damaged', async () => {
  const path = join(folder, 'set');
  await writeTrajectories(path, set);
  const { scales, ...read } = (await readTrajectories(path)).data;
  const { scales: _, ...expected } = set.data;
  assert.deepEqual(read, expected);
  assert.deepEqual(scales, set.data.scales);
  await assert.rejects(writeTrajectories(path, set), /is not empty/);

  const file = join(path, '000003', 'trajectory.npy');
  assert.equal((await readFile(file)).length, 2 * 4 * 2 * 16);
  await truncate(file, 200);
  await assert.rejects(readTrajectories(path), {
    name: 'TrajectoryError',
    message: `${file} has 200 bytes, expected 256`,
  });
  await writeFile(file, Buffer.alloc(384));
  await assert.rejects(readTrajectories(path), { message: `${file} has 384 bytes, expected 256` });
  await writeFile(join(path, '000003', 'conditioning.pt'), encodeTorch(new Map([['class_label', 1]])));
  await assert.rejects(readTrajectories(path), /000003.conditioning\.pt: 'cfg_scale' is undefined/);
  await assert.rejects(readTrajectories(join(folder, 'none')), /holds no trajectories/);
});

test('a folder as the release writes it: numbers as tensors, three parts, DDPM’s steps', async () => {
  const path = join(folder, 'release');
  await mkdir(join(path, '000000'), { recursive: true });
  await writeFile(join(path, 'timesteps.pt'), encodeTorch(ndarray([999, 0], [2], 'int64')));
  await writeFile(join(path, 'latent_shape.pt'), encodeTorch([1, 2, 2]));
  const condition = new Map([
    ['class_label', ndarray([207], [1], 'int64')],
    ['cfg_scale', ndarray([2.5], [1])],
  ]);
  await writeFile(join(path, '000000', 'conditioning.pt'), encodeTorch(condition));
  const halves = Uint16Array.from({ length: 2 * 3 * 4 }, (_, i) => 0x3c00 + i);
  await writeFile(join(path, '000000', 'trajectory.npy'), halves);
  const read = await readTrajectories(path);
  assert.equal(read.data.parts, 2);
  assert.deepEqual(read.data.labels, [207]);
  assert.deepEqual(read.data.scales, [2.5]);
  assert.deepEqual(
    [...read.data.inputs],
    [0, 1, 2, 3, 12, 13, 14, 15].map((i) => 0x3c00 + i),
  );
  assert.ok(Math.abs(read.data.sigmas[0]! - 157.4) < 0.1);
  const spaced = await readTrajectories(path, { levels: [999, 500] });
  assert.deepEqual(spaced.data.levels, [999, 500]);
});
