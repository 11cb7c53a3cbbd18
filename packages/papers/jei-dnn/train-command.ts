/** `wp train jei-dnn`: the backbone, then IMs and gates for every cost weight, into one weights file. */

import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';
import type { JeiDnnWeights } from './weights.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('@working-papers/tensor')),
  ...(await import('@working-papers/nn/cifar10')),
  ...(await import('@working-papers/paper/pictures')),
  ...(await import('@working-papers/nn/safetensors-file')),
  mkdir: (await import('node:fs/promises')).mkdir,
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('./backbone.ts')),
  ...(await import('./experiment.ts')),
  ...(await import('./features.ts')),
  ...(await import('@working-papers/nn/tensors-hash')),
  ...(await import('./objective.ts')),
  ...(await import('./warmup.ts')),
  ...(await import('./train.ts')),
  ...(await import('./weights.ts')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('./card.ts')),
});

export const train = defineCommand({
  summary: 'train the backbone, then classifiers and gates for every cost weight',
  options: {
    stage: {
      type: 'string',
      choices: ['all', 'backbone', 'heads'],
      default: 'all',
      description: 'heads: IMs and gates on a backbone that is there already',
    },
    costWeights: {
      type: 'numbers',
      min: 0,
      description: 'λ; default eleven that spread over the costs',
    },
    seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same weights' },
    epochs: { type: 'integer', min: 1, default: 15, description: 'of IMs and gates' },
    warmupEpochs: { type: 'integer', min: 1, default: 6, description: 'of the IMs alone, at most' },
    backboneEpochs: { type: 'integer', min: 1, default: 30, description: 'of the backbone' },
    backbone: {
      type: 'string',
      description:
        'a checkpoint or weights file; default the one trained into --out, else the one that ships',
    },
    weighting: {
      type: 'string',
      choices: ['plain P', 'stopgrad', 'released'],
      default: 'plain P',
      description:
        'how gates weight the IMs: P itself, the paper’s ratio, or the ratio as in the authors’ code, which cancels',
    },
    targets: {
      type: 'string',
      choices: ['advantage', 'exact', 'cumulative'],
      default: 'advantage',
      description:
        'what gates learn: is leaving better than going on (ours), is this the best exit (the paper), is it this or an earlier one (the authors’ code)',
    },
    loss: {
      type: 'string',
      choices: ['error', 'cross-entropy'],
      default: 'error',
      description: 'what gates weigh cost against: errors (ours), or cross-entropy (the paper)',
    },
    select: {
      type: 'string',
      choices: ['best', 'last'],
      description:
        'the epoch to keep: best on validation (default with advantage), or the last as the release',
    },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/jei-dnn',
      description: 'folder for weights, log and checkpoints',
    },
    resume: { type: 'boolean', description: 'go on from the checkpoints in --out' },
    ...deviceOptions,
    quick: {
      type: 'boolean',
      description: 'IMs and gates on 2,000 pictures, few epochs: to see that it runs',
    },
  },
  examples: [
    'wp train jei-dnn',
    'wp train jei-dnn --stage heads --cost-weights 0.1,0.5,1 --seed 7',
    'wp train jei-dnn --resume',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { out, seed, quick, stage, resume, weighting, targets, loss } = options;
    const costWeights = options.costWeights
      ? wp.sortedCostWeights(options.costWeights)
      : wp.defaultCostWeights[loss];
    const select = options.select === undefined ? {} : { select: options.select };
    await using device = await openChosenDevice(options);
    const folder = join(out, 'backbone');
    const checkpoint = join(folder, 'checkpoint.safetensors');
    const { existsSync } = await import('node:fs');

    let validationAccuracy: number | undefined;
    if (stage !== 'heads') {
      const data = await wp.readCifar10(output);
      const epochs = quick ? 1 : options.backboneEpochs;
      const perEpoch = Math.floor((data.train.length - 5000) / 128);
      using bar = output.progress('backbone', epochs * perEpoch);
      const { trainer } = await wp.trainBackbone({
        device,
        data,
        folder,
        epochs,
        seed,
        resume,
        signal,
        onStep: (step, _, metrics) => bar.update(step, noteOf(metrics.loss, validationAccuracy)),
        onEvaluate: (_, figures) => {
          validationAccuracy = figures.validationAccuracy;
        },
      });
      await trainer.dispose();
      signal.throwIfAborted();
      output.print(`backbone: ${checkpoint}, validation accuracy ${show(validationAccuracy)}`);
      if (stage === 'backbone') {
        output.result({ checkpoint, validationAccuracy: validationAccuracy ?? null });
        return;
      }
    }

    const from = options.backbone ?? (existsSync(checkpoint) ? checkpoint : undefined);
    const { tensors: backbone, origin } = await wp.readBackbone(from);
    const experiment = await wp.openExperiment({
      device,
      output,
      signal,
      backbone,
      ...(quick ? { limit: 2000, augmentedViews: 1 } : {}),
    });
    const { cache, costs } = experiment;
    const hash = wp.tensorsHash(backbone);
    const common = {
      device,
      layout: cache,
      train: cache.train,
      validation: cache.validation,
      costs,
      seed,
      signal,
    };
    const warmupEpochs = quick ? 2 : options.warmupEpochs;
    const epochs = quick ? 2 : options.epochs;
    const warm = await (async () => {
      using bar = output.progress('warm-up', 1);
      return wp.warmUp({
        ...common,
        epochs: warmupEpochs,
        onBatch: (done, total, loss) => bar.update(done / total, noteOf(loss)),
      });
    })();
    let best = 0;
    const started = performance.now();
    const trained = await (async () => {
      using bar = output.progress('IMs and gates', 1);
      return wp.trainExits({
        ...common,
        epochs,
        members: costWeights.map((costWeight) => ({ costWeight, weighting, targets, loss, ...select })),
        start: warm.tensors,
        ...(quick ? { turn: 8 } : {}),
        folder: out,
        resume,
        onBatch: (done, total, loss) => bar.update(done / total, noteOf(loss, best)),
        onEpoch: (_, figures) => {
          best = Math.max(...figures.map(({ accuracy }) => accuracy));
        },
      });
    })();
    const minutes = (performance.now() - started) / 60_000;
    if (wp.tensorsHash(backbone) !== hash) throw new Error('the frozen backbone has changed');

    const rows = trained.map(({ member, epoch, history }) => {
      const { accuracy, cost, objective } = history[Math.max(0, epoch - 1)]!;
      return { costWeight: member.costWeight, epoch, accuracy, cost, objective };
    });
    const path = join(out, 'jei-dnn.safetensors');
    const { cifar10Classes } = wp;
    const manifest = wp.runManifest({ from: import.meta.url, seed });
    const weights: JeiDnnWeights = {
      architecture: { blocksPerStage: 3, widths: [16, 32, 64], classes: cifar10Classes.length },
      imageSize: 32,
      classNames: cifar10Classes,
      rule: wp.ruleOf(targets),
      exits: cache.widths.map((_, l) => l),
      backbone,
      trained: trained.map(({ member, tensors }) => ({ costWeight: member.costWeight, tensors })),
      card: {
        command: manifest.command,
        date: manifest.date,
        machine: `${manifest.machine.cpu}, ${manifest.machine.cores} cores`,
        seed: String(seed),
        data: `CIFAR-10, ${cache.train.length} pictures to train on, ${cache.validation.length} to select on`,
        backbone:
          stage === 'heads'
            ? (origin ?? options.backbone ?? 'a training checkpoint')
            : `by the same command, accuracy ${show(validationAccuracy)} on validation`,
        backboneHash: hash,
        weighting,
        gates: `targets ${targets}, loss ${loss}`,
        epochs: `${warm.epochs} of warm-up, ${epochs} of gates and IMs in turn`,
        minutes: minutes.toFixed(1),
        figures: JSON.stringify(rows),
        licence: 'Apache-2.0; trained on CIFAR-10 (Krizhevsky 2009)',
      },
    };
    const packed = wp.packWeights(weights);
    await wp.mkdir(out, { recursive: true });
    await wp
      .writeSafetensors(path, packed.tensors, { metadata: packed.metadata, float32As: 'F16' })
      .then(() => wp.writeFileWhole(join(out, 'jei-dnn.md'), wp.cardMarkdown(weights, 'jei-dnn.safetensors')))
      .catch((error) => {
        throw new UserError(`cannot write '${path}': ${(error as Error).message}`, { cause: error });
      });
    output.table(
      ['λ', 'kept epoch', 'validation accuracy', 'cost', `${loss} + λ·cost`],
      rows.map((row) => [
        row.costWeight,
        row.epoch,
        show(row.accuracy),
        row.cost.toFixed(3),
        row.objective.toFixed(4),
      ]),
    );
    output.print(`\n${path}`);
    output.result({ weights: path, backboneHash: hash, seed, trained: rows });
  },
});

function noteOf(loss: number | undefined, accuracy?: number): string {
  const first = `loss ${(loss ?? Number.NaN).toFixed(3)}`;
  return accuracy === undefined ? first : `${first}, validation ${show(accuracy)}`;
}

function show(accuracy: number | undefined): string {
  return accuracy === undefined ? 'not measured' : `${(100 * accuracy).toFixed(1)} %`;
}
