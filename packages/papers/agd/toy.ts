/**
 * The paper's claim in two dimensions, small enough for a test and for a reader's browser: a noise-predicting
 * transformer of a single token learns three overlapping classes of points; guidance is distilled into offset adapters once on
 * guided trajectories and once on noised data; both are judged where they will be used, along guided sampling.
 */

import { compileDenoiser } from '@working-papers/models/diffusion/denoiser';
import { drawSigmas } from '@working-papers/models/diffusion/edm';
import { Epsilon } from '@working-papers/models/diffusion/epsilon';
import { ddpmSigmas, spacedTimesteps } from '@working-papers/models/diffusion/levels';
import { euler, sample } from '@working-papers/models/diffusion/samplers';
import { DiT, type DiTHooks } from '@working-papers/models/dit';
import { mse } from '@working-papers/nn/losses';
import { nextDraw, type Weights } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { Trainer } from '@working-papers/nn/trainer';
import { type Device, ndarray, normal } from '@working-papers/tensor';
import { drift, pointErrors, relativeError, roughness } from './evaluate.ts';
import { type AdapterKind, GuidanceAdapters, sizeOfNetwork, student } from './model.ts';
import { createPointTraining, type PointTraining, riseAndCosine } from './objective.ts';
import { compileGuided } from './sample.ts';
import { drawConditions, recordForward, recordTrajectories } from './trajectories.ts';

const toyClasses = 3;
const shape = [2, 1, 1] as const;
const sigmas = ddpmSigmas(spacedTimesteps(24));

/** A point of a class: around a corner of a triangle, wide enough to reach into the other classes. */
function toyPoint(label: number, random: Random): [number, number] {
  const angle = (2 * Math.PI * label) / toyClasses + Math.PI / 2;
  const [x, y] = [random.normal(), random.normal()];
  return [0.5 * Math.cos(angle) + 0.3 * x, 0.5 * Math.sin(angle) + 0.3 * y];
}

export interface ToyOptions {
  readonly device: Device;
  readonly seed: number;
  /** Default `offset`. */
  readonly kind?: AdapterKind;
  /** m; default 1. */
  readonly scaleFactor?: number;
  /** Updates of the network; default 1200. */
  readonly teacherSteps?: number;
  /** Updates of each set of adapters; default 1200. */
  readonly steps?: number;
  /** Trajectories to train on; default 300. */
  readonly trajectories?: number;
  /** Points to draw for judgement and for pictures; default 300. */
  readonly points?: number;
  readonly onProgress?: (what: 'network' | 'trajectories' | 'noised data', done: number) => void;
  readonly signal?: AbortSignal;
}

/** What a way of guiding drew, from the same noise as the others. */
export interface ToyRow {
  readonly name: 'guidance' | 'no guidance' | 'trajectories' | 'noised data';
  /** E on trajectories that were not trained on; null for guidance itself. */
  readonly error: number | null;
  /** How much adapters change over 0.05 of ω; see `roughness`. */
  readonly roughness?: number;
  /** Mean distance from where guidance itself ends. */
  readonly drift: number;
  /** [points, 2]. */
  readonly samples: Float64Array;
}

export interface ToyResult {
  readonly labels: readonly number[];
  readonly scales: readonly number[];
  readonly rows: readonly ToyRow[];
}

function toyModel(): Epsilon<DiTHooks, DiT> {
  const network = new DiT({
    hiddenSize: 32,
    depth: 3,
    numHeads: 2,
    patchSize: 1,
    inputSize: 1,
    inChannels: 2,
    classes: toyClasses,
    learnSigma: false,
  });
  return new Epsilon<DiTHooks, DiT>(network);
}

