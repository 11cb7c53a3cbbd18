/**
 * Training of adapters on recorded points: one call of the network with its adapters a step, the network frozen, no
 * teacher in memory. And of the baseline that moves all weights of the network instead. Node only; the page trains with
 * `objective.ts`.
 */

import { type FitOptions, fit } from '@working-papers/nn/fit';
import type { Weights } from '@working-papers/nn/module';
import { type AdapterSetOptions, GuidanceAdapters, sizeOfNetwork, student } from './model.ts';
import {
  createPointTraining,
  type Guided,
  type PointOptions,
  type PointTraining,
  ScaleConditioned,
} from './objective.ts';

export interface PointTrainingOptions
  extends PointOptions,
    Pick<
      FitOptions,
      'folder' | 'resume' | 'signal' | 'progress' | 'onStep' | 'checkpointMinutes' | 'evaluate' | 'onEvaluate'
    > {}

export interface AdapterTrainingOptions extends PointTrainingOptions {
  readonly adapters: AdapterSetOptions;
}

/** Runs a training with its log and checkpoints, and takes the weights at the end. */
async function run(
  { trainer, ...training }: PointTraining,
  options: PointTrainingOptions,
): Promise<{ weights: Weights; steps: number }> {
  const { folder, resume, signal, progress, onStep, checkpointMinutes, evaluate, onEvaluate } = options;
  const given = { resume, signal, progress, onStep, checkpointMinutes, evaluate, onEvaluate };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  try {
    const steps = await fit({ ...known, ...training, trainer, folder });
    return { weights: await trainer.weights(), steps };
  } finally {
    await trainer.dispose();
  }
}

/** Trains adapters beside a frozen network. The network's weights are not changed and not saved. */
export async function trainAdapters(
  options: AdapterTrainingOptions,
): Promise<{ adapters: GuidanceAdapters; weights: Weights; steps: number }> {
  const { network } = options;
  const adapters = new GuidanceAdapters(options.adapters, sizeOfNetwork(network));
  const start = { frozen: options.weights };
  const training = await createPointTraining(adapters, student(network, adapters), start, options);
  return { adapters, ...(await run(training, options)) };
}

/** The baseline: full guidance distillation. All weights move, from those of the network. */
export async function trainFully(
  options: PointTrainingOptions,
): Promise<{ model: ScaleConditioned; weights: Weights; steps: number }> {
  const model = new ScaleConditioned(options.network);
  const forward: Guided = (...inputs) => model.forward(...inputs);
  const training = await createPointTraining(model, forward, { weights: options.weights }, options);
  return { model, ...(await run(training, options)) };
}
