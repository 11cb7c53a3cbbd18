/** What is timed of the CIFAR-10 teacher, in Node and in a browser: random weights, which cost what trained ones cost. */

import { normal as normalWeights } from '@working-papers/nn/initializers';
import { initialize, type Module, type Weights } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { Trainer } from '@working-papers/nn/trainer';
import { type Device, ndarray, Tensor } from '@working-papers/tensor';
import { cifar10Teacher } from '../src/cifar10-teacher.ts';
import { compileDenoiser } from '../src/diffusion/denoiser.ts';
import { edmLoss } from '../src/diffusion/edm.ts';
import { karrasSigmas } from '../src/diffusion/levels.ts';
import { euler, sample } from '../src/diffusion/samplers.ts';
import { multiplyAdds } from '../src/multiply-adds.ts';

export const workloads = ['sampling', 'forward', 'training'] as const;
export type Workload = (typeof workloads)[number];

export const titles: Readonly<Record<Workload, string>> = {
  sampling: '16 pictures, guided, 8 steps of Euler',
  forward: 'forward, 64 pictures',
  training: 'training step, 128 pictures, AdamW',
};

const shape = [3, 32, 32] as const;

/** A DiT's first values say nothing but zero, which a runtime could profit from. */
function randomWeights(module: Module): Weights {
  const values = new Map(initialize(module, 1));
  for (const [name, weight] of module.namedWeights())
    if (weight.trainable)
      values.set(weight, normalWeights(0.05)(weight.shape as number[], new Random(1).fork(name)));
  return values;
}

export interface Call {
  readonly call: () => Promise<unknown>;
  /** Floating-point operations of products and convolutions; a training step counts three forwards. */
  readonly operations: number;
  dispose(): Promise<void>;
}

/** Operations of a forward of `rows` pictures. */
function operationsOf(rows: number): number {
  const model = cifar10Teacher();
  const input = (name: string, dims: readonly number[], dtype: 'float32' | 'int32' = 'float32') =>
    new Tensor({ shape: dims, dtype }, { kind: 'input', name });
  const out = model.forward(
    input('x', [rows, ...shape]),
    input('sigma', [rows]),
    input('y', [rows], 'int32'),
  );
  return 2 * multiplyAdds([out]);
}

export async function prepare(workload: Workload, device: Device): Promise<Call> {
  const model = cifar10Teacher();
  const weights = randomWeights(model);
  if (workload === 'training') {
    const size = 128;
    const trainer = await Trainer.create({
      device,
      model,
      weights,
      seed: 1,
      batch: { x: { shape: [size, ...shape] }, labels: { shape: [size], dtype: 'int32' } },
      loss: ({ x, labels }) => ({ loss: edmLoss(model, x, labels).loss }),
      optimizer: adamW({ weightDecay: 0 }),
    });
    const x = ndarray(new Random(1).normals(size * 3072), [size, ...shape]);
    const labels = ndarray(new Int32Array(size), [size], 'int32');
    return {
      call: () => trainer.train({ x, labels }, 1e-6),
      operations: 3 * operationsOf(size),
      dispose: () => trainer.dispose(),
    };
  }
  const denoiser = await compileDenoiser({ device, model, weights, shape });
  const count = workload === 'forward' ? 64 : 16;
  const labels = Array.from({ length: count }, (_, n) => n % 10);
  if (workload === 'forward') {
    const denoise = denoiser.for({ labels });
    const x = Float64Array.from(new Random(1).normals(count * 3072));
    return {
      call: async () => denoise(x, 1, 0),
      operations: operationsOf(count),
      dispose: () => denoiser.dispose(),
    };
  }
  const steps = 8;
  const denoise = denoiser.for({ labels, scale: 3 });
  const options = { denoise, sampler: euler, sigmas: karrasSigmas(steps), count, size: 3072, seed: 1 };
  return {
    call: () => sample(options),
    operations: steps * operationsOf(2 * count),
    dispose: () => denoiser.dispose(),
  };
}

/** Milliseconds of every call, for so many seconds and three times at least, after two to warm up. */
export async function times({ call }: Call, seconds: number): Promise<number[]> {
  for (let i = 0; i < 2; i++) await call();
  const found: number[] = [];
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end || found.length < 3) {
    const start = performance.now();
    await call();
    found.push(performance.now() - start);
  }
  return found;
}
