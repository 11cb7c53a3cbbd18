/** `wp bench agd`: adapters beside guidance and beside what they are measured against, the claims answered line by line. */

import { defineCommand, UserError } from '@working-papers/paper';
import { benchOptions, type Growing, partOption } from '@working-papers/paper/bench';
import type { Bench, Trained, Training } from './bench.ts';
import type { Measured, Settings } from './results.ts';
import type { Trajectories } from './trajectories.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('node:path')),
  ...(await import('@working-papers/models/cifar10-files')),
  ...(await import('@working-papers/models/cifar10-judge')),
  ...(await import('@working-papers/models/cifar10-training')),
  ...(await import('@working-papers/nn/module')),
  ...(await import('@working-papers/nn/cifar10-classes')),
  ...(await import('@working-papers/nn/datasets')),
  ...(await import('@working-papers/nn/tensors-hash')),
  ...(await import('@working-papers/paper/bench')),
  ...(await import('@working-papers/paper/manifest')),
  ...(await import('@working-papers/paper/pictures')),
  ...(await import('@working-papers/tensor')),
  ...(await import('./bench.ts')),
  ...(await import('./bench-pictures.ts')),
  ...(await import('./bench-times.ts')),
  ...(await import('./evaluate.ts')),
  ...(await import('./experiment.ts')),
  ...(await import('./report.ts')),
});
type Engine = Awaited<ReturnType<typeof engine>>;

