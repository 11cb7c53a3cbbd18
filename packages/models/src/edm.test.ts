import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { constant, gradients, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { drawTrainingLevels, edmDenoise, edmLoss, edmScalings } from './edm.ts';
import { karrasLevels } from './noise-levels.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

async function evaluate<T extends Record<string, Tensor>>(tensors: T): Promise<Record<keyof T, number[]>> {
  const run = await device.compile(() => tensors as Record<string, Tensor>, { inputs: [] as const });
  const out = await run();
  await run.dispose();
  return Object.fromEntries(Object.entries(out).map(([name, array]) => [name, toNumbers(array)])) as Record<
    keyof T,
    number[]
  >;
}

const double = (values: ArrayLike<number>, shape: readonly number[]) =>
  constant(ndarray(Float64Array.from(values), shape, 'float64'));

test('scalings are table 1 of the paper, and keep input, output and target at unit variance', async () => {
  const levels = [0.002, 0.5, 80];
  const scale = edmScalings(double(levels, [3]));
  const found = await evaluate({ ...scale });
  levels.forEach((level, i) => {
    const variance = level ** 2 + 0.25;
    const expected = [0.25 / variance, (level * 0.5) / Math.sqrt(variance), 1 / Math.sqrt(variance)];
    [found.skip[i]!, found.out[i]!, found.in[i]!].forEach((value, k) => {
      assert.ok(Math.abs(value / expected[k]! - 1) < 1e-12, `${level}: ${value} for ${expected[k]}`);
    });
    assert.ok(Math.abs(found.in[i]! ** 2 * variance - 1) < 1e-12);
    // the target (x₀ − c_skip x) / c_out of data with deviation .5
    const target = ((1 - found.skip[i]!) ** 2 * 0.25 + (found.skip[i]! * level) ** 2) / found.out[i]! ** 2;
    assert.ok(Math.abs(target - 1) < 1e-9, `${level}: variance ${target}`);
  });
});

const random = new Random(1);
const [clean, noise] = [random.normals(12, 0, 0.5), random.normals(12)];
const levels = [0.05, 1, 30];
const shape = [3, 2, 2];
const network = (scaled: Tensor, level: Tensor) =>
  scaled.mul(0.7).add(level.log().reshape([3, 1, 1]).mul(0.1));

test('the loss is λ(σ) |D(x) − x₀|², sample by sample', async () => {
  const [x0, eps, sigma] = [double(clean, shape), double(noise, shape), double(levels, [3])];
  const x = x0.add(eps.mul(sigma.reshape([3, 1, 1])));
  const { loss, denoised } = await evaluate({
    loss: edmLoss(network, x0, eps, sigma),
    denoised: edmDenoise(network, x, sigma),
  });
  levels.forEach((level, n) => {
    const weight = (level ** 2 + 0.25) / (level * 0.5) ** 2;
    let sum = 0;
    for (let i = 4 * n; i < 4 * n + 4; i++) sum += weight * (denoised[i]! - clean[i]!) ** 2;
    assert.ok(Math.abs(loss[n]! / (sum / 4) - 1) < 1e-9, `${level}: ${loss[n]} for ${sum / 4}`);
  });
});

test('gradients of the loss are finite differences', async () => {
  const run = await device.compile(
    (w: Tensor) => {
      const slope = (scaled: Tensor) => scaled.mul(w);
      const loss = edmLoss(slope, double(clean, shape), double(noise, shape), double(levels, [3])).mean();
      return { loss, gradient: gradients(loss, [w])[0]! };
    },
    { inputs: [{ shape: [2, 2], dtype: 'float64' as const }] },
  );
  const start = [0.3, -0.2, 0.5, 1];
  const at = async (values: readonly number[]) => {
    const { loss, gradient } = await run(ndarray(Float64Array.from(values), [2, 2], 'float64'));
    return { loss: toNumbers(loss)[0]!, gradient: toNumbers(gradient) };
  };
  const { gradient } = await at(start);
  for (let i = 0; i < 4; i++) {
    const moved = async (by: number) =>
      (await at(start.map((value, k) => (k === i ? value + by : value)))).loss;
    const slope = ((await moved(1e-5)) - (await moved(-1e-5))) / 2e-5;
    assert.ok(Math.abs(slope - gradient[i]!) < 1e-6 * (1 + Math.abs(slope)), `${gradient[i]} for ${slope}`);
  }
  await run.dispose();
});

test('without noise the denoiser returns what it sees, whatever the network says', async () => {
  const { found } = await evaluate({
    found: edmDenoise(network, double(clean, shape), double([1e-6, 1e-6, 1e-6], [3])),
  });
  found.forEach((value, i) => {
    assert.ok(Math.abs(value - clean[i]!) < 1e-4);
  });
});

test('training levels are log-normal, and in part from the table, from one seed always the same', async () => {
  let stream = 0;
  const draw = () => ({ seed: 5, stream: stream++ });
  const { plain, mixed } = await evaluate({
    plain: drawTrainingLevels(20_000, draw),
    mixed: drawTrainingLevels(20_000, draw, { tableShare: 0.3 }),
  });
  const logs = plain.map(Math.log);
  const mean = logs.reduce((a, b) => a + b) / logs.length;
  const deviation = Math.sqrt(logs.reduce((a, b) => a + (b - mean) ** 2, 0) / logs.length);
  assert.ok(Math.abs(mean + 1.2) < 0.03 && Math.abs(deviation - 1.2) < 0.03, `${mean}, ${deviation}`);
  assert.equal(stream, 4);
  // above 20 there is hardly anything but the table's part
  const table = karrasLevels(1000);
  const high = mixed.filter((level) => level > 20);
  const expected = (0.3 * table.filter((level) => level > 20).length) / 1000;
  assert.ok(
    Math.abs(high.length / mixed.length - expected) < 0.01,
    `${high.length / mixed.length}, ${expected}`,
  );
  for (const level of high.slice(0, 50))
    assert.ok(
      table.some((each) => Math.abs(each / level - 1) < 1e-4),
      `${level} is none of the table`,
    );
});
