import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Module, Weight } from '@working-papers/nn/module';
import { concat, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { Epsilon } from './epsilon.ts';
import { ddpmSigmas, linearAlphaBars, sigmaOfAlphaBar, spacedTimesteps } from './levels.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

/** Says x/2 + t/1000 + y, and as much again of "variance". */
class Toy extends Module {
  readonly nullLabel = 10;
  readonly unused = new Weight([1], (shape) => ndarray([0], shape));

  forward(x: Tensor, t: Tensor, labels: Tensor): Tensor {
    const number = (v: Tensor) => v.reshape([v.dim(0), 1, 1, 1]);
    const epsilon = x.mul(0.5).add(number(t.mul(0.001).add(labels.cast('float32'))));
    return concat([epsilon, epsilon.mul(9)], 1);
  }
}

const model = new Epsilon<never>(new Toy());

async function run(f: (x: Tensor, sigma: Tensor, y: Tensor) => Tensor, sigmas: readonly number[]) {
  const n = sigmas.length;
  const compiled = await device.compile(f, {
    inputs: [{ shape: [n, 1, 1, 1] }, { shape: [n] }, { shape: [n], dtype: 'int32' }] as const,
  });
  const labels = ndarray(
    sigmas.map((_, i) => i % 10),
    [n],
    'int32',
  );
  const x = sigmas.map((sigma, i) => 1 + i + sigma);
  const out = await compiled(ndarray(x, [n, 1, 1, 1]), ndarray(sigmas), labels);
  await compiled.dispose();
  return { x, out: toNumbers(out) };
}

test('the levels of DDPM’s steps lead back to the steps, and levels between to the nearest', async () => {
  const steps = spacedTimesteps(250);
  const sigmas = ddpmSigmas(steps).slice(0, -1);
  const { out } = await run((_, sigma) => model.level(sigma), sigmas);
  assert.deepEqual(out, steps.toReversed());
  const [a, b] = [10, 11].map((t) => Math.log(sigmaOfAlphaBar(linearAlphaBars()[t]!))) as [number, number];
  const between = await run(
    (_, sigma) => model.level(sigma),
    [Math.exp(0.6 * a + 0.4 * b), Math.exp(0.4 * a + 0.6 * b), 1e-4, 1e4],
  );
  assert.deepEqual(between.out, [10, 11, 0, 999]);
});

test('x0 = x − σ ε(√ᾱ x; t, y), the learned variance left out', async () => {
  const sigmas = [sigmaOfAlphaBar(linearAlphaBars()[0]!), sigmaOfAlphaBar(linearAlphaBars()[500]!)];
  const { x, out } = await run((x, sigma, y) => model.forward(x, sigma, y), sigmas);
  for (const [i, t] of [0, 500].entries()) {
    const seen = x[i]! * Math.sqrt(linearAlphaBars()[t]!);
    const expected = x[i]! - sigmas[i]! * (seen / 2 + t / 1000 + i);
    assert.ok(Math.abs(out[i]! - expected) < 1e-5 * Math.max(1, Math.abs(expected)), `${out[i]} ${expected}`);
  }
});
