import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import {
  alphaBarOf,
  ddpmSigmas,
  flowTimeOf,
  karrasSigmas,
  linearAlphaBars,
  sigmaOfAlphaBar,
  sigmaOfFlowTime,
  spacedTimesteps,
} from './levels.ts';
import {
  type Denoise,
  ddim,
  ddpm,
  dpmSolver2M,
  euler,
  flowEuler,
  heun,
  type Sampler,
  sample,
  samplers,
} from './samplers.ts';

/** Data from a mixture of Gaussians on a line: E[x0 | x] is known exactly. */
const mixture = [
  { weight: 0.5, mean: -0.8, std: 0.2 },
  { weight: 0.3, mean: 0.1, std: 0.3 },
  { weight: 0.2, mean: 0.9, std: 0.1 },
] as const;

function denoiseOne(x: number, sigma: number): number {
  let [sum, total] = [0, 0];
  for (const { weight, mean, std } of mixture) {
    const variance = std * std + sigma * sigma;
    const density = (weight / Math.sqrt(variance)) * Math.exp((-0.5 * (x - mean) ** 2) / variance);
    sum += (density * (std * std * x + sigma * sigma * mean)) / variance;
    total += density;
  }
  return sum / total;
}

const denoise: Denoise = (x, sigma) => x.map((value) => denoiseOne(value, sigma));

const run = (sampler: Sampler, sigmas: readonly number[], count = 64) =>
  sample({ denoise, sampler, sigmas, count, size: 1, seed: 5 });

const largest = (a: Float64Array, b: Float64Array) =>
  a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
const rms = (a: Float64Array, b: Float64Array) =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / a.length);

/** Levels down to a positive end, where the flow is smooth, as a smooth function of the step. */
const smooth = (steps: number) => karrasSigmas(steps + 1, { min: 0.05, max: 5 }).slice(0, -1);

test('Euler converges with order 1, Heun and DPM-Solver++(2M) with order 2, to the exact flow', async () => {
  const exact = await run(heun, smooth(4000));
  for (const [sampler, order] of [
    [euler, 1],
    [ddim(), 1],
    [flowEuler, 1],
    [heun, 2],
    [dpmSolver2M, 2],
  ] as const) {
    const [coarse, fine] = [
      rms(await run(sampler, smooth(200)), exact),
      rms(await run(sampler, smooth(400)), exact),
    ];
    const measured = Math.log2(coarse / fine);
    assert.ok(Math.abs(measured - order) < 0.15, `${sampler.name}: order ${measured}, expected ${order}`);
  }
});

test('Euler, DDIM and the flow are one path in three coordinates', async () => {
  for (const sigmas of [karrasSigmas(18), ddpmSigmas(spacedTimesteps(20))]) {
    const expected = await run(euler, sigmas);
    assert.ok(largest(await run(ddim(), sigmas), expected) < 1e-9);
    assert.ok(largest(await run(flowEuler, sigmas), expected) < 1e-9);
  }
});

