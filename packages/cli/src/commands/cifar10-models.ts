/**
 * `wp train cifar10-teacher` and `cifar10-features`: the models that several papers share, which no paper trains. The
 * engine is loaded when a command runs, not when its help is shown.
 */

import { join } from 'node:path';
import type { ModelCard } from '@working-papers/models/model-file';
import { defineCommand } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

const engine = async () => ({
  ...(await import('@working-papers/models/cifar10-files')),
  ...(await import('@working-papers/models/cifar10-kinds')),
  ...(await import('@working-papers/models/cifar10-teacher')),
  ...(await import('@working-papers/models/cifar10-training')),
  ...(await import('@working-papers/models/cifar10-sampling')),
  ...(await import('@working-papers/models/model-files')),
  ...(await import('@working-papers/nn/cifar10')),
  ...(await import('@working-papers/nn/images')),
  ...(await import('@working-papers/nn/images-node')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/training')),
  ...(await import('@working-papers/paper/pictures')),
});

const licence = 'Apache-2.0; trained on CIFAR-10 (Krizhevsky 2009)';

const common = {
  batchSize: { type: 'integer', min: 2, default: 128, description: 'pictures of one update' },
  seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same weights' },
  resume: { type: 'boolean', description: 'go on from the checkpoint in --out' },
  ...deviceOptions,
} as const;

/** How the weights were made that a training goes on from: its own command alone does not make them again. */
const madeBy = ({ command, date, steps }: ModelCard) =>
  command === undefined ? '' : ` (${date?.slice(0, 10)}, ${command}: ${steps})`;

export const trainTeacher = defineCommand({
  summary: 'train the diffusion model of CIFAR-10 that several papers distil or speed up',
  options: {
    steps: {
      type: 'integer',
      min: 1,
      default: 6000,
      description: 'updates; the default is 15 epochs, two to three hours on two cores',
    },
    size: {
      type: 'string',
      choices: ['full', 'quick'],
      default: 'full',
      description: '3.9 million parameters, or one million for a quick look',
    },
    from: {
      type: 'string',
      description: 'go on from the weights of this file, for more training or to tune on some classes',
    },
    classes: {
      type: 'string',
      description: 'pictures of these classes only, names or numbers with commas between',
    },
    rate: { type: 'number', min: 0, default: 1e-3, description: 'highest learning rate' },
    sheetEvery: {
      type: 'integer',
      min: 1,
      default: 500,
      description: 'updates from one sheet of sample pictures, and the weights so far, to the next',
    },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/cifar10-teacher',
      description: 'folder for weights, log, sample sheets and checkpoints',
    },
    ...common,
  },
  examples: [
    'wp train cifar10-teacher',
    'wp train cifar10-teacher --resume',
    'wp train cifar10-teacher --from my.safetensors --classes cat,dog --steps 500 --rate 3e-4',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { out, seed, steps, batchSize, resume } = options;
    const card = wp.beginTraining({ from: import.meta.url, seed, folder: out, resume });
    const classes = options.classes === undefined ? undefined : wp.classLabels('classes', options.classes);
    const start = options.from === undefined ? undefined : await wp.readTeacher(options.from);
    const data = await wp.readCifar10(output);
    await using device = await openChosenDevice(options);
    const model = start?.options ?? (options.size === 'quick' ? wp.cifar10QuickSize : {});
    let path = '';
    using bar = output.progress('teacher', steps);
    const trained = await wp.trainTeacher({
      device,
      data,
      seed,
      steps,
      batchSize,
      resume,
      signal,
      model,
      ...(start && { start }),
      ...(classes && { classes }),
      peakRate: options.rate,
      folder: out,
      onStep: (step, { loss }) => bar.update(step, `loss ${loss!.toFixed(4)}`),
      evaluate: {
        every: options.sheetEvery,
        run: async (edm, weights, step) => {
          const sheet = await wp.sampleSheet({ device, model: edm, weights, rows: 4, seed: 1 });
          await wp.writeFileWhole(join(out, 'samples', `${step}.png`), await wp.encodePng(sheet));
          const facts = {
            ...card(),
            data: `CIFAR-10, ${data.train.length} pictures${options.classes ? `, of them ${options.classes}` : ''}, mirrored at random`,
            ...(start && { start: `from ${options.from}${madeBy(start.card)}` }),
            steps: `${step} of ${batchSize} pictures`,
            licence,
          };
          const about = 'D(x; σ, y) of CIFAR-10: a DiT with the preconditioning of EDM.';
          const made = { model: edm, weights, options: model, card: facts };
          path = await wp.writeModelFile(out, wp.teacherKind.kind, wp.teacherKind, made, about);
          return {};
        },
      },
    });
    signal.throwIfAborted();
    output.print(path);
    output.result({ weights: path, seed, steps: trained.steps });
  },
});

export const trainFeatures = defineCommand({
  summary: 'train the network whose features measure generated CIFAR-10 pictures',
  options: {
    steps: { type: 'integer', min: 1, default: 8000, description: 'updates; the default is 20 epochs' },
    blocks: {
      type: 'integer',
      min: 1,
      default: 2,
      description: 'residual blocks of each of the three stages',
    },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/cifar10-features',
      description: 'folder for weights, log and checkpoints',
    },
    ...common,
  },
  examples: ['wp train cifar10-features', 'wp train cifar10-features --resume'],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { out, seed, steps, batchSize, resume } = options;
    const card = wp.beginTraining({ from: import.meta.url, seed, folder: out, resume });
    const data = await wp.readCifar10(output);
    await using device = await openChosenDevice(options);
    using bar = output.progress('features', steps);
    const trained = await wp.trainFeatures({
      device,
      data,
      seed,
      steps,
      batchSize,
      resume,
      signal,
      folder: out,
      blocksPerStage: options.blocks,
      onStep: (step, { loss }) => bar.update(step, `loss ${loss!.toFixed(3)}`),
    });
    signal.throwIfAborted();
    const testAccuracy = await wp.accuracy(device, trained.model, trained.weights, data.test);
    const figures = `accuracy ${(100 * testAccuracy).toFixed(2)} % on the ${data.test.length} test pictures`;
    const facts = {
      ...card(),
      data: `CIFAR-10, ${data.train.length} pictures, mirrored and shifted at random`,
      steps: `${trained.steps} of ${batchSize} pictures`,
      figures,
      licence,
    };
    const about =
      'A small residual classifier of CIFAR-10, whose pooled features stand in for Inception’s (FD-cnn).';
    const loaded = { ...trained, options: { blocksPerStage: options.blocks }, card: facts };
    const path = await wp.writeModelFile(out, wp.featuresKind.kind, wp.featuresKind, loaded, about);
    output.print(`${path}\n${figures}`);
    output.result({ weights: path, seed, steps: trained.steps, testAccuracy });
  },
});
