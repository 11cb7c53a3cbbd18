/** Training of what papers share on CIFAR-10: the diffusion teacher, and the network that looks at its pictures. */

import type { Cifar10, Cifar10Split } from '@working-papers/nn/cifar10';
import { DataLoader, type Dataset } from '@working-papers/nn/data';
import { type FitOptions, fit } from '@working-papers/nn/fit';
import { crossEntropy } from '@working-papers/nn/losses';
import type { Module, Weights } from '@working-papers/nn/module';
import { adamW, sgd } from '@working-papers/nn/optimizers';
import type { Random } from '@working-papers/nn/random';
import { cosine, type Schedule, warmup } from '@working-papers/nn/schedules';
import { type Batch, Trainer } from '@working-papers/nn/trainer';
import { type Device, type NdArray, ndarray, type Tensor } from '@working-papers/tensor';
import { Cifar10Features } from './cifar10-features.ts';
import type { Teacher } from './cifar10-kinds.ts';
import { cifar10Teacher } from './cifar10-teacher.ts';
import { type Edm, edmLoss } from './diffusion/edm.ts';
import type { DiT, DiTHooks, DiTOptions } from './dit.ts';

const side = 32;
const plane = side * side;
const bytes = 3 * plane;

/** A picture with its augmentation already drawn. */
export interface Picture {
  readonly pixels: Uint8Array;
  readonly label: number;
  readonly dx: number;
  readonly dy: number;
  readonly flip: boolean;
}

/** What may be done to pictures while training. */
export interface Augmentation {
  /** Mirror half of the pictures. */
  readonly flip?: boolean;
  /** Shift by up to so many pixels in each direction, grey beyond the edges. */
  readonly shift?: number;
  /** Leave out pictures of other classes. */
  readonly classes?: readonly number[];
}

/** The pictures of a split. */
export function pictures(
  split: Cifar10Split,
  { flip = false, shift = 0, classes }: Augmentation = {},
): Dataset<Picture> {
  const kept = classes && Array.from(split.labels.keys()).filter((n) => classes.includes(split.labels[n]!));
  return {
    length: kept?.length ?? split.length,
    get(nth: number, random: Random): Picture {
      const i = kept?.[nth] ?? nth;
      const move = () => (shift > 0 ? random.integer(2 * shift + 1) - shift : 0);
      const pixels = split.images.subarray(i * bytes, (i + 1) * bytes);
      return {
        pixels,
        label: split.labels[i]!,
        dx: move(),
        dy: move(),
        flip: flip && random.uniform() < 0.5,
      };
    },
  };
}

/** Pictures as a batch: images [N, 3, 32, 32] in [−1, 1], labels [N] int32. */
export function collate(items: readonly Picture[]): { images: NdArray; labels: NdArray } {
  const images = new Float32Array(items.length * bytes);
  for (const [n, { pixels, dx, dy, flip }] of items.entries()) {
    for (let at = 0; at < bytes; at++) {
      const [row, column] = [Math.floor(at / side) % side, at % side];
      const [y, x] = [row + dy, (flip ? side - 1 - column : column) + dx];
      if (y < 0 || y >= side || x < 0 || x >= side) continue; // 0 is grey
      images[n * bytes + at] = pixels[at - (at % plane) + y * side + x]! / 127.5 - 1;
    }
  }
  const labels = Int32Array.from(items, ({ label }) => label);
  return {
    images: ndarray(images, [items.length, 3, side, side]),
    labels: ndarray(labels, [items.length], 'int32'),
  };
}

/** `peak`, reached by a straight rise, and over the last `decay` of the steps a straight fall to 0. */
export function trapezoid(peak: number, steps: number, { rise = 0, decay = 0.3 } = {}): Schedule {
  const falling = decay * steps;
  return (step) => peak * Math.min(1, (step + 1) / Math.max(1, rise), (steps - step) / Math.max(1, falling));
}

/** Of both trainings. */
export interface TrainingOptions
  extends Pick<
    FitOptions,
    'folder' | 'resume' | 'signal' | 'progress' | 'onStep' | 'checkpointMinutes' | 'onEvaluate'
  > {
  readonly device: Device;
  readonly data: Pick<Cifar10, 'train'>;
  readonly seed: number;
  readonly steps: number;
  /** Default 128. */
  readonly batchSize?: number;
  /** Highest learning rate. */
  readonly peakRate?: number;
}

/** What a training gives. */
export interface Trained<M extends Module> {
  readonly model: M;
  readonly weights: Weights;
  /** Less than was asked for when the run was stopped. */
  readonly steps: number;
}

function pictureBatch(batchSize: number) {
  return {
    images: { shape: [batchSize, 3, side, side] },
    labels: { shape: [batchSize], dtype: 'int32' },
  } as const;
}