export const benchCommand = defineCommand({
  summary: 'measure adapters beside guidance: error, drift, pictures, calls and time',
  options: {
    seeds: {
      type: 'integer',
      min: 1,
      default: 3,
      description: 'trainings of each method; seeds count from 1',
    },
    updates: { type: 'integer', min: 1, default: 2400, description: 'of each training' },
    ablationUpdates: { type: 'integer', min: 1, default: 1200, description: 'of each ablation' },
    pictures: { type: 'integer', min: 400, default: 1000, description: 'drawn for each method and scale' },
    trajectories: { type: 'integer', min: 10, default: 1000, description: 'to train on' },
    scales: { type: 'string', default: '1,1.5,2,3,4,6,8', description: 'ω, several with commas between' },
    stage: {
      type: 'string',
      choices: ['all', 'trainings', 'ablations', 'pictures', 'timing', 'transfer'],
      default: 'all',
      description: 'only a part; what --out has of the others stays',
    },
    base: { type: 'string', description: 'the frozen model; default the one that ships' },
    features: {
      type: 'string',
      description: "what judges: a file from 'wp train cifar10-features'; default the one that ships",
    },
    part: partOption,
    ...benchOptions,
    quick: {
      type: 'boolean',
      description:
        'under two minutes: one seed, few updates and pictures; no figure of it belongs into the README',
    },
  },
  examples: ['wp bench agd --quick', 'wp bench agd --out results.json', 'wp bench agd --readme'],
  async execute({ options, output, signal }) {
    const wp = await engine();
    if (options.readme)
      return wp.remakeReadme({ from: import.meta.url, id: 'agd', withReport: wp.withReport }, output);
    const { quick, stage } = options;
    wp.refuseQuick(import.meta.url, quick, options.out);
    const scales = options.scales.split(',').map(Number);
    if (scales.some((scale) => !(scale >= 0)) || scales.length === 0)
      throw new UserError(`--scales ${options.scales} are not numbers from 0, with commas between`);
    const teacher = await wp.readTeacher(options.base);
    const features = await wp.readFeatures(options.features);
    const settings: Settings = {
      base: wp.tensorsHash(wp.stateDict(teacher.model, teacher.weights)),
      features: wp.tensorsHash(wp.stateDict(features.model, features.weights)),
      steps: quick ? 8 : 32,
      trajectories: quick ? 40 : options.trajectories,
      updates: quick ? 60 : options.updates,
      ablationUpdates: quick ? 20 : options.ablationUpdates,
      pictures: quick ? 400 : options.pictures,
      scales: quick ? [1, 3] : scales,
      seeds: Array.from({ length: quick ? 1 : options.seeds }, (_, i) => i + 1),
      quick,
    };
    const { results, save, isOver } = await wp.growResults<Measured>({
      from: import.meta.url,
      out: options.out,
      minutes: options.minutes,
      signal,
      empty: {
        ...wp.runManifest({ from: import.meta.url }),
        settings,
        trainings: [],
        floor: [],
        pictures: [],
        timings: [],
        transfer: [],
      },
      // more of them may be measured later
      mayDiffer: ['scales', 'seeds'],
      withReport: wp.withReport,
    });
    const wants = (...stages: (typeof stage)[]) => stage === 'all' || stages.includes(stage);

    await using benchFolder = await wp.openBenchFolder(
      quick,
      options.folder,
      wp.join(wp.cacheFolder(), `agd-${settings.base.slice(0, 12)}`),
    );
    const folder = benchFolder.path;
    await using device = await wp.openDevice();
    const data = await wp.readCifar10(output);
    const recording = { device, teacher, output, signal };
    const range = { low: 1, high: 6, steps: settings.steps };
    const kept = new Map<string, Promise<Trajectories>>();
    const points = (kind: 'trajectories' | 'forward') => {
      const found =
        kept.get(kind) ??
        wp.keptPoints(wp.join(folder, kind), {
          ...recording,
          settings: { ...range, points: kind, count: settings.trajectories, seed: 1 },
          pictures: data.train,
        });
      kept.set(kind, found);
      return found;
    };
    const heldOut = await wp.keptPoints(wp.join(folder, 'held-out'), {
      ...recording,
      settings: { ...range, points: 'trajectories', count: quick ? 10 : 100, seed: 1001 },
    });
    let bar: ReturnType<typeof output.progress> | undefined;
    const bench: Bench = {
      device,
      teacher,
      settings,
      points: { trajectories: () => points('trajectories'), forward: () => points('forward') },
      heldOut,
      folder,
      signal,
      onStep: (_, step, loss) => bar?.update(step, `loss ${loss.toFixed(5)}`),
    };
    const trainings = wp.trainingsOf(settings);
    const trained = async (training: Training): Promise<Trained & { minutes: number }> => {
      bar = output.progress(`${training.name}, seed ${training.seed}`, training.updates);
      const done = await wp.train(bench, training);
      bar.end();
      return done;
    };
    const mine = trainings.filter((training) => wants(wp.isAblation(training) ? 'ablations' : 'trainings'));
    if (options.part !== undefined) {
      for (const training of wp.partOf(mine, options.part)) await trained(training);
      return;
    }
    for (const training of mine) {
      const isKnown = results.trainings.some(
        ({ name, seed, updates }) =>
          name === training.name && seed === training.seed && updates === training.updates,
      );
      if (isKnown) continue;
      if (isOver()) break;
      const done = await trained(training);
      const judged = await wp.judgeTraining(bench, done);
      results.trainings.push(judged);
      await wp.writeShipped(bench, done, judged, wp.runManifest({ from: import.meta.url }));
      await save();
    }
    if (wants('pictures'))
      await drawAll(wp, {
        ...{ bench, results, features, data, trained, isOver, save, output },
        onlyTrained: stage === 'pictures',
      });
    if (wants('timing') && !isOver()) {
      const of = (name: string) => trained(trainings.find((training) => training.name === name)!);
      const kinds = [wp.names.gated, wp.names.attention, wp.names.offset];
      const measured = [];
      for (const name of kinds) measured.push(await of(name));
      const batchSizes = quick ? [4] : [1, 16, 64];
      const rounds = quick ? 3 : 9;
      using own = output.progress('times', batchSizes.length * (rounds + 1));
      let done = 0;
      results.timings = await wp.measureTimes(bench, measured, {
        batchSizes,
        rounds,
        onRound: () => own.update(++done),
      });
      results.timed = wp.runManifest({ from: import.meta.url });
      await save();
    }
    if (wants('transfer') && !isOver()) await transfer(wp, { bench, results, data, trained, output, save });
    signal.throwIfAborted();
    wp.printResults(output, wp.withReport(results));
  },
});

interface Part {
  readonly bench: Bench;
  readonly results: Growing<Measured>;
  readonly data: Awaited<ReturnType<Engine['readCifar10']>>;
  readonly trained: (training: Training) => Promise<Trained & { minutes: number }>;
  readonly output: Parameters<(typeof benchCommand)['execute']>[0]['output'];
  readonly save: () => Promise<void>;
}