/** All of it; under half a minute on two cores. */
export async function runToy(options: ToyOptions): Promise<ToyResult> {
  const { device, seed, trajectories: count = 300, points = 300, steps = 1200, onProgress, signal } = options;
  const { kind = 'offset', scaleFactor = 1 } = options;
  const model = toyModel();
  const { network } = model;
  const weights = await trainTeacher(model, options);
  const record = { device, model, weights, shape, sigmas, ...(signal && { signal }) };
  const conditions = drawConditions(count, { classes: toyClasses, seed });
  const along = await recordTrajectories({ ...record, ...conditions, seed });
  const noised = await recordForward({ ...record, ...conditions, seed, clean: toyPoint });
  const judged = drawConditions(points, { classes: toyClasses, seed: seed + 1000 });
  const unseen = await recordTrajectories({ ...record, ...judged, seed: seed + 1000 });

  const draw = (denoise: Parameters<typeof sample>[0]['denoise']) =>
    sample({ denoise, sampler: euler, sigmas, count: points, size: 2, seed: seed + 1000 });
  const denoiser = await compileDenoiser({ device, model, weights, shape });
  const { labels, scales } = judged;
  const guided = await draw(denoiser.for({ labels, scale: scales }));
  const plain = await draw(denoiser.for({ labels }));
  await denoiser.dispose();
  const rows: ToyRow[] = [
    { name: 'guidance', error: null, drift: 0, samples: guided },
    { name: 'no guidance', error: 1, drift: drift(plain, guided, 2), samples: plain },
  ];
  for (const [name, trajectories] of [
    ['trajectories', along],
    ['noised data', noised],
  ] as const) {
    const adapters = new GuidanceAdapters({ kind, scaleFactor, hiddenSize: 32 }, sizeOfNetwork(network));
    const forward = student(network, adapters);
    const given = { device, network, weights, trajectories, seed, steps, batchSize: 128, peakRate: 1e-2 };
    const training = await createPointTraining(adapters, forward, { frozen: weights }, given);
    const trained = await loop(training, (done) => onProgress?.(name, done), signal);
    const all: Weights = new Map([...weights, ...trained]);
    const found = await pointErrors({ device, network, weights: all, guided: forward, trajectories: unseen });
    const own = await compileGuided({ device, model, weights: all, guided: forward, shape });
    const samples = await draw(own.for({ labels, scale: scales }));
    await own.dispose();
    rows.push({
      name,
      error: relativeError(found),
      roughness: await roughness({ device, model, weights: all, adapters, sigma: 1 }),
      drift: drift(samples, guided, 2),
      samples,
    });
  }
  return { labels, scales, rows };
}

/** A training without files. */
async function loop(
  { trainer, loader, schedule, steps }: PointTraining,
  onProgress: (done: number) => void,
  signal?: AbortSignal,
): Promise<Weights> {
  try {
    while (trainer.step < steps) {
      for await (const batch of loader) {
        signal?.throwIfAborted();
        await trainer.train(batch, schedule(trainer.step));
        onProgress(trainer.step / steps);
        if (trainer.step >= steps) break;
      }
    }
    return await trainer.weights();
  } finally {
    await trainer.dispose();
  }
}

async function trainTeacher(model: Epsilon<DiTHooks, DiT>, options: ToyOptions): Promise<Weights> {
  const { device, seed, teacherSteps = 1200, onProgress, signal } = options;
  const batchSize = 256;
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: { x: { shape: [batchSize, ...shape] }, labels: { shape: [batchSize], dtype: 'int32' } },
    loss: ({ x, labels }) => {
      const sigma = drawSigmas(batchSize);
      const { seed: drawn, stream } = nextDraw();
      const noise = normal(x.shape, drawn, { stream });
      const noisy = x.add(noise.mul(sigma.reshape([batchSize, 1, 1, 1])));
      return { loss: mse(model.raw(noisy, sigma, labels), noise) };
    },
    optimizer: adamW({ weightDecay: 0 }),
    ema: 0.99,
    emaRamp: true,
  });
  const random = new Random(seed).fork('points');
  const rate = riseAndCosine(4e-3, teacherSteps);
  try {
    while (trainer.step < teacherSteps) {
      signal?.throwIfAborted();
      const labels = Array.from({ length: batchSize }, () => random.integer(toyClasses));
      const x = labels.flatMap((label) => toyPoint(label, random));
      const batch = {
        x: ndarray(x, [batchSize, ...shape]),
        labels: ndarray(labels, [batchSize], 'int32'),
      };
      await trainer.train(batch, rate(trainer.step));
      onProgress?.('network', trainer.step / teacherSteps);
    }
    return await trainer.weights('ema');
  } finally {
    await trainer.dispose();
  }
}
