/** `wp train agd`: records guided trajectories of a frozen model and trains adapters on them. */

import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('./checkpoint.ts')),
  ...(await import('./evaluate.ts')),
  ...(await import('./experiment.ts')),
  ...(await import('./model.ts')),
  ...(await import('./train.ts')),
  ...(await import('@working-papers/models/cifar10-files')),
  ...(await import('@working-papers/models/model-files')),
  ...(await import('@working-papers/nn/module')),
  ...(await import('@working-papers/nn/tensors-hash')),
  ...(await import('@working-papers/paper/training')),
  ...(await import('@working-papers/paper/pictures')),
});

export const trainCommand = defineCommand({
  summary: 'record guided trajectories of a frozen model and train adapters on them',
  options: {
    base: {
      type: 'string',
      description: "the frozen model: a file from 'wp train cifar10-teacher'; default the one that ships",
    },
    adapter: {
      type: 'string',
      choices: ['gated', 'attention', 'offset', 'position'],
      default: 'gated',
      description: 'what stands beside each attention module',
    },
    hidden: { type: 'integer', min: 2, default: 32, description: 'h, the width inside an adapter' },
    timestep: { type: 'boolean', default: true, description: 'tell adapters the time' },
    class: { type: 'boolean', default: true, description: 'tell adapters the class' },
    scaleFactor: {
      type: 'number',
      min: 0,
      default: 1,
      description: "m: ω is encoded as E(m ω); the release's 1000 makes nearby scales strangers",
    },
    linear: {
      type: 'boolean',
      default: true,
      description: 'multiply what adapters add by ω − 1, which they need not learn then',
    },
    points: {
      type: 'string',
      choices: ['trajectories', 'forward'],
      default: 'trajectories',
      description: 'where to train: along guided sampling, or at noised pictures as earlier methods do',
    },
    trajectories: { type: 'integer', min: 10, default: 1000, description: 'how many; a tenth is held out' },
    scaleLow: { type: 'number', min: 0, default: 1, description: 'lowest ω' },
    scaleHigh: { type: 'number', min: 0, default: 6, description: 'highest ω' },
    samplingSteps: { type: 'integer', min: 2, default: 32, description: 'steps of a trajectory' },
    loss: {
      type: 'string',
      choices: ['mse', 'l1', 'noise', 'angle', 'picture'],
      default: 'picture',
      description: 'what is minimised; see the README',
    },
    steps: { type: 'integer', min: 1, default: 7200, description: 'updates' },
    batchSize: { type: 'integer', min: 1, default: 16, description: 'points of one update' },
    rate: { type: 'number', min: 0, default: 4e-3, description: 'highest learning rate' },
    seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same adapters' },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/agd',
      description: 'folder for adapters, log, checkpoints and trajectories',
    },
    folder: {
      type: 'string',
      description: 'trajectories recorded before, also by the authors’ release; default a folder in --out',
    },
    resume: { type: 'boolean', description: 'go on from the checkpoint in --out' },
    quick: { type: 'boolean', description: '20 trajectories and 100 updates, to see that it runs' },
    ...deviceOptions,
  },
  examples: [
    'wp train agd',
    'wp train agd --base my-teacher.safetensors --steps 20000',
    'wp train agd --adapter offset --hidden 16 --no-linear --loss mse',
    'wp train agd --points forward --out runs/agd-forward',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { out, seed, points, resume, quick, scaleLow: low, scaleHigh: high } = options;
    if (high < low) throw new UserError(`--scale-low ${low} is above --scale-high ${high}`);
    const run = wp.beginTraining({ from: import.meta.url, seed, folder: out, resume });
    const settings = {
      points,
      count: quick ? 20 : options.trajectories,
      low,
      high,
      steps: options.samplingSteps,
      seed,
    };
    const steps = quick ? 100 : options.steps;
    const adapters = {
      kind: options.adapter,
      hiddenSize: options.hidden,
      useTimestep: options.timestep,
      useClass: options.class,
      scaleFactor: options.scaleFactor,
      linear: options.linear,
    };
    const teacher = await wp.readTeacher(options.base);
    const { network } = teacher.model;
    const pictures = points === 'forward' ? (await wp.readCifar10(output)).train : undefined;
    await using device = await openChosenDevice(options);
    const set = await wp.keptPoints(options.folder ?? join(out, points), {
      device,
      teacher,
      settings,
      output,
      signal,
      ...(pictures && { pictures }),
    });
    const { seen, unseen } = wp.holdOut(set);
    using bar = output.progress(`${options.adapter} adapters`, steps);
    const trained = await wp.trainAdapters({
      device,
      network,
      weights: teacher.weights,
      trajectories: seen,
      adapters,
      seed,
      steps,
      batchSize: options.batchSize,
      peakRate: options.rate,
      loss: options.loss,
      folder: out,
      resume,
      signal,
      onStep: (step, { loss }) => bar.update(step, `loss ${loss!.toFixed(5)}`),
    });
    signal.throwIfAborted();
    bar.end();
    const found = await wp.pointErrors({
      device,
      network,
      weights: new Map([...teacher.weights, ...trained.weights]),
      guided: wp.student(network, trained.adapters),
      trajectories: unseen,
      signal,
    });
    const error = wp.relativeError(found);
    const figures = `E = ${error?.toFixed(3)} on ${unseen.count} held-out ${points === 'forward' ? 'sets of noised pictures' : 'trajectories'}`;
    const card = {
      ...run(),
      data: `${seen.count} ${points} of ${set.steps} steps, ω from ${low} to ${high}`,
      base: wp.tensorsHash(wp.stateDict(teacher.model, teacher.weights)),
      steps: `${trained.steps} of ${options.batchSize} points`,
      figures,
      licence: 'Apache-2.0; trained on what a model of CIFAR-10 (Krizhevsky 2009) draws',
    };
    const made = {
      model: trained.adapters,
      weights: trained.weights,
      options: { adapters, network: wp.sizeOfNetwork(network) },
      card,
    };
    const about = `${options.adapter} adapters that guide CIFAR-10’s teacher in one call a step.`;
    const file = await wp.writeModelFile(out, `agd-${options.adapter}`, wp.adapterKind, made, about);
    output.table(
      ['ω', 'points', 'E'],
      wp
        .errorByScale(found, scaleEdges(low, high))
        .map(({ from, to, points: count, error }) => [
          `${from.toFixed(1)} to ${to.toFixed(1)}`,
          count,
          error === null ? 'none' : error.toFixed(3),
        ]),
    );
    output.print(`\n${figures}\n${file}`);
    output.result({
      weights: file,
      seed,
      steps: trained.steps,
      error,
      parameters: wp.countParameters(trained.adapters),
    });
  },
});

/** Five equal ranges of ω, the last with its end. */
function scaleEdges(low: number, high: number): number[] {
  return [0, 1, 2, 3, 4].map((i) => low + ((high - low) * i) / 5).concat(high + 1e-6);
}
