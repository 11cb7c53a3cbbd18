import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { combineGuidance, guided } from './guidance.ts';
import {
  alphaBarOf,
  checkLevels,
  flowTimeOf,
  karrasLevels,
  levelOfAlphaBar,
  levelOfFlowTime,
  linearAlphaBars,
} from './noise-levels.ts';
import {
  type Denoiser,
  ddim,
  ddpm,
  dpmSolver2M,
  euler,
  flowEuler,
  heun,
  type Sampler,
  sample,
} from './samplers.ts';

/** Data from N(mean, deviation²), number by number: the estimate of x₀ is exact, and so is the path to it. */
const [mean, deviation] = [0.4, 0.3];
const gaussian: Denoiser = async (x, { level }) =>
  x.map((value) => (deviation ** 2 * value + level ** 2 * mean) / (deviation ** 2 + level ** 2));
/** Where the probability flow carries x at a level to: scaled about the mean by the ratio of deviations. */
const flowsTo = (x: number, from: number) => mean + ((x - mean) * deviation) / Math.hypot(deviation, from);

const noise = new Random(1).normals(64);
const base = { noise, random: new Random(2) };
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

async function errorOf(sampler: Sampler, steps: number): Promise<number> {
  const levels = karrasLevels(steps);
  const found = await sample({ ...base, sampler, levels, denoise: gaussian });
  return distance(
    found,
    Array.from(noise, (value) => flowsTo(value * levels[0]!, levels[0]!)),
  );
}

for (const [sampler, order] of [
  [euler, 1],
  [ddim(), 1],
  [flowEuler, 1],
  [heun, 2],
  [dpmSolver2M, 2],
] as const) {
  test(`${sampler.name} converges to the exact path with order ${order}`, async () => {
    const [coarse, fine] = [await errorOf(sampler, 40), await errorOf(sampler, 80)];
    const found = Math.log2(coarse / fine);
    assert.ok(Math.abs(found - order) < 0.35, `order ${found}: errors ${coarse}, ${fine}`);
    assert.ok(fine < (order === 1 ? 0.1 : 0.01), `error ${fine}`);
  });
}

test('DDIM, flow matching and Euler in σ are one sampler in three tongues', async () => {
  const run = (sampler: Sampler) => sample({ ...base, sampler, levels: karrasLevels(12), denoise: gaussian });
  const expected = await run(euler);
  for (const sampler of [ddim(), flowEuler]) assert.ok(distance(await run(sampler), expected) < 2e-6);
  // the first step of a multistep method has nothing to remember
  const levels = [5, 2];
  const steps = async (sampler: Sampler) => {
    const reached: Float32Array[] = [];
    await sample({ ...base, sampler, levels, denoise: gaussian, onStep: (_, x) => void reached.push(x) });
    return reached[0]!;
  };
  assert.ok(distance(await steps(dpmSolver2M), await steps(euler)) < 2e-6);
});

test('the ancestral step is DDPM’s equation in x_t, and DDIM with η = 1 is the same', async () => {
  const alphaBars = linearAlphaBars();
  const [t, count] = [600, 16];
  const [alphaBar, before] = [alphaBars[t]!, alphaBars[t - 1]!];
  const levels = [alphaBar, before].map(levelOfAlphaBar);
  const estimate = new Random(5).normals(count);
  const denoise: Denoiser = async () => estimate;
  const one = async (sampler: Sampler) => {
    const reached: Float32Array[] = [];
    const from = new Random(3).normals(count);
    await sample({
      sampler,
      levels,
      denoise,
      noise: from,
      random: new Random(4),
      onStep: (_, x) => void reached.push(x),
    });
    return reached[0]!;
  };
  const found = await one(ddpm());
  const drawn = new Random(4).normals(count);
  const beta = 1 - alphaBar / before;
  const start = new Random(3).normals(count);
  start.forEach((unit, i) => {
    const mixed = unit * levels[0]! * Math.sqrt(alphaBar); // x_t
    const epsilon = (mixed - Math.sqrt(alphaBar) * estimate[i]!) / Math.sqrt(1 - alphaBar);
    const average = (mixed - (beta / Math.sqrt(1 - alphaBar)) * epsilon) / Math.sqrt(1 - beta);
    const spread = Math.sqrt((beta * (1 - before)) / (1 - alphaBar));
    const expected = (average + spread * drawn[i]!) / Math.sqrt(before);
    assert.ok(Math.abs(found[i]! - expected) < 1e-5 * (1 + Math.abs(expected)), `${found[i]}, ${expected}`);
  });
  assert.ok(distance(await one(ddim(1)), found) < 1e-5 * levels[0]!);
  assert.ok(distance(await one(ddpm('beta')), found) > 1e-4);
});

