/** `wp bench 3dmotformer`: own tracks, labels' tracks and the Kalman filter on KITTI, the claims answered line by line. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineCommand, UserError } from '@working-papers/paper';
import type { Bench } from './bench.ts';
import type { Measured, Results, Settings } from './results.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  readFile: (await import('node:fs/promises')).readFile,
  rm: (await import('node:fs/promises')).rm,
  mkdtemp: (await import('node:fs/promises')).mkdtemp,
  ...(await import('node:path')),
  tmpdir: (await import('node:os')).tmpdir,
  ...(await import('@working-papers/edition')),
  ...(await import('@working-papers/nn/datasets')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('@working-papers/tensor')),
  ...(await import('./bench.ts')),
  ...(await import('./frame-tracker.ts')),
  ...(await import('./kitti-data.ts')),
  ...(await import('./report.ts')),
  ...(await import('./track.ts')),
  ...(await import('./weights-file.ts')),
});

/** Beside the sources; what is compiled has neither. */
const own = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export const benchCommand = defineCommand({
  summary: 'measure the network on its own tracks beside teacher forcing and the Kalman filter',
  options: {
    seeds: { type: 'integer', min: 1, default: 3, description: 'trainings of each way; seeds count from 1' },
    epochs: { type: 'integer', min: 1, default: 8, description: 'of each training' },
    stage: {
      type: 'string',
      choices: ['all', 'trackers', 'crowds'],
      default: 'all',
      description: 'only a part; what --out has of the other stays',
    },
    folder: { type: 'string', description: 'checkpoints and trained weights; default a folder in the cache' },
    out: {
      type: 'string',
      short: 'o',
      description: 'the results: what is there already is kept and not measured again',
    },
    minutes: { type: 'number', min: 0, description: 'begin nothing new after so many minutes' },
    quick: {
      type: 'boolean',
      description: 'under two minutes: one recording, one epoch; no figure of it belongs into the README',
    },
    readme: { type: 'boolean', description: 'only make the README’s tables anew from results.json' },
  },
  examples: ['wp bench 3dmotformer --quick', 'wp bench 3dmotformer --out results.json'],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme) {
      const { report } = JSON.parse(await wp.readFile(own('./results.json'), 'utf8')) as Results;
      const readme = await wp.readFile(own('./README.md'), 'utf8');
      await wp.writeFileWhole(own('./README.md'), wp.withResults(readme, '3dmotformer', report));
      output.print(own('./README.md'));
      output.result({ readme: own('./README.md') });
      return;
    }
    const { quick, stage } = options;
    const out = options.out === undefined ? undefined : wp.resolve(options.out);
    if (quick && out === own('./results.json'))
      throw new UserError('--quick is never written into the paper’s own results.json: choose another --out');
    const settings: Settings = {
      epochs: quick ? 1 : options.epochs,
      seeds: Array.from({ length: quick ? 1 : options.seeds }, (_, i) => i + 1),
      quick,
    };
    const manifest = wp.runManifest({ from: import.meta.url });
    let results: Growing = { ...manifest, settings, trackers: [], crowds: [] };
    if (out !== undefined && existsSync(out)) {
      const { report: _, ...before } = JSON.parse(await wp.readFile(out, 'utf8')) as Results;
      if (JSON.stringify(before.settings) !== JSON.stringify(settings))
        throw new UserError(
          `${out} was measured with ${JSON.stringify(before.settings)}, not ${JSON.stringify(settings)}: name another file, or remove it`,
        );
      results = { ...(before as Growing), ...manifest };
    }
    const save = async () => {
      if (out !== undefined)
        await wp.writeFileWhole(out, `${JSON.stringify(wp.withReport(results), null, 1)}\n`);
    };
    const deadline = performance.now() + 60_000 * (options.minutes ?? Number.POSITIVE_INFINITY);
    const temporary = quick ? await wp.mkdtemp(wp.join(wp.tmpdir(), 'mot-bench-')) : undefined;
    const folder = temporary ?? options.folder ?? wp.join(wp.cacheFolder(), '3dmotformer');
    await using device = await wp.openDevice();
    try {
      if (stage !== 'crowds') {
        const recordings = await wp.loadKitti();
        const all = wp.candidatesOf(settings);
        const wanted = quick
          ? all
              .filter(({ hertz, training }) => hertz === 2 && (!training || training.length === 6))
              .slice(0, 3)
          : all;
        for (const candidate of wanted) {
          const { name, hertz, seed } = candidate;
          const same = (each: (typeof results.trackers)[number]) =>
            each.name === name && each.hertz === hertz && each.seed === seed;
          if (results.trackers.some(same)) continue;
          if (signal.aborted || performance.now() > deadline) break;
          using bar = output.progress(`${name}, ${hertz} Hz, seed ${seed}`, 1);
          let steps = 0;
          const bench: Bench = {
            device,
            recordings,
            settings,
            folder,
            signal,
            onStep: (done, loss) => {
              steps = done;
              bar.update(0, `update ${steps}, loss ${loss.toFixed(3)}`);
            },
          };
          results.trackers.push(await wp.measureCandidate(bench, candidate));
          bar.update(1);
          await save();
        }
      }
      if (stage !== 'trackers' && performance.now() <= deadline) {
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
          '3DMOTFormer': () => wp.networkFrames(compiled.open()),
          [wp.names.kalman]: () => wp.kalmanFrames(),
        };
        results.crowds = await wp.measureCrowds(
          open,
          quick ? [10, 50] : [10, 50, 100, 200, 500],
          quick ? 10 : 40,
        );
        await compiled.dispose();
        await save();
      }
      signal.throwIfAborted();
    } finally {
      if (temporary !== undefined) await wp.rm(temporary, { recursive: true, force: true });
    }
    const { report } = wp.withReport(results);
    for (const { title, columns, rows } of report.tables) {
      output.print(`\n${title}`);
      output.table(columns, rows);
    }
    for (const { claim, measured, verdict } of report.claims)
      output.print(`\n${claim}\n  ${measured}: ${verdict}`);
    if (quick) output.print('\nA quick run: these figures say that it works, not how well.');
    output.result({ ...results, report });
  },
});

/** Results that grow. */
type Growing = {
  -readonly [K in keyof Measured]: Measured[K] extends readonly (infer Item)[] ? Item[] : Measured[K];
};