test('a step of each equals its formula', async () => {
  const [sigma, next, before] = [1.3, 0.7, 2.1];
  const [x, d, dBefore, z] = [0.4, -0.2, 0.1, 1.7];
  const step = async (sampler: Sampler) => {
    const noise = () => Float64Array.of(z);
    const previous = { sigma: before, denoised: [dBefore] };
    const state = { x: Float64Array.of(x), sigma, next, step: 1, denoised: [d], previous, denoise, noise };
    return (await sampler(state))[0]!;
  };
  const close = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}, expected ${expected}`);
  close(await step(euler), d + ((x - d) * next) / sigma);
  const predicted = d + ((x - d) * next) / sigma;
  const slopes = [(x - d) / sigma, (predicted - denoiseOne(predicted, next)) / next];
  close(await step(heun), x + (next - sigma) * ((slopes[0]! + slopes[1]!) / 2));
  // q(x' | x, x0) by Bayes' rule: x' ~ N(√ᾱ' x0, 1 − ᾱ') times x | x' ~ N(√α x', β)
  const [now, then] = [alphaBarOf(sigma), alphaBarOf(next)];
  const alpha = now / then;
  const precision = 1 / (1 - then) + alpha / (1 - alpha);
  const mean =
    ((Math.sqrt(then) * d) / (1 - then) + (Math.sqrt(alpha) * Math.sqrt(now) * x) / (1 - alpha)) / precision;
  close(await step(ddpm()), (mean + z / Math.sqrt(precision)) / Math.sqrt(then));
  close(await step(ddim(1)), (mean + z / Math.sqrt(precision)) / Math.sqrt(then));
  close(await step(ddpm('upper')), (mean + z * Math.sqrt(1 - alpha)) / Math.sqrt(then));
  // λ = −ln σ in coordinates with √ᾱ in front of the picture
  const [lBefore, l, lNext] = [before, sigma, next].map((s) => -Math.log(s)) as [number, number, number];
  const h = lNext - l;
  const r = (l - lBefore) / h;
  const mixed = (1 + 1 / (2 * r)) * d - (1 / (2 * r)) * dBefore;
  close(await step(dpmSolver2M), (next / sigma) * x - (Math.exp(-h) - 1) * mixed);
});

test('stochastic samplers draw from the data', async () => {
  const expect = (of: (part: (typeof mixture)[number]) => number) =>
    mixture.reduce((sum, part) => sum + part.weight * of(part), 0);
  const moments = [expect(({ mean }) => mean), expect(({ mean, std }) => mean ** 2 + std ** 2)];
  for (const sampler of [ddpm(), ddpm('upper'), ddim(1), ddim(0.5)]) {
    const x = await run(sampler, karrasSigmas(150), 4000);
    const mean = x.reduce((a, b) => a + b) / x.length;
    const square = x.reduce((a, b) => a + b * b, 0) / x.length;
    assert.ok(Math.abs(mean - moments[0]!) < 0.05, `mean ${mean}, expected ${moments[0]}`);
    assert.ok(Math.abs(square / moments[1]! - 1) < 0.08, `second moment ${square}, expected ${moments[1]}`);
  }
});

test('seeded: pictures do not depend on how many are made at once', async () => {
  for (const sampler of Object.values(samplers)) {
    const options = { denoise, sampler, sigmas: karrasSigmas(6), size: 3, seed: 9 };
    const whole = await sample({ ...options, count: 5 });
    const part = await sample({ ...options, count: 2, first: 3 });
    assert.deepEqual(part, whole.slice(9));
    assert.deepEqual(await sample({ ...options, count: 5 }), whole);
    assert.notDeepEqual(await sample({ ...options, count: 5, seed: 10 }), whole);
  }
});

test('calls: one a step, for Heun two except the last', async () => {
  const counted = async (sampler: Sampler) => {
    let calls = 0;
    const seen: number[] = [];
    await sample({
      denoise: (x, sigma, step) => {
        calls++;
        return denoise(x, sigma, step);
      },
      sampler,
      sigmas: karrasSigmas(18),
      count: 1,
      size: 1,
      seed: 1,
      onStep: ({ step }) => void seen.push(step),
    });
    assert.deepEqual(
      seen,
      Array.from({ length: 18 }, (_, i) => i),
    );
    return calls;
  };
  for (const [name, sampler] of Object.entries(samplers))
    assert.equal(await counted(sampler), name === 'heun' ? 35 : 18, name);
});

test('levels: tables and mappings', () => {
  const table = karrasSigmas(1000);
  for (const [i, value] of [
    [0, 80],
    [999, 0.002],
    [979, 0.003232],
    [1000, 0],
  ] as const)
    assert.ok(Math.abs(table[i]! - value) < 1e-6 * Math.max(1, value), `${table[i]} is not ${value}`);
  const random = new Random(1);
  for (let i = 0; i < 20; i++) {
    const sigma = Math.exp(random.normal(0, 2));
    assert.ok(Math.abs(sigmaOfAlphaBar(alphaBarOf(sigma)) / sigma - 1) < 1e-9);
    assert.ok(Math.abs(sigmaOfFlowTime(flowTimeOf(sigma)) / sigma - 1) < 1e-9);
  }
  const bars = linearAlphaBars();
  assert.ok(Math.abs(sigmaOfAlphaBar(bars[999]!) - 157.4) < 0.1);
  assert.ok(Math.abs((1 - bars[0]!) / bars[0]! - 1.0001e-4) < 1e-8);
  assert.deepEqual(
    spacedTimesteps(20),
    [0, 53, 105, 158, 210, 263, 315, 368, 421, 473, 526, 578, 631, 684, 736, 789, 841, 894, 946, 999],
  );
  assert.deepEqual(spacedTimesteps(1), [999]);
});

test('what cannot be is refused', async () => {
  const options = { denoise, sampler: euler, sigmas: karrasSigmas(4), count: 1, size: 1, seed: 1 };
  await assert.rejects(sample({ ...options, sigmas: [1, 2] }), /levels must fall, but 1 is followed by 2/);
  await assert.rejects(sample({ ...options, sigmas: [Number.NaN, 1] }), /noise level 0 is NaN/);
  await assert.rejects(sample({ ...options, sigmas: [1] }), /1 noise levels: a step needs two/);
  await assert.rejects(sample({ ...options, count: 0 }), /0 pictures are not 1 or more/);
  await assert.rejects(sample({ ...options, denoise: () => [1, 2] }), /the denoiser gave 2 numbers for 1/);
  await assert.rejects(
    sample({ ...options, denoise: () => [Number.NaN] }),
    /gave NaN at step 0, noise level 80/,
  );
  await assert.rejects(sample({ ...options, signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  assert.throws(() => karrasSigmas(0), /0 steps are not 1 or more/);
  assert.throws(() => karrasSigmas(4, { min: 90 }), /levels from 80 to 90 do not fall/);
  assert.throws(() => spacedTimesteps(1001), /1001 steps are not 1 to 1000/);
  assert.throws(() => ddim(-1), /eta -1 is negative/);
});
