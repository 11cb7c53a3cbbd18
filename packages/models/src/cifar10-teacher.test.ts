import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { countParameters, initialize, stateShapes } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { Trainer } from '@working-papers/nn/trainer';
import { ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { cifar10Teacher } from './cifar10-teacher.ts';
import { compileDenoiser } from './diffusion/denoiser.ts';
import { edmLoss } from './diffusion/edm.ts';
import { guided } from './diffusion/guidance.ts';
import { karrasSigmas } from './diffusion/levels.ts';
import { euler, sample } from './diffusion/samplers.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const small = { hiddenSize: 16, depth: 2, numHeads: 2, inputSize: 8 };
const shape = [3, 8, 8] as const;
const size = 192;

/** A small teacher with numbers in every weight: fresh ones leave the output zero. */
function randomTeacher(seed: number) {
  const model = cifar10Teacher(small);
  const weights = new Map(initialize(model, seed));
  const random = new Random(seed);
  for (const weight of model.namedWeights().values()) {
    const dims = weight.shape as number[];
    const count = dims.reduce((a, b) => a * b, 1);
    if (weight.trainable) weights.set(weight, ndarray(random.normals(count, 0, 0.2), dims));
  }
  return { model, weights };
}

function largest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

test('the size of the specification, under the official names', () => {
  const model = cifar10Teacher();
  const shapes = stateShapes(model);
  assert.deepEqual(shapes.get('x_embedder.proj.weight'), [160, 3, 4, 4]);
  assert.deepEqual(shapes.get('blocks.7.adaLN_modulation.1.weight'), [960, 160]);
  assert.deepEqual(shapes.get('y_embedder.embedding_table.weight'), [11, 160]);
  assert.deepEqual(shapes.get('final_layer.linear.weight'), [48, 160]);
  assert.deepEqual(shapes.get('pos_embed'), [1, 64, 160]);
  assert.ok(Math.abs(countParameters(model) / 3.84e6 - 1) < 0.01, `${countParameters(model)} parameters`);
});

test('it learns: the loss of a small one starts at 1 and falls', async () => {
  const model = cifar10Teacher(small);
  const trainer = await Trainer.create({
    device,
    model,
    seed: 1,
    batch: { images: { shape: [32, ...shape] }, labels: { shape: [32], dtype: 'int32' } },
    loss: ({ images, labels }) => edmLoss(model, images, labels),
    optimizer: adamW(),
    clipNorm: 1,
    ema: 0.9,
  });
  const labels = ndarray(
    new Int32Array(32).map((_, i) => i % 10),
    [32],
    'int32',
  );
  // flat pictures of one brightness a class
  const images = ndarray(
    Float32Array.from({ length: 32 * size }, (_, i) => (Math.floor(i / size) % 10) / 5 - 0.9),
    [32, ...shape],
  );
  const losses: number[] = [];
  for (let step = 0; step < 120; step++) losses.push((await trainer.train({ images, labels }, 3e-3)).loss!);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  assert.ok(Math.abs(losses[0]! - 1) < 0.3, `first loss ${losses[0]}`);
  assert.ok(mean(losses.slice(-10)) < 0.5 * losses[0]!, `last losses ${losses.slice(-10)}`);
  await trainer.dispose();
});

test('guidance: 1 is the conditional answer, 0 the unconditional, each picture has its own', async () => {
  const { model, weights } = randomTeacher(2);
  const count = 3;
  const inputs = [
    { shape: [count, ...shape] },
    { shape: [count] },
    { shape: [count], dtype: 'int32' },
    { shape: [count] },
  ] as const;
  const x = ndarray(new Random(4).normals(count * size, 0, 2), [count, ...shape]);
  const sigma = ndarray([0.5, 2, 10]);
  const labels = ndarray([1, 4, 10], [count], 'int32');
  const conditional = (x: Tensor, s: Tensor, y: Tensor) => model.forward(x, s, y);
  const run = async (body: (...tensors: [Tensor, Tensor, Tensor, Tensor]) => Tensor, scales: number[]) => {
    const compiled = await device.compile(body, { inputs, weights });
    return toNumbers(await compiled(x, sigma, labels, ndarray(scales)));
  };
  const guide = guided(conditional, { nullLabel: 10 });
  const c = await run(
    (x, s, y, w) => conditional(x, s, y).add(w.mul(0).reshape([count, 1, 1, 1])),
    [0, 0, 0],
  );
  const u = await run(
    (x, s, y, w) => conditional(x, s, y.mul(0).add(10)).add(w.mul(0).reshape([count, 1, 1, 1])),
    [0, 0, 0],
  );
  const scales = [1, 0, 3];
  const mixed = await run(guide, scales);
  const at = (i: number) => scales[Math.floor(i / size)]!;
  assert.ok(
    largest(
      mixed,
      c.map((value, i) => u[i]! + at(i) * (value - u[i]!)),
    ) < 1e-5,
  );
  assert.ok(largest(await run(guide, [1, 1, 1]), c) < 1e-6);
  assert.ok(largest(await run(guide, [0, 0, 0]), u) < 1e-6);
  // guided F, mapped to D, is guided D
  const rawGuide = guided((x, s, y) => model.raw(x, s, y), { nullLabel: 10 });
  const throughRaw = await run((x, s, y, w) => model.denoised(x, s, rawGuide(x, s, y, w)), [2, 2, 2]);
  assert.ok(largest(throughRaw, await run(guide, [2, 2, 2])) < 1e-5);
  const some = await run(guided(conditional, { nullLabel: 10, channels: 2 }), [2, 2, 2]);
  const whole = await run(guide, [2, 2, 2]);
  const expected = whole.map((value, i) => (Math.floor(i / 64) % 3 === 2 ? c[i]! : value));
  assert.ok(largest(some, expected) < 1e-6);
});

test('sampling: pictures of two classes and scales in one batch are those of single runs', async () => {
  const { model, weights } = randomTeacher(3);
  const denoiser = await compileDenoiser({ device, model, weights, shape });
  const options = { sampler: euler, sigmas: karrasSigmas(4), size, seed: 7 };
  const scale = [1.5, 4];
  const both = await sample({ ...options, count: 2, denoise: denoiser.for({ labels: [2, 8], scale }) });
  assert.equal(denoiser.rows, 4 * 2 * 2);
  const second = await sample({
    ...options,
    count: 1,
    first: 1,
    denoise: denoiser.for({ labels: [8], scale: 4 }),
  });
  assert.ok(largest(second, both.slice(size)) < 1e-4);
  const plain = denoiser.for({ labels: [2, 8] });
  const one = denoiser.for({ labels: [2, 8], scale: 1 });
  const rows = denoiser.rows;
  const unguided = await sample({ ...options, count: 2, denoise: plain });
  assert.equal(denoiser.rows - rows, 4 * 2);
  assert.ok(largest(await sample({ ...options, count: 2, denoise: one }), unguided) < 1e-4);

  assert.throws(() => denoiser.for({ labels: [11] }), /label 11 of picture 0 is not one of 0 to 10/);
  assert.throws(() => denoiser.for({ labels: [1], scale: -1 }), /guidance scale -1 is not 0 or more/);
  assert.throws(
    () => denoiser.for({ labels: [1], scale: Number.NaN }),
    /guidance scale NaN is not 0 or more/,
  );
  assert.throws(() => denoiser.for({ labels: [1], scale: [1, 2] }), /2 guidance scales for 1 pictures/);
  await denoiser.dispose();
});
