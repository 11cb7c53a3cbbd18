import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { normal } from '@working-papers/nn/initializers';
import { initialize, Module, traceTraining, Weight } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { gradients, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { drawSigmas, Edm, edmLoss, lossBuckets } from './edm.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

/** F(x; c, y) = w0 x + w1 tanh(c/100) + w2 y: small enough to be written twice. */
class Toy extends Module {
  readonly w = new Weight([3], normal());
  readonly nullLabel = 10;

  forward(x: Tensor, noise: Tensor, labels: Tensor): Tensor {
    const picture = (v: Tensor) => v.reshape([v.dim(0), 1, 1, 1]);
    const [w0, w1, w2] = [0, 1, 2].map((i) => this.w.select(0, i)) as [Tensor, Tensor, Tensor];
    return x
      .mul(w0)
      .add(picture(noise.mul(0.01).tanh()).mul(w1))
      .add(picture(labels.cast('float32')).mul(w2));
  }
}

const w = [0.7, -0.4, 0.05];
const model = new Edm<never>(new Toy());
const weightsOf = (values: readonly number[]) => new Map([[(model.network as Toy).w, ndarray(values)]]);

const [N, size] = [4, 6];
const sigmas = [0.002, 0.3, 4, 80];
const labels = [0, 3, 9, 10];
const random = new Random(1);
const clean = Array.from(random.normals(N * size, 0, 0.5));
const noise = Array.from(random.normals(N * size));

/** D in float64. */
function denoise(x: number, sigma: number, label: number, [w0, w1, w2] = w): number {
  const total = sigma * sigma + 0.25;
  const seen = x / Math.sqrt(total);
  const said = w0! * seen + w1! * Math.tanh((250 * Math.log(sigma)) / 100) + w2! * label;
  return (0.25 / total) * x + ((sigma * 0.5) / Math.sqrt(total)) * said;
}

function weightedLoss(values = w): number {
  let sum = 0;
  for (let i = 0; i < N * size; i++) {
    const n = Math.floor(i / size);
    const sigma = sigmas[n]!;
    const weight = (sigma ** 2 + 0.25) / (sigma * 0.5) ** 2;
    sum += weight * (denoise(clean[i]! + sigma * noise[i]!, sigma, labels[n]!, values) - clean[i]!) ** 2;
  }
  return sum / (N * size);
}

const pictures = { shape: [N, 1, 2, 3] };
const arrays = {
  clean: ndarray(clean, [N, 1, 2, 3]),
  noise: ndarray(noise, [N, 1, 2, 3]),
  sigma: ndarray(sigmas),
  labels: ndarray(labels, [N], 'int32'),
};

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i]! - value) / Math.max(1, Math.abs(value));
    assert.ok(error <= tolerance, `element ${i}: ${actual[i]}, expected ${value}`);
  }
}

test('D is that of table 1, in float64; with F = 0 it is c_skip x', async () => {
  for (const values of [w, [0, 0, 0]]) {
    const run = await device.compile((x, s, y) => model.forward(x, s, y), {
      inputs: [pictures, { shape: [N] }, { shape: [N], dtype: 'int32' }] as const,
      weights: weightsOf(values),
    });
    const actual = toNumbers(await run(arrays.clean, arrays.sigma, arrays.labels));
    const at = (i: number) => Math.floor(i / size);
    assertClose(
      actual,
      clean.map((x, i) => denoise(x, sigmas[at(i)]!, labels[at(i)]!, values)),
      1e-5,
    );
  }
});

test('the loss is λ(σ) |D − x0|² in float64, its gradient the finite difference', async () => {
  const run = await device.compile(
    (x, n, s, y) => {
      const loss = model.losses(x, s, n, y).mean();
      return [loss, gradients(loss, [(model.network as Toy).w])[0]!];
    },
    {
      inputs: [pictures, pictures, { shape: [N] }, { shape: [N], dtype: 'int32' }] as const,
      weights: weightsOf(w),
    },
  );
  const [loss, slope] = await run(arrays.clean, arrays.noise, arrays.sigma, arrays.labels);
  assertClose(toNumbers(loss!), [weightedLoss()], 1e-4);
  const differences = w.map((_, i) => {
    const moved = (by: number) => weightedLoss(w.map((value, j) => (i === j ? value + by : value)));
    return (moved(1e-4) - moved(-1e-4)) / 2e-4;
  });
  assertClose(toNumbers(slope!), differences, 1e-3);
});

test('levels: 70 % log-normal, 30 % from the table', async () => {
  const count = 40_000;
  const run = await device.compile((seed) => traceTraining(seed, () => drawSigmas(count)).value, {
    inputs: [{ shape: [], dtype: 'int32' }] as const,
  });
  const drawn = toNumbers(await run(ndarray([3], [], 'int32')));
  const table = Array.from({ length: 1000 }, (_, i) => {
    const [high, low] = [80 ** (1 / 7), 0.002 ** (1 / 7)];
    return (high + (i / 999) * (low - high)) ** 7;
  });
  const share = (values: readonly number[], end: number) =>
    values.filter((s) => s < end).length / values.length;
  // Φ at −2 ... 2
  for (const [z, phi] of [
    [-2, 0.02275],
    [-1, 0.15866],
    [0, 0.5],
    [1, 0.84134],
    [2, 0.97725],
  ] as const) {
    const end = Math.exp(-1.2 + 1.2 * z);
    const expected = 0.7 * phi + 0.3 * share(table, end);
    assert.ok(
      Math.abs(share(drawn, end) - expected) < 0.01,
      `below ${end}: ${share(drawn, end)}, ${expected}`,
    );
  }
  assert.ok(Math.abs(1 - share(drawn, 20) - 0.3 * (1 - share(table, 20))) < 0.006);
  assert.ok(drawn.every((s) => s > 0.0004 && s <= 80.01));
});

test('the training loss: buckets add up to it, and a silent network has loss 1', async () => {
  const count = 256;
  const run = await device.compile((x, y, seed) => traceTraining(seed, () => edmLoss(model, x, y)).value, {
    inputs: [
      { shape: [count, 1, 4, 8] },
      { shape: [count], dtype: 'int32' },
      { shape: [], dtype: 'int32' },
    ] as const,
    weights: weightsOf([0, 0, 0]),
  });
  const images = ndarray(new Random(2).normals(count * 32, 0, 0.5), [count, 1, 4, 8]);
  const y = ndarray(new Int32Array(count), [count], 'int32');
  const metrics = await run(images, y, ndarray([1], [], 'int32'));
  const value = (name: string) => toNumbers(metrics[name]!)[0]!;
  const total = (kind: string) => lossBuckets.reduce((sum, end) => sum + value(`${kind}_σ<${end}`), 0);
  assert.equal(total('count'), count);
  assertClose([total('sum') / count], [value('loss')], 1e-5);
  assertClose([value('loss')], [1], 0.03);
  assert.throws(() => edmLoss(model, images as never, y as never), /trace it as training/);
});

test('weights have the names of the network', () => {
  assert.deepEqual([...model.namedWeights().keys()], ['w']);
  assert.equal(initialize(model, 1).size, 1);
  assert.throws(
    () => new Edm(new Toy(), { sigmaData: 0 }),
    /standard deviation 0 of the data is not above 0/,
  );
});
