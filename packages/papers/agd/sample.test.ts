import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { type Denoise, euler, sample } from '@working-papers/models/diffusion/samplers';
import { initialize } from '@working-papers/nn/module';
import { adapterKinds, GuidanceAdapters, sizeOfNetwork } from './model.ts';
import { type AdaptedConditions, compileAdapted } from './sample.ts';
import { randomWeights, shape, sigmas, testDevice, tinyModel } from './test/tiny.ts';

const device = await testDevice();
const model = tinyModel();
const weights = randomWeights(model, 1);
const labels = [0, 1, 2, 1, 1];
const scale = [1, 2, 3, 2, 4];

const compile = (adapters: GuidanceAdapters, adapterWeights = randomWeights(adapters, 2)) =>
  compileAdapted({ device, model, weights, adapters, adapterWeights, shape });

const draw = (denoise: Denoise, count = labels.length) =>
  sample({ denoise, sampler: euler, sigmas, count, size: 16, seed: 3 });

function assertClose(a: Float64Array, b: Float64Array, tolerance = 1e-4): void {
  assert.equal(a.length, b.length);
  for (let i = 0; i < a.length; i++) {
    const error = Math.abs(a[i]! - b[i]!);
    assert.ok(error <= tolerance * Math.max(1, Math.abs(b[i]!)), `number ${i}: ${a[i]} and ${b[i]}`);
  }
}

for (const [kind, linear] of adapterKinds.flatMap(
  (kind) =>
    [
      [kind, false],
      [kind, true],
    ] as const,
))
  test(`${linear ? 'linear ' : ''}${kind} adapters: computed once ahead they say what they say step by step`, async () => {
    const adapters = new GuidanceAdapters({ kind, hiddenSize: 4, linear }, sizeOfNetwork(model.network));
    const adapted = await compile(adapters);
    const there = await draw(adapted.for({ labels, scale }));
    assert.equal(adapted.rows, labels.length * (sigmas.length - 1));
    const hoisted = await draw(adapted.for({ labels, scale, sigmas }));
    assertClose(hoisted, there);
    assert.equal(adapted.rows, 2 * labels.length * (sigmas.length - 1));
    await adapted.dispose();
  });

test('one call a step, guidance two; untrained adapters are the conditional model', async () => {
  const adapters = new GuidanceAdapters({ kind: 'offset', hiddenSize: 4 }, sizeOfNetwork(model.network));
  const adapted = await compile(adapters, initialize(adapters, 1));
  const denoiser = await compileDenoiser({ device, model, weights, shape });
  const plain = await draw(denoiser.for({ labels }));
  const steps = sigmas.length - 1;
  assert.equal(denoiser.rows, labels.length * steps);
  assert.deepEqual(await draw(adapted.for({ labels, scale })), plain);
  assert.equal(adapted.rows, labels.length * steps);
  await draw(denoiser.for({ labels, scale }));
  assert.equal(denoiser.rows, 3 * labels.length * steps);
  await adapted.dispose();
  await denoiser.dispose();
});

test('what cannot be is refused in one line', async () => {
  const adapters = new GuidanceAdapters({ kind: 'offset', hiddenSize: 4 }, sizeOfNetwork(model.network));
  const adapted = await compile(adapters);
  const cases: [object, RegExp][] = [
    [{ labels }, /^adapters need the guidance scale of each picture$/],
    [{ labels, scale: -1 }, /^guidance scale -1 is not 0 or more$/],
    [{ labels, scale: Number.NaN }, /^guidance scale NaN is not 0 or more$/],
    [{ labels, scale: [1, 2] }, /^2 guidance scales for 5 pictures$/],
    [{ labels: [3], scale: 1 }, /^label 3 of picture 0 is not one of 0 to 2$/],
    [{ labels, scale: 2, guidance: 3 }, /^classifier-free guidance is on \(3\) beside the adapters/],
  ];
  for (const [conditions, message] of cases)
    assert.throws(() => adapted.for(conditions as AdaptedConditions), { message });
  await assert.rejects(
    draw(adapted.for({ labels, scale: 2, sigmas: [7, 0] })),
    /noise level 80 is not one of/,
  );
  await adapted.dispose();
});
