/** `wp train 3dmotformer`: the network on its own tracks, on KITTI. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineCommand } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('./evaluate.ts')),
  ...(await import('./frame-tracker.ts')),
  ...(await import('./graph.ts')),
  ...(await import('./kitti-data.ts')),
  ...(await import('./kitti-world.ts')),
  ...(await import('./model.ts')),
  ...(await import('./track.ts')),
  ...(await import('./train.ts')),
  ...(await import('./training-data.ts')),
  ...(await import('./weights.ts')),
  ...(await import('@working-papers/models/model-files')),
  ...(await import('@working-papers/paper/manifest')),
});

export const trainCommand = defineCommand({
  summary: 'train on KITTI, each window of frames rolled out with the network’s own tracks',
  options: {
    hertz: {
      type: 'string',
      choices: ['2', '10'],
      default: '2',
      description: 'frames a second: every fifth of the recording, or all',
    },
    tracks: {
      type: 'string',
      choices: ['own', 'labels'],
      default: 'own',
      description: 'what tracks are made of while training: own matches, or labels (teacher forcing)',
    },
    length: { type: 'integer', min: 2, default: 6, description: 'frames of a window' },
    lead: {
      type: 'integer',
      min: 0,
      default: 16,
      description: 'frames before a window that are tracked and not trained on, at most; the release has 0',
    },
    epochs: { type: 'integer', min: 1, default: 4, description: 'passes over the windows' },
    batchSize: { type: 'integer', min: 1, default: 8, description: 'windows of an update' },
    rate: { type: 'number', min: 0, default: 6e-4, description: 'learning rate; the release has 1e-3' },
    schedule: {
      type: 'string',
      choices: ['cosine', 'constant'],
      default: 'cosine',
      description: 'a rise and a cosine to nothing, or, as released, one rate throughout',
    },
    memory: {
      type: 'number',
      min: 0,
      description: 'size of the first weights that take up what tracks know; default 1/3, the release has 1',
    },
    reach: {
      type: 'number',
      min: 1,
      default: 10,
      description: 'metres that count as one in the first weights; the release has 1',
    },
    augment: { type: 'boolean', default: true, description: 'turn, mirror and shift windows' },
    seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same weights' },
    out: {
      type: 'string',
      short: 'o',
      default: 'runs/3dmotformer',
      description: 'folder for weights, log and checkpoints',
    },
    resume: { type: 'boolean', description: 'go on from the checkpoint in --out' },
    quick: { type: 'boolean', description: 'two recordings and one epoch, to see that it runs' },
    ...deviceOptions,
  },
  examples: ['wp train 3dmotformer', 'wp train 3dmotformer --tracks labels --out runs/forced'],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { out, seed, length, batchSize, tracks, resume, quick } = options;
    const isResumed = resume && existsSync(join(out, 'checkpoint.safetensors'));
    const run = wp.trainingCard({ from: import.meta.url, seed, isResumed });
    const every = options.hertz === '2' ? 5 : 1;
    const graph = every === 5 ? wp.kittiSlowGraph : wp.kittiGraph;
    const recordings = await wp.loadKitti();
    const [held, seen] = [true, false].map((isHeld) =>
      recordings.filter(({ name }) => wp.validation.includes(name) === isHeld),
    ) as [typeof recordings, typeof recordings];
    const used = quick ? seen.slice(0, 2) : seen;
    using reading = output.progress('frames', used.length);
    const sequences = used.flatMap((recording, i) => {
      reading.update(i + 1);
      return Array.from({ length: quick ? 1 : every }, (_, phase) =>
        wp.trainingFrames(recording, { every, phase }),
      );
    });
    reading.end();
    const windows = wp.windows(sequences, length);
    const model = new wp.MotFormer({ nodeInputs: 10 + wp.kittiKinds.length });
    await using device = await openChosenDevice(options);
    const epochs = quick ? 1 : options.epochs;
    using bar = output.progress('training', epochs * Math.floor(windows.length / batchSize));
    const trained = await wp.trainMotFormer({
      device,
      model,
      sequences,
      windows,
      rollout: { graph: { ...graph, maxNeighbours: 8 }, classes: wp.kittiKinds.length, tracks },
      seed,
      epochs,
      length,
      batchSize,
      lead: options.lead,
      rate: options.rate,
      schedule: options.schedule,
      firstValues: {
        reach: options.reach,
        ...(options.memory !== undefined && { memory: options.memory }),
      },
      ...(options.augment && { augmentation: { turn: true, mirror: true, shift: 20 } }),
      folder: out,
      resume,
      signal,
      onStep: (step, { loss }) => bar.update(step, `loss ${loss!.toFixed(4)}`),
    });
    signal.throwIfAborted();
    bar.end();
    const { weights } = trained;
    const classes = wp.kittiKinds.length;
    const compiled = await wp.compileMotFormer({ device, model, weights, graph, classes });
    const judged = quick ? held.slice(0, 2) : held;
    using judging = output.progress('validation', judged.length);
    const results = [];
    for (const [i, recording] of judged.entries()) {
      results.push(await wp.trackRecording(wp.worldFrames(compiled.open()), recording, { every }));
      judging.update(i + 1);
    }
    judging.end();
    await compiled.dispose();
    const measures = wp.measureKitti(judged, results, { every });
    const figures = Object.entries(measures)
      .map(
        ([name, { samota, mota, idSwitches }]) =>
          `${name} ${samota.toFixed(3)} / ${mota.toFixed(3)} / ${idSwitches}`,
      )
      .join(', ');
    const card = {
      ...run(),
      data: `KITTI tracking with PointRCNN detections, ${sequences.flat().length} frames of ${used.length} recordings`,
      steps: `${trained.steps} of ${batchSize} windows of ${length} frames`,
      figures: `sAMOTA / MOTA / switches on validation: ${figures}`,
      licence: 'Apache-2.0; trained on KITTI (CC BY-NC-SA 3.0)',
    };
    const described = { model: { nodeInputs: 10 + classes }, classes: [...wp.kittiKinds], graph };
    const made = { model, weights, options: described, card };
    const about = 'A tracker of boxes in space: affinities of tracks and detections.';
    const file = await wp.writeModelFile(out, '3dmotformer', wp.motFormerKind, made, about);
    output.table(
      ['class', 'sAMOTA', 'MOTA', 'MOTP', 'switches', 'fragments'],
      Object.entries(measures).map(([name, { samota, mota, motp, idSwitches, fragmentations }]) => [
        name,
        samota.toFixed(3),
        mota.toFixed(3),
        motp.toFixed(3),
        idSwitches,
        fragmentations,
      ]),
    );
    output.print(`\n${file}`);
    output.result({ weights: file, seed, steps: trained.steps, measures });
  },
});