/** The loop that both share; the trainer is disposed of at its end. */
async function run(
  trainer: Trainer<ReturnType<typeof pictureBatch>>,
  options: TrainingOptions,
  augmentation: Augmentation,
  rest: Pick<FitOptions, 'schedule' | 'evaluate'>,
  kind: 'now' | 'ema',
): Promise<{ weights: Weights; steps: number }> {
  const { device: _, data, seed, steps, batchSize = 128, peakRate: __, ...fitting } = options;
  const loader = new DataLoader<Picture, Batch>(pictures(data.train, augmentation), collate, {
    batchSize,
    shuffle: true,
    seed,
    dropLast: true,
  });
  try {
    const done = await fit({ ...fitting, ...rest, trainer, loader, steps });
    return { weights: await trainer.weights(kind), steps: done };
  } finally {
    await trainer.dispose();
  }
}

/** Of `trainTeacher`. */
export interface TeacherTrainingOptions extends TrainingOptions {
  /** Another size than the teacher's own. */
  readonly model?: Partial<DiTOptions>;
  /** Goes on from this model instead of fresh weights: more training, or tuning on other pictures. */
  readonly start?: Teacher;
  /** Pictures of these classes only. */
  readonly classes?: readonly number[];
  /** Decay of the moving average that becomes the weights; default 0.9995, or less for runs below 20,000 steps. */
  readonly ema?: number;
  /** Runs every so many steps and at the end, on the averaged weights: sample grids, figures for the log. */
  readonly evaluate?: {
    readonly every: number;
    readonly run: (
      model: Edm<DiTHooks, DiT>,
      weights: Weights,
      step: number,
    ) => Promise<{ [metric: string]: number }>;
  };
}

/**
 * Trains the diffusion teacher: AdamW at 1e-3 without decay, gradients clipped at norm 1, mirrored pictures; the rate
 * falls over the last 30 % of the steps. The log has the loss of each noise level (see `edmLoss`).
 */
export async function trainTeacher(options: TeacherTrainingOptions): Promise<Trained<Edm<DiTHooks, DiT>>> {
  const {
    device,
    seed,
    steps,
    batchSize = 128,
    peakRate = 1e-3,
    ema = Math.min(0.9995, Math.max(0, 1 - 10 / steps)), // over no more than the last tenth of the run
    evaluate,
    start,
    classes,
    ...others
  } = options;
  const model = start?.model ?? cifar10Teacher(options.model);
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: pictureBatch(batchSize),
    loss: ({ images, labels }) => edmLoss(model, images, labels),
    optimizer: adamW({ weightDecay: 0 }),
    clipNorm: 1,
    ema,
    emaRamp: true,
    ...(start && { weights: start.weights }),
  });
  const figures = async () => evaluate!.run(model, await trainer.weights('ema'), trainer.step);
  const { model: _, ...fitting } = { ...others, device, seed, steps, batchSize };
  const rest = {
    schedule: trapezoid(peakRate, steps, { rise: Math.min(200, Math.round(steps / 50)) }),
    ...(evaluate && { evaluate: { every: evaluate.every, run: figures } }),
  };
  const augmentation = { flip: true, ...(classes && { classes }) };
  return { model, ...(await run(trainer, fitting, augmentation, rest, 'ema')) };
}

/** Of `trainFeatures`. */
export interface FeatureTrainingOptions extends Omit<TrainingOptions, 'data'> {
  readonly data: Cifar10;
  readonly blocksPerStage?: number;
}

/**
 * Trains the feature network as a classifier: SGD with Nesterov momentum and a cosine, pictures shifted by up to 4
 * pixels and mirrored. The accuracy on the test pictures is measured at the end alone and goes into the log.
 */
export async function trainFeatures(options: FeatureTrainingOptions): Promise<Trained<Cifar10Features>> {
  const { device, seed, steps, batchSize = 128, peakRate = 0.1, blocksPerStage = 1, ...others } = options;
  const model = new Cifar10Features({ blocksPerStage });
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: pictureBatch(batchSize),
    loss: ({ images, labels }) => ({
      loss: crossEntropy(model.forward(images), labels, { labelSmoothing: 0.1 }),
    }),
    optimizer: sgd({ momentum: 0.9, nesterov: true, weightDecay: 5e-4 }),
  });
  const rise = Math.round(steps / 10);
  const rest = {
    schedule: warmup(rise, cosine({ peak: peakRate, steps: Math.max(1, steps - rise) })),
    evaluate: {
      every: steps,
      run: async () => ({
        testAccuracy: await accuracy(device, model, await trainer.weights(), options.data.test),
      }),
    },
  };
  const fitting = { ...others, device, seed, steps, batchSize };
  return { model, ...(await run(trainer, fitting, { flip: true, shift: 4 }, rest, 'now')) };
}

/** The share of a split's pictures that a classifier names rightly. */
export async function accuracy(
  device: Device,
  model: { forward(x: Tensor): Tensor },
  weights: Weights,
  split: Cifar10Split,
): Promise<number> {
  const classify = await device.compile((x) => model.forward(x).argMax(-1), {
    inputs: [{ shape: ['n', 3, side, side] }] as const,
    weights,
  });
  let right = 0;
  for await (const { images, labels } of new DataLoader(pictures(split), collate, { batchSize: 250 })) {
    const named = await classify(images);
    for (const [i, label] of labels.data.entries()) if (Number(named.data[i]) === Number(label)) right++;
  }
  await classify.dispose();
  return right / split.length;
}
