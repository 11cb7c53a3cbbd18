/**
 * A small training run with everything that resuming must keep: dropout, momentum, shuffling, augmentation, a moving
 * average, accumulated gradients. Tests import it, and kill it: `node run.ts FOLDER STEPS [resume]`.
 */

import { type Device, openDevice } from '@working-papers/tensor';
import { DataLoader, stackFields } from '../src/data.ts';
import { Dropout } from '../src/dropout.ts';
import { type FitOptions, fit } from '../src/fit.ts';
import { BatchNorm, Linear, Sequential } from '../src/layers.ts';
import { mse } from '../src/losses.ts';
import { sgd } from '../src/optimizers.ts';
import { cosine } from '../src/schedules.ts';
import { type Batch, Trainer } from '../src/trainer.ts';
import { noise } from './helpers.ts';

export interface RunOptions extends Partial<FitOptions> {
  readonly folder: string;
  readonly width?: number;
  readonly seed?: number;
  readonly batchSize?: number;
  readonly momentum?: number;
  readonly accumulate?: number;
}

/** Trains and resolves to the updates done. */
export async function run(device: Device, options: RunOptions): Promise<number> {
  const {
    width = 16,
    seed = 1,
    batchSize = 4,
    momentum = 0.9,
    accumulate = 2,
    steps = 40,
    ...rest
  } = options;
  const model = new Sequential(
    new Linear(6, width),
    new BatchNorm(width),
    new Dropout(0.2),
    new Linear(width, 2),
  );
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: { x: { shape: [batchSize, 6] }, y: { shape: [batchSize, 2] } },
    optimizer: sgd({ momentum }),
    accumulate,
    ema: 0.9,
    loss: ({ x, y }) => ({ loss: mse(model.forward(x), y), size: x.mul(x).mean() }),
  });
  const items = Array.from({ length: 30 }, (_, i) => ({ x: noise([6], i), y: noise([2], 100 + i) }));
  const loader = new DataLoader(
    {
      length: items.length,
      get: (i, random) => ({ x: noise([6], random.integer(1000)), y: items[i]!.y }),
    },
    (batch) => stackFields(batch) as Batch,
    { batchSize, shuffle: true, seed: 5, dropLast: true },
  );
  try {
    return await fit({
      trainer,
      loader,
      steps,
      schedule: cosine({ peak: 0.05, steps: 200 }),
      checkpointSteps: 3,
      evaluate: { every: 10, run: async () => ({ weights: (await trainer.weights('ema')).size }) },
      ...rest,
    });
  } finally {
    await trainer.dispose();
  }
}

if (import.meta.main) {
  const [folder, steps, resume] = process.argv.slice(2);
  await using device = await openDevice({ provider: 'cpu', threads: 1 });
  await run(device, {
    folder: folder!,
    steps: Number(steps),
    resume: resume === 'resume',
    onStep: (step) => process.stdout.write(`${step}\n`),
  });
}
