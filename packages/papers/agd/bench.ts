/**
 * The experiment: every way of guiding from the same noise, on one frozen model. In parts that are kept as they are
 * done, so that an interrupted run goes on: trainings with their error on held-out trajectories, pictures with what
 * the feature network says of them, times, and adapters on a base that was tuned after they were trained.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { machineName } from '@working-papers/edition';
import type { Teacher } from '@working-papers/models/cifar10-kinds';
import { cifar10Numbers, cifar10Shape } from '@working-papers/models/cifar10-sampling';
import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import { type Denoise, euler, sample } from '@working-papers/models/diffusion/samplers';
import { writeModelFile } from '@working-papers/models/model-files';
import {
  countParameters,
  loadStateDict,
  type Module,
  stateDict,
  type Weights,
} from '@working-papers/nn/module';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { Device } from '@working-papers/tensor';
import { adapterKind } from './checkpoint.ts';
import { drift, errorByScale, errorByStep, pointErrors, relativeError, roughness } from './evaluate.ts';
import {
  type AdapterKind,
  type AdapterSetOptions,
  GuidanceAdapters,
  sizeOfNetwork,
  student,
} from './model.ts';
import { defaultBatchSize, type Guided, type Loss, ScaleConditioned } from './objective.ts';
import type { Settings, TrainingResult } from './results.ts';
import { compileGuided } from './sample.ts';
import type { ShippedName } from './shipped.ts';
import { trainAdapters, trainFully } from './train.ts';
import type { Trajectories } from './trajectories.ts';

/** One training of the bench. */
export interface Training {
  readonly name: string;
  readonly seed: number;
  readonly updates: number;
  readonly points: 'trajectories' | 'forward';
  /** None: the whole network, with ω as a condition. */
  readonly adapters?: AdapterSetOptions;
  readonly loss?: Loss;
  /** Trajectories that are used, where it is not all. */
  readonly trajectories?: number;
}

export const names = {
  offset: 'AGD, offset',
  attention: 'AGD, cross-attention',
  gated: 'AGD, gated MLP',
  offsetForward: 'Offset, on noised data',
  gatedForward: 'Gated MLP, on noised data',
  full: 'Full distillation',
  plain: 'No guidance',
  cfg: 'CFG',
  half: 'CFG, half the steps',
} as const;

/** How the adapters are made whose pictures are judged; their share of the network is near the release's of DiT-XL. */
const adaptersOf = (kind: AdapterKind) => ({ kind, hiddenSize: 32, linear: true }) as const;

/**
 * What the claims rest on for every seed; for the first also cross-attention, the gated kind on noised data and the full
 * distillation, and ablations beside a reference of their length. The gated kind, which sees what is in a picture, goes on to improve
 * when the others have stopped: it is trained three times as long, on noised data too.
 */
export function trainingsOf({ seeds, updates, ablationUpdates, quick }: Settings): Training[] {
  const [offset, attention, gated] = (['offset', 'attention', 'gated'] as const).map(adaptersOf) as [
    AdapterSetOptions,
    AdapterSetOptions,
    AdapterSetOptions,
  ];
  const along = { points: 'trajectories', loss: 'picture', updates } as const;
  const noised = { ...along, points: 'forward' } as const;
  const main = (seed: number): Training[] => [
    { name: names.gated, ...along, adapters: gated, seed, updates: 3 * updates },
    { name: names.offset, ...along, adapters: offset, seed },
    { name: names.offsetForward, ...noised, adapters: offset, seed },
  ];
  const [first, ...others] = seeds as [number, ...number[]];
  const once: Training[] = [
    { name: names.attention, ...along, adapters: attention, seed: first },
    { name: names.gatedForward, ...noised, adapters: gated, seed: first, updates: 3 * updates },
    { name: names.full, ...along, seed: first },
  ];
  const ablation = (name: string, adapters: AdapterSetOptions, rest: Partial<Training> = {}): Training => ({
    name: `Ablation: ${name}`,
    ...along,
    adapters,
    seed: first,
    updates: ablationUpdates,
    ...rest,
  });
  const reference = ablation('gated MLP, the reference', gated);
  const released = ablation('m = 1000, as released', { ...gated, scaleFactor: 1000 });
  if (quick) return [...main(first), reference, released];
  return [
    ...main(first),
    ...others.flatMap(main),
    ...once,
    reference,
    released,
    ablation('cross-attention', attention),
    ablation('one vector a place', adaptersOf('position')),
    ablation('offset', offset),
    ablation('h = 8', { ...gated, hiddenSize: 8 }),
    ablation('h = 64', { ...gated, hiddenSize: 64 }),
    ablation('not times ω − 1', { ...gated, linear: false }),
    ablation('without the class', { ...gated, useClass: false }),
    ablation('without the time', { ...gated, useTimestep: false }),
    ablation('ω alone', { ...gated, useClass: false, useTimestep: false }),
    ablation('loss MSE, as published', gated, { loss: 'mse' }),
    ablation('loss L1', gated, { loss: 'l1' }),
    ablation('loss weighted by noise', gated, { loss: 'noise' }),
    ablation('loss weighted by angle', gated, { loss: 'angle' }),
    ablation('100 trajectories', gated, { trajectories: 100 }),
  ];
}

