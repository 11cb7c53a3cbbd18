/** The side of a device that runs in the worker, here in the test's own thread so that its memory can be seen. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { gradients, lower, matmul, ndarray, Parameter, type Tensor } from '../src/index.ts';
import { Host, type Ort } from '../src/runtime/host.ts';
import { input } from './symbols.ts';

const ort = createRequire(import.meta.url)('onnxruntime-node') as Ort;

/** The most that JavaScript's memory grows during 50 training steps, and the size of the model's parameters. */
async function growth(width: number): Promise<{ grown: number; model: number }> {
  const host = new Host(ort, { provider: 'cpu', threads: 1, stores: 'in place' });
  const weights = [new Parameter([16, width]), new Parameter([width, 16])] as const;
  const names = new Map(weights.map((weight, i) => [weight as Parameter, `p${i}`]));
  const y = matmul(matmul(input([2, 16], 'x'), weights[0]).tanh(), weights[1]);
  const slopes = gradients(y.mul(y).mean(), weights);
  const updates = weights.map((weight, i): Tensor => weight.sub(slopes[i]!.mul(0.1)));
  const model = lower([y.mul(y).mean(), ...updates], { parameterNames: names });
  await host.handle({
    kind: 'put',
    store: 0,
    values: Object.fromEntries(
      weights.map((weight, i) => [
        `p${i}`,
        ndarray(new Float32Array(16 * width).fill(0.01), weight.shape as number[]),
      ]),
    ),
  });
  await host.handle({
    kind: 'session',
    session: 1,
    model: model.bytes,
    outputs: [model.outputs[0]!],
    kept: [],
    binding: {
      store: 0,
      reads: [...model.parameters.keys()].map((name) => [name, name]),
      writes: [
        [model.outputs[1]!, 'p0'],
        [model.outputs[2]!, 'p1'],
      ],
    },
    folder: undefined,
    profile: undefined,
  });
  const x = ndarray(new Float32Array(32).fill(1), [2, 16]);
  const step = () =>
    host.handle({ kind: 'run', session: 1, feeds: { x }, resident: {}, cached: {}, keep: {} });
  for (let i = 0; i < 3; i++) await step(); // the second set of buffers is made by the first step
  const used = (): number => {
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const before = used();
  let most = before;
  for (let i = 0; i < 50; i++) {
    await step();
    most = Math.max(most, used());
  }
  await host.handle({ kind: 'release', session: 1 });
  return { grown: most - before, model: 2 * 16 * width * 4 };
}

test('a training step allocates nothing in JavaScript that grows with the model', async () => {
  const small = await growth(2000);
  const large = await growth(100_000);
  assert.equal(large.model, 50 * small.model);
  // one copy of the large model is 12.8 MB: fifty steps may not add even half of one
  assert.ok(large.grown < large.model / 2, `grew by ${large.grown} bytes for a model of ${large.model}`);
  assert.ok(
    large.grown < small.grown + large.model / 4,
    `${small.grown} for the small, ${large.grown} for the large`,
  );
});
