/** `wp bench 3dmotformer`: own tracks, labels' tracks and the Kalman filter on KITTI, the claims answered line by line. */

import { defineCommand } from '@working-papers/paper';
import { benchOptions, partOption } from '@working-papers/paper/bench';
import type { Bench } from './bench.ts';
import type { Measured, Settings } from './results.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('node:path')),
  ...(await import('@working-papers/nn/datasets')),
  ...(await import('@working-papers/paper/bench')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('@working-papers/tensor')),
  ...(await import('./bench.ts')),
  ...(await import('./frame-tracker.ts')),
  ...(await import('./kitti-data.ts')),
  ...(await import('./report.ts')),
  ...(await import('./soak.ts')),
  ...(await import('./track.ts')),
  ...(await import('./weights-file.ts')),
});

export const benchCommand = defineCommand({
  summary: 'measure the network on its own tracks beside teacher forcing and the Kalman filter',
  options: {
    seeds: { type: 'integer', min: 1, default: 3, description: 'trainings of each way; seeds count from 1' },
    epochs: { type: 'integer', min: 1, default: 4, description: 'of each training' },
    stage: {
      type: 'string',
      choices: ['all', 'trackers', 'crowds', 'soak'],
      default: 'all',
      description: 'only a part; what --out has of the other stays',
    },
    part: partOption,
    ...benchOptions,
    quick: {
      type: 'boolean',
      description: 'under two minutes: one recording, one epoch; no figure of it belongs into the README',
    },
  },
  examples: ['wp bench 3dmotformer --quick', 'wp bench 3dmotformer --out results.json'],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme)
      return wp.remakeReadme({ from: import.meta.url, id: '3dmotformer', withReport: wp.withReport }, output);
    const { quick, stage, part } = options;
    const settings: Settings = {
      epochs: quick ? 1 : options.epochs,
      seeds: Array.from({ length: quick ? 1 : options.seeds }, (_, i) => i + 1),
      quick,
    };
    const { results, save, isOver } = await wp.growResults<Measured>({
      from: import.meta.url,
      out: options.out,
      minutes: options.minutes,
      signal,
      empty: { ...wp.runManifest({ from: import.meta.url }), settings, trackers: [], crowds: [], soaks: [] },
      withReport: wp.withReport,
    });
    const wants = (part: typeof stage) => stage === 'all' || stage === part;
    await using kept = await wp.openBenchFolder(
      quick,
      options.folder,
      wp.join(wp.cacheFolder(), '3dmotformer'),
    );
    await using device = await wp.openDevice();
    if (wants('trackers')) {
      const recordings = await wp.loadKitti();
      const all = wp.candidatesOf(settings);
      const wanted = quick
        ? all.filter(({ hertz, training }) => hertz === 2 && (!training || training.length === 6)).slice(0, 5)
        : all;
      // a training that several are measured with is in one part
      const trainings = wanted.filter(({ training, matcher, coast }) => training && !matcher && !coast);
      for (const candidate of part === undefined ? wanted : wp.partOf(trainings, part)) {
        const { name, hertz, seed } = candidate;
        const same = (each: (typeof results.trackers)[number]) =>
          each.name === name && each.hertz === hertz && each.seed === seed;
        if (part === undefined && results.trackers.some(same)) continue;
        if (isOver()) break;
        using bar = output.progress(`${name}, ${hertz} Hz, seed ${seed}`, 1);
        let steps = 0;
        const bench: Bench = {
          device,
          recordings,
          settings,
          folder: kept.path,
          signal,
          onStep: (done, loss) => {
            steps = done;
            bar.update(0, `update ${steps}, loss ${loss.toFixed(3)}`);
          },
        };
        if (part === undefined) {
          results.trackers.push(await wp.measureCandidate(bench, candidate));
          await save();
        } else await wp.trainCandidate(bench, candidate);
        bar.update(1);
      }
      if (part !== undefined) return;
    }
    if ((wants('crowds') || wants('soak')) && !isOver()) {
      const { model, weights, options: described } = await wp.readMotFormer();
      const { graph, classes } = described;
      const compiled = await wp.compileMotFormer({
        device,
        model,
        weights,
        graph,
        classes: classes.length,
      });
      const open = {
        [wp.names.network]: () => wp.worldFrames(compiled.open()),
        [wp.names.kalman]: () => wp.kalmanFrames(),
      };
      if (wants('crowds')) {
        const objects = quick ? [10, 50] : [10, 50, 100, 200, 500];
        results.crowds = await wp.measureCrowds(open, objects, quick ? 10 : 100);
        await save();
      }
      if (wants('soak') && !isOver()) {
        const frames = quick ? 1000 : 100_000;
        results.soaks = [];
        for (const [method, begin] of Object.entries(open)) {
          using bar = output.progress(`${method}, ${frames} frames`, frames);
          const onProgress = (done: number) => bar.update(done);
          const tracker = begin();
          results.soaks.push(await wp.soak({ tracker, method, frames, signal, onProgress }));
          await save();
        }
      }
      await compiled.dispose();
    }
    signal.throwIfAborted();
    wp.printResults(output, wp.withReport(results));
  },
});