async function drawAll(
  wp: Engine,
  part: Part & {
    features: Awaited<ReturnType<Engine['readFeatures']>>;
    isOver: () => boolean;
    /** Leave out what is not trained yet. */
    onlyTrained: boolean;
  },
): Promise<void> {
  const { bench, results, features, data, trained, isOver, save, output, onlyTrained } = part;
  const { settings, device } = bench;
  const neighbours = settings.quick ? 400 : 2000;
  const judge = await wp.openJudge({ device, features, data, neighbours });
  try {
    for (const seed of settings.seeds) {
      if (results.floor.some((each) => each.seed === seed)) continue;
      const { pictures } = settings;
      results.floor.push({ seed, pictures, ...(await judge.floor(pictures, seed)) });
    }
    const all = wp.trainingsOf(settings);
    const missing = new Set<string>();
    // twice: the scale that is best for CFG is known after the first seed
    for (const _ of [1, 2]) {
      for (const drawing of wp.drawingsOf(settings, wp.bestScale(results.pictures, settings.seeds[0]!))) {
        const same = (each: (typeof results.pictures)[number]) =>
          each.method === drawing.method && each.scale === drawing.scale && each.seed === drawing.seed;
        if (results.pictures.some(same)) continue;
        if (isOver()) return;
        const training = all.find(({ name, seed }) => name === drawing.method && seed === drawing.seed);
        if (training && onlyTrained && !wp.isTrained(bench, training)) {
          missing.add(`${training.name}, seed ${training.seed}`);
          continue;
        }
        const own = training && (await trained(training));
        const label = `${drawing.method}, ω = ${drawing.scale}, seed ${drawing.seed}`;
        using bar = output.progress(label, settings.pictures);
        results.pictures.push(await wp.judgeDrawing(bench, judge, drawing, own, (done) => bar.update(done)));
        await save();
      }
    }
    for (const name of missing) output.warn(`${name}: not trained yet, no pictures`);
  } finally {
    await judge.dispose();
  }
}

/** Adapters, as they are, on a base that was tuned on two classes. */
async function transfer(wp: Engine, { bench, results, data, trained, output, save }: Part): Promise<void> {
  const { device, teacher, settings, folder, signal } = bench;
  const classes = [3, 5];
  const updates = settings.quick ? 20 : 600;
  using bar = output.progress('tuning the base', updates);
  const tuned = await wp.trainTeacher({
    device,
    data,
    seed: 1,
    steps: updates,
    batchSize: 64,
    peakRate: 3e-4,
    start: teacher,
    classes,
    folder: wp.join(folder, `tuned-${updates}`),
    resume: true,
    signal,
    onStep: (step, { loss }) => bar.update(step, `loss ${loss!.toFixed(4)}`),
  });
  signal.throwIfAborted();
  bar.end();
  const recording = { device, output, signal };
  const conditions = { count: settings.quick ? 10 : 60, low: 1, high: 6, steps: settings.steps, seed: 2001 };
  const points = { ...conditions, points: 'trajectories', classes } as const;
  const on = (base: typeof teacher) => wp.recordPoints({ ...recording, teacher: base, settings: points });
  const [before, after] = [await on(teacher), await on({ ...teacher, weights: tuned.weights })];
  results.transfer = [];
  for (const name of [wp.names.gated, wp.names.attention, wp.names.offset]) {
    const { guided, adapterWeights } = await trained(
      wp.trainingsOf(settings).find((training) => training.name === name)!,
    );
    const error = async (base: typeof teacher.weights, trajectories: Trajectories) => {
      const { network } = teacher.model;
      const weights = new Map([...base, ...adapterWeights!]);
      const found = await wp.pointErrors({ device, network, weights, guided, trajectories, signal });
      return wp.relativeError(found) ?? Number.NaN;
    };
    results.transfer.push({
      adapter: name,
      classes: classes.map((label) => wp.cifar10Classes[label]!),
      updates,
      before: await error(teacher.weights, before),
      after: await error(tuned.weights, after),
    });
  }
  await save();
}