/** Of the trainings that show what a part does, E alone is measured. */
export const isAblation = ({ name }: Pick<Training, 'name'>): boolean => name.startsWith('Ablation');

/** What was trained, ready to be asked. */
export interface Trained {
  readonly training: Training;
  /** Of all that `guided` uses. */
  readonly weights: Weights;
  readonly guided: Guided;
  readonly module: Module;
  readonly adapters?: GuidanceAdapters;
  readonly adapterWeights?: Weights;
}

export interface Bench {
  readonly device: Device;
  readonly teacher: Teacher;
  readonly settings: Settings;
  /** What is trained on, of either kind, and what is judged on: trajectories that none has seen. */
  readonly points: Readonly<Record<Training['points'], () => Promise<Trajectories>>>;
  readonly heldOut: Trajectories;
  /** Holds checkpoints and weights, so that nothing is trained twice. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onStep?: (training: Training, step: number, loss: number) => void;
}

function moduleOf(
  bench: Bench,
  training: Training,
): Omit<Trained, 'weights'> & { take(own: Weights): Trained } {
  const { network } = bench.teacher.model;
  const base = bench.teacher.weights;
  if (!training.adapters) {
    const model = new ScaleConditioned(network);
    const made = { training, module: model, guided: ((...inputs) => model.forward(...inputs)) as Guided };
    return { ...made, take: (own) => ({ ...made, weights: own }) };
  }
  const adapters = new GuidanceAdapters(training.adapters, sizeOfNetwork(network));
  const made = { training, module: adapters, adapters, guided: student(network, adapters) };
  return {
    ...made,
    take: (own) => ({ ...made, adapterWeights: own, weights: new Map([...base, ...own]) }),
  };
}

const slug = ({ name, seed, updates }: Training) =>
  `${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${updates}-${seed}`;

/** Where the weights of a training lie once it is done. */
const weightsOf = ({ folder }: Bench, training: Training) => join(folder, `${slug(training)}.safetensors`);

export const isTrained = (bench: Bench, training: Training): boolean =>
  existsSync(weightsOf(bench, training));

/** Trains, or reads what was trained before. The minutes are those of the training when it was done here. */
export async function train(bench: Bench, training: Training): Promise<Trained & { minutes: number }> {
  const { device, teacher, folder, signal } = bench;
  const made = moduleOf(bench, training);
  const path = weightsOf(bench, training);
  if (existsSync(path)) {
    const { tensors, metadata } = await readSafetensors(path);
    return {
      ...made.take(loadStateDict(made.module, tensors, { file: path })),
      minutes: Number(metadata.minutes),
    };
  }
  const start = performance.now();
  const all = await bench.points[training.points]();
  const count = training.trajectories ?? all.count;
  const options = {
    device,
    network: teacher.model.network,
    weights: teacher.weights,
    trajectories: count < all.count ? all.select(Array.from({ length: count }, (_, n) => n)) : all,
    seed: training.seed,
    steps: training.updates,
    ...(training.loss && { loss: training.loss }),
    folder: join(folder, slug(training)),
    resume: true,
    signal,
    onStep: (step: number, { loss }: { readonly [metric: string]: number }) =>
      bench.onStep?.(training, step, loss!),
  };
  // a module of its own is made inside; names are the same
  const done = training.adapters
    ? await trainAdapters({ ...options, adapters: training.adapters })
    : await trainFully({ ...options, peakRate: 3e-4 });
  signal.throwIfAborted();
  const trained = 'adapters' in done ? done.adapters : done.model;
  const minutes = (performance.now() - start) / 60_000;
  const tensors = stateDict(trained, done.weights);
  await writeSafetensors(path, tensors, { metadata: { minutes: minutes.toFixed(1) } });
  return { ...made.take(loadStateDict(made.module, tensors)), minutes };
}

/** What ships: which trainings of the first seed, and under which name `wp run agd` knows them. */
const shippedAs: Readonly<Record<string, ShippedName>> = {
  [names.offset]: 'offset',
  [names.attention]: 'attention',
  [names.gated]: 'gated',
  [names.gatedForward]: 'gated-forward',
};

/** Writes the adapters of a training as a file that ships; does nothing for one that is of no use to others. */
export async function writeShipped(
  { folder, settings, teacher, heldOut }: Bench,
  { training, adapters, adapterWeights, minutes }: Trained & { minutes: number },
  { error }: TrainingResult,
  { command, date, machine }: RunManifest,
): Promise<void> {
  const name = shippedAs[training.name];
  if (!name || !adapters || !adapterWeights || training.seed !== settings.seeds[0]) return;
  const points = training.points === 'forward' ? 'sets of noised pictures' : 'guided trajectories';
  const card = {
    command,
    date,
    machine: machineName(machine),
    minutes: minutes.toFixed(0),
    seed: String(training.seed),
    data: `${settings.trajectories} ${points} of ${settings.steps} steps, ω from 1 to 6`,
    base: settings.base,
    steps: `${training.updates} of ${defaultBatchSize} points`,
    figures: `E = ${error.toFixed(3)} on ${heldOut.count} held-out trajectories`,
    licence: 'Apache-2.0; trained on what a model of CIFAR-10 (Krizhevsky 2009) draws',
  };
  const options = { adapters: training.adapters!, network: sizeOfNetwork(teacher.model.network) };
  const model = { model: adapters, weights: adapterWeights, options, card };
  const about = 'Adapters that guide CIFAR-10’s teacher in one call a step.';
  await writeModelFile(join(folder, 'weights'), `agd-${name}`, adapterKind, model, about);
}

const scaleEdges = [1, 1.5, 2, 3, 4, 5, 6.000001];

/** E and drift on the held-out trajectories. */
export async function judgeTraining(
  bench: Bench,
  { training, weights, guided, module, adapters, minutes }: Trained & { minutes: number },
): Promise<TrainingResult> {
  const { device, teacher, heldOut, settings, signal } = bench;
  const { network } = teacher.model;
  const points = await pointErrors({
    device,
    network,
    weights,
    guided,
    teacher: teacher.weights,
    trajectories: heldOut,
    signal,
  });
  const compiled = await compileGuided({
    device,
    model: teacher.model,
    weights,
    guided,
    shape: cifar10Shape,
  });
  const { labels, scales } = heldOut.data;
  const denoise = compiled.for({ labels, scale: scales });
  const ownEnds = () => drawn(bench, denoise, labels.length, settings.steps, 77);
  const distance = isAblation(training)
    ? null
    : drift(await ownEnds(), await guidedEnds(bench), cifar10Numbers);
  await compiled.dispose();
  const parameters = countParameters(module);
  return {
    name: training.name,
    seed: training.seed,
    updates: training.updates,
    parameters,
    share: parameters / countParameters(network),
    minutes: Number(minutes.toFixed(1)),
    error: relativeError(points) ?? Number.NaN,
    byScale: errorByScale(points, scaleEdges),
    byStep: errorByStep(points, settings.steps),
    drift: distance,
    roughness: adapters
      ? await roughness({ device, model: teacher.model, weights, adapters, sigma: 1 })
      : null,
  };
}

/** Pictures of a denoiser along Euler. */
export function drawn(
  { signal }: Bench,
  denoise: Denoise,
  count: number,
  steps: number,
  seed: number,
  first = 0,
): Promise<Float64Array> {
  return sample({
    denoise,
    sampler: euler,
    sigmas: karrasSigmas(steps),
    count,
    size: cifar10Numbers,
    seed,
    first,
    signal,
  });
}

const ends = new WeakMap<Bench, Promise<Float64Array>>();

/** Where CFG ends on the held-out conditions; the same for all trainings. */
function guidedEnds(bench: Bench): Promise<Float64Array> {
  const known = ends.get(bench);
  if (known) return known;
  const draw = async () => {
    const { device, teacher, heldOut, settings } = bench;
    const { labels, scales } = heldOut.data;
    const denoiser = await compileDenoiser({ device, ...teacher, shape: cifar10Shape });
    const out = await drawn(
      bench,
      denoiser.for({ labels, scale: scales }),
      labels.length,
      settings.steps,
      77,
    );
    await denoiser.dispose();
    return out;
  };
  const made = draw();
  ends.set(bench, made);
  return made;
}
