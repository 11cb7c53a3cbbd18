/** `wp bench jei-dnn`: every method side by side on one backbone, the claims answered line by line, and the clock. */

import { defineCommand, type Output, UserError } from '@working-papers/paper';
import { benchOptions } from '@working-papers/paper/bench';
import type { Device } from '@working-papers/tensor';
import type { SeedRun } from './bench.ts';
import type { Experiment } from './experiment.ts';
import type { CostWeights } from './methods.ts';
import type { Measured, Results } from './results.ts';
import type { Timing, TimingOptions } from './timing.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('@working-papers/tensor')),
  ...(await import('@working-papers/paper/bench')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('@working-papers/paper/pictures')),
  ...(await import('./experiment.ts')),
  ...(await import('./features.ts')),
  ...(await import('@working-papers/nn/tensors-hash')),
  ...(await import('./bench.ts')),
  ...(await import('./population-graphs.ts')),
  ...(await import('./timing.ts')),
  ...(await import('./report.ts')),
  ...(await import('./weights-file.ts')),
});
type Engine = Awaited<ReturnType<typeof engine>>;

export const bench = defineCommand({
  summary: 'measure the method beside its baselines, in accuracy, cost, calibration and time',
  options: {
    seeds: {
      type: 'integer',
      min: 1,
      default: 3,
      description: 'trainings of each method; seeds count from 1',
    },
    costWeights: {
      type: 'numbers',
      min: 0,
      description: 'λ, for every variant; default eleven for each kind of loss',
    },
    epochs: { type: 'integer', min: 1, default: 15, description: 'of each training' },
    backbone: { type: 'string', description: 'a checkpoint or weights file; default the one that ships' },
    out: { type: 'string', short: 'o', description: 'write the results to this file' },
    quick: {
      type: 'boolean',
      description:
        'under two minutes: one seed, 3,000 pictures, three λ; no figure of it belongs into the README',
    },
    stage: {
      type: 'string',
      choices: ['all', 'trainings', 'timing'],
      default: 'all',
      description: 'timing: only measure times anew, on the weights that ship, into the results of --out',
    },
    readme: benchOptions.readme,
  },
  examples: [
    'wp bench jei-dnn --quick',
    'wp bench jei-dnn --seeds 3 --out results.json',
    'wp bench jei-dnn --readme',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme)
      return wp.remakeReadme({ from: import.meta.url, id: 'jei-dnn', withReport: wp.withReport }, output);
    const { quick, out } = options;
    wp.refuseQuick(import.meta.url, quick, out);
    const asked = options.costWeights && wp.sortedCostWeights(options.costWeights);
    const costWeights = asked
      ? { error: asked, 'cross-entropy': asked }
      : quick
        ? { error: [0.3, 0.6, 0.8], 'cross-entropy': [0.1, 0.5, 1] }
        : wp.defaultCostWeights;
    const epochs = quick ? 4 : options.epochs;
    const warmupEpochs = quick ? 3 : 6;
    if (options.stage === 'timing') {
      await measureAnew(wp, out, quick, output, signal);
      return;
    }
    const { tensors: backbone } = await wp.readBackbone(options.backbone);
    await using device = await wp.openDevice();
    const experiment = await wp.openExperiment({
      device,
      output,
      signal,
      backbone,
      ...(quick ? { limit: 3000, augmentedViews: 1 } : {}),
    });

    const seeds = Array.from({ length: quick ? 1 : options.seeds }, (_, i) => i + 1);
    const runs = await benchSeeds(
      wp,
      { experiment, costWeights, seeds, epochs, warmupEpochs, ...(quick ? { turn: 12 } : {}) },
      output,
      signal,
    );
    const exits = runs[0]!.trained.map(({ member, tensors }) => ({ costWeight: member.costWeight, tensors }));
    const { cache, costs, multiplyAdds } = experiment;
    const manifest = wp.runManifest({ from: import.meta.url });
    const finish = async (timings: readonly Timing[]): Promise<Results> => {
      const measured = rounded({
        ...manifest,
        settings: {
          costWeights,
          epochs,
          warmupEpochs,
          pictures: {
            train: cache.train.length,
            validation: cache.validation.length,
            test: cache.test.length,
          },
          backboneHash: cache.hash,
          costs,
          multiplyAdds,
          quick,
        },
        seeds: runs.map(({ result }) => result),
        timings,
      });
      const whole = wp.withReport(measured);
      if (out !== undefined) await wp.writeFileWhole(out, `${JSON.stringify(whole, null, 1)}\n`);
      return whole;
    };
    // the trainings took long: they are kept before anything else can fail
    const trained = await finish([]);
    const { rule } = wp.settled(runs[0]!.trained[0]!.member);
    const results =
      options.stage === 'all'
        ? await finish(await allTimings(wp, device, { ...experiment, exits, rule }, quick, output, signal))
        : trained;
    wp.printResults(output, results);
  },
});