test('samplers with and without noise draw from the data’s distribution', async () => {
  const many = new Random(8).normals(4000);
  for (const sampler of [ddpm(), ddim(0.5), heun]) {
    const found = await sample({
      sampler,
      noise: many,
      random: new Random(9),
      levels: karrasLevels(200),
      denoise: gaussian,
    });
    const average = found.reduce((a, b) => a + b) / found.length;
    const spread = Math.sqrt(found.reduce((a, b) => a + (b - average) ** 2, 0) / found.length);
    assert.ok(Math.abs(average - mean) < 0.02, `${sampler.name}: mean ${average}`);
    assert.ok(Math.abs(spread - deviation) < 0.015, `${sampler.name}: deviation ${spread}`);
  }
});

test('calls are as many as announced, steps are told in order, and the same seed gives the same samples', async () => {
  for (const sampler of [euler, heun, dpmSolver2M, ddim(0.3), ddpm(), flowEuler]) {
    let calls = 0;
    const told: string[] = [];
    const run = () =>
      sample({
        sampler,
        noise,
        random: new Random(6),
        levels: [3, 1, 0.2],
        denoise: (x, call) => {
          calls++;
          return gaussian(x, call);
        },
        onStep: (done, _, level) => void told.push(`${done}:${level}`),
      });
    const first = await run();
    assert.equal(calls, sampler.calls(3), sampler.name);
    assert.deepEqual(told, ['1:1', '2:0.2', '3:0']);
    assert.deepEqual(await run(), first);
  }
});

test('levels: the table’s ends, the mappings there and back, and what is refused', () => {
  const levels = karrasLevels(1000);
  assert.ok(Math.abs(levels[0]! - 80) < 1e-9 && Math.abs(levels.at(-1)! - 0.002) < 1e-12);
  assert.deepEqual(karrasLevels(1), [80]);
  for (const level of [0.002, 1, 80]) {
    assert.ok(Math.abs(levelOfAlphaBar(alphaBarOf(level)) / level - 1) < 1e-9);
    assert.ok(Math.abs(levelOfFlowTime(flowTimeOf(level)) / level - 1) < 1e-9);
  }
  // the levels of DDPM's last and first step
  const alphaBars = linearAlphaBars();
  assert.ok(Math.abs(levelOfAlphaBar(alphaBars[999]!) - 157.4) < 0.1);
  assert.ok(Math.abs(1 - alphaBars[0]! - 1e-4) < 1e-12);
  assert.throws(() => checkLevels([]), /no noise levels/);
  assert.throws(() => checkLevels([1, 1]), /must fall: 1 is followed by 1/);
  assert.throws(() => checkLevels([1, 0]), /noise level 0 is not above 0/);
  assert.throws(() => karrasLevels(2.5), /2\.5 noise levels/);
  assert.throws(() => karrasLevels(3, { smallest: 5, largest: 1 }), /from 5 to 1/);
  assert.throws(() => ddim(2), /η 2 is not in 0 to 1/);
});

test('a denoiser that answers with another size, and an abort, end the sampling', async () => {
  const options = { ...base, sampler: euler, levels: [1, 0.5] };
  await assert.rejects(
    sample({ ...options, denoise: async () => new Float32Array(3) }),
    /the denoiser gave 3 numbers for 64/,
  );
  const stop = new AbortController();
  const running = sample({
    ...options,
    denoise: gaussian,
    signal: stop.signal,
    onStep: () => stop.abort(new Error('enough')),
  });
  await assert.rejects(running, /enough/);
});

test('guidance: 1 is the conditional estimate, 0 the unconditional one, and each sample has its own scale', async () => {
  const asked: number[][] = [];
  const denoise = async (x: Float32Array, _: unknown, labels: Int32Array) => {
    asked.push([...labels]);
    const size = x.length / labels.length;
    return x.map((value, i) => value + 10 * labels[Math.floor(i / size)]!);
  };
  const options = { labels: Int32Array.of(1, 2), nullLabel: 7 };
  const x = Float32Array.of(0.1, 0.2, 0.3, 0.4);
  const call = { level: 1, step: 0 };
  const run = (scale: number | readonly number[]) => guided(denoise, { ...options, scale })(x, call);
  assert.deepEqual(
    await run(1),
    x.map((value, i) => value + (i < 2 ? 10 : 20)),
  );
  assert.deepEqual(asked, [[1, 2]], 'no unconditional half where nobody needs it');
  assert.deepEqual(
    await run(0),
    x.map((value) => value + 70),
  );
  assert.deepEqual(asked[1], [7, 7, 1, 2]);
  const mixed = await run([1, 3]);
  assert.deepEqual(mixed.subarray(0, 2), (await run(1)).subarray(0, 2));
  assert.deepEqual(mixed.subarray(2), (await run(3)).subarray(2));
  const [u, c] = [Float32Array.of(2, 2), Float32Array.of(3, 5)];
  assert.deepEqual(combineGuidance(u, c, [4]), Float32Array.of(6, 14));
  assert.throws(() => guided(denoise, { ...options, scale: -1 }), /guidance scale -1 is not a number from 0/);
  assert.throws(() => guided(denoise, { ...options, scale: [1] }), /1 guidance scales for 2 labels/);
  assert.throws(() => combineGuidance(u, c, [1, 1, 1]), /for 3 guidance scales/);
});
