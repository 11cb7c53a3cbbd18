/** What AGD's tests share: a small network whose guidance does something, and its trajectories. */

import { after } from 'node:test';
import { Edm } from '@working-papers/models/diffusion/edm';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import { DiT, type DiTHooks } from '@working-papers/models/dit';
import { initialize, type Module, type Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { type Device, type NdArray, openDevice } from '@working-papers/tensor';
import { drawConditions, recordTrajectories, type Trajectories } from '../trajectories.ts';

export async function testDevice(): Promise<Device> {
  const device = await openDevice({ threads: 1 });
  after(() => device.close());
  return device;
}

export const shape = [1, 4, 4] as const;
export const sigmas = karrasSigmas(4);

/** Two blocks of width 8, four tokens, three classes. */
export function tinyModel() {
  const network = new DiT({
    hiddenSize: 8,
    depth: 2,
    numHeads: 2,
    patchSize: 2,
    inputSize: 4,
    inChannels: 1,
    classes: 3,
    learnSigma: false,
  });
  return new Edm<DiTHooks, DiT>(network);
}

/** Random values for all that is trainable: a DiT's own first values say nothing but zero. */
export function randomWeights(module: Module, seed: number, scale = 0.4): Weights {
  const values = new Map(initialize(module, seed));
  for (const [name, weight] of module.namedWeights()) {
    if (!weight.trainable) continue;
    const size = (weight.shape as number[]).reduce((a, b) => a * b, 1);
    const data = Float32Array.from(new Random(seed).fork(name).normals(size, 0, scale));
    values.set(weight, { dtype: 'float32', shape: weight.shape as number[], data } satisfies NdArray);
  }
  return values;
}

export function tinyTrajectories(
  device: Device,
  model: ReturnType<typeof tinyModel>,
  weights: Weights,
  count = 6,
  seed = 5,
): Promise<Trajectories> {
  const conditions = drawConditions(count, { classes: 3, seed });
  return recordTrajectories({ device, model, weights, shape, sigmas, ...conditions, seed, batchSize: 4 });
}