/** Other times in an earlier run's results: on a quiet machine, say. */
async function measureAnew(
  wp: Engine,
  out: string | undefined,
  quick: boolean,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  if (out === undefined) throw new UserError('--stage timing needs --out: the results to put times into');
  const { report: _, ...before } = await wp.readResults<Measured>(out);
  const { backbone, trained, rule } = await wp.readWeights();
  if (wp.tensorsHash(backbone) !== before.settings.backboneHash)
    throw new UserError(`'${out}' was measured on another backbone than the one that ships`);
  await using device = await wp.openDevice();
  const data = await wp.readCifar10(output);
  const timings = await allTimings(
    wp,
    device,
    { data, backbone, exits: trained, rule },
    quick,
    output,
    signal,
  );
  const timed = wp.runManifest({ from: import.meta.url });
  const results = wp.withReport(rounded({ ...before, timings, timed }));
  await wp.writeFileWhole(out, `${JSON.stringify(results, null, 1)}\n`);
  output.result(results);
}

/** As the file has them, so that the report can be made from the file again: seven digits, more than any is sure of. */
function rounded(measured: Measured): Measured {
  const text = JSON.stringify(measured, (_, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value,
  );
  return JSON.parse(text) as Measured;
}

interface SeedsPlan {
  readonly experiment: Experiment;
  readonly costWeights: CostWeights;
  readonly seeds: readonly number[];
  readonly epochs: number;
  readonly warmupEpochs: number;
  readonly turn?: number;
}

/** Seeds run side by side, each on a device with one thread: small graphs gain little from more threads. */
async function benchSeeds(
  wp: Engine,
  { experiment, seeds, ...settings }: SeedsPlan,
  output: Output,
  signal: AbortSignal,
): Promise<SeedRun[]> {
  const { availableParallelism } = await import('node:os');
  const { cache, costs } = experiment;
  using bar = output.progress(seeds.length === 1 ? 'trainings' : `trainings, ${seeds.length} seeds`, 1);
  const shares = seeds.map(() => 0);
  const runs: SeedRun[] = [];
  let next = 0;
  const worker = async () => {
    await using device = await wp.openDevice({ threads: 1 });
    for (let i = next++; i < seeds.length; i = next++) {
      runs[i] = await wp.benchSeed({
        device,
        cache,
        costs,
        ...settings,
        seed: seeds[i]!,
        signal,
        onProgress: (done, what) => {
          shares[i] = done;
          bar.update(shares.reduce((a, b) => a + b) / seeds.length, what);
        },
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(2 * availableParallelism(), seeds.length) }, worker));
  return runs;
}

interface TimingPlan extends Pick<Experiment, 'data' | 'backbone'> {
  readonly exits: TimingOptions['exits'];
  readonly rule: TimingOptions['rule'];
}

async function allTimings(
  wp: Engine,
  device: Device,
  { data, backbone, exits, rule }: TimingPlan,
  quick: boolean,
  output: Output,
  signal: AbortSignal,
): Promise<Timing[]> {
  const plans = [
    { batchSize: 256, pairs: quick ? 3 : 31, compaction: true },
    { batchSize: 256, pairs: quick ? 3 : 15, compaction: false },
    // one graph an exit
    { batchSize: 256, pairs: quick ? 3 : 15, compaction: true, graphs: 9 },
    { batchSize: 1, pairs: quick ? 30 : 300, compaction: true },
  ];
  const timings: Timing[] = [];
  for (const plan of plans) {
    using bar = output.progress(
      `times, batch ${plan.batchSize}${plan.compaction ? '' : ', no compaction'}${'graphs' in plan ? `, ${plan.graphs} graphs` : ''}`,
      1,
    );
    timings.push(
      ...(await wp.measureTimes({
        ...plan,
        device,
        backbone,
        exits,
        rule,
        pictures: data.test,
        signal,
        onPair: (done, total) => bar.update(done / total),
      })),
    );
  }
  return timings;
}
