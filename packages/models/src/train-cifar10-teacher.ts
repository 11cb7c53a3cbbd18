/** Trains the diffusion teacher on CIFAR-10's training pictures: EDM's loss, labels dropped at times, a moving average. */

import { type Cifar10, type Cifar10Split, splitCifar10 } from '@working-papers/nn/cifar10';
import { DataLoader, type Dataset } from '@working-papers/nn/data';
import { fit } from '@working-papers/nn/fit';
import { nextDraw } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import type { Schedule } from '@working-papers/nn/schedules';
import { type Batch, Trainer } from '@working-papers/nn/trainer';
import { type Device, type NdArray, ndarray, normal } from '@working-papers/tensor';
import { openTeacher, teacherNetwork, teacherOptions } from './cifar10-teacher.ts';
import { Dit, type DitOptions } from './dit.ts';
import { dataDeviation, drawTrainingLevels, edmLoss } from './edm.ts';

const side = 32;
const size = 3 * side * side;
/** Validation pictures on which the averaged weights are judged. */
const heldOut = 250;

interface Example {
  readonly pixels: Uint8Array;
  readonly label: number;
  readonly flip: boolean;
}

/** Pictures by index; `flip` mirrors every other one, by draw. */
export function teacherExamples(
  split: Cifar10Split,
  indices: ArrayLike<number>,
  flip: boolean,
): Dataset<Example> {
  return {
    length: indices.length,
    get(i, random) {
      const index = indices[i]!;
      const pixels = split.images.subarray(index * size, (index + 1) * size);
      return { pixels, label: split.labels[index]!, flip: flip && random.uniform() < 0.5 };
    },
  };
}

/** Bytes to −1 .. 1: images [N, 3, 32, 32], labels [N] int32. */
export function collateExamples(items: readonly Example[]): { images: NdArray; labels: NdArray } {
  const images = new Float32Array(items.length * size);
  items.forEach(({ pixels, flip }, n) => {
    for (let at = 0; at < size; at++) {
      const column = at % side;
      const from = flip ? at - column + (side - 1 - column) : at;
      images[n * size + at] = pixels[from]! / 127.5 - 1;
    }
  });
  const labels = Int32Array.from(items, ({ label }) => label);
  return {
    images: ndarray(images, [items.length, 3, side, side]),
    labels: ndarray(labels, [items.length], 'int32'),
  };
}

/** At the peak, after a short rise, until the last 30 %, which fall in a line to 0. */
export function teacherSchedule(peak: number, steps: number): Schedule {
  const rise = Math.min(200, Math.ceil(steps / 20));
  return (step) => peak * Math.min(1, (step + 1) / rise, (steps - step) / (0.3 * steps));
}

export interface TeacherTraining {
  readonly device: Device;
  readonly data: Cifar10;
  /** Holds `checkpoint.safetensors` and `log.jsonl`. */
  readonly folder: string;
  /** Updates. */
  readonly steps: number;
  readonly seed: number;
  readonly options?: DitOptions;
  /** Default 128. */
  readonly batchSize?: number;
  /** Default 1e-3. */
  readonly peakRate?: number;
  /** Decay of the moving average of the weights; default .9995, less where there are few steps. */
  readonly ema?: number;
  /** Updates between evaluations; default 500. */
  readonly evaluateEvery?: number;
  readonly resume?: boolean;
  readonly checkpointMinutes?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: number, metrics: { readonly [metric: string]: number }) => void;
  /** The averaged weights' loss on held-out pictures at each of `evaluationLevels`, and the weights themselves. */
  readonly onEvaluate?: (step: number, figures: { readonly [metric: string]: number }) => void;
}

/** Noise levels at which the held-out loss is told apart. */
export const evaluationLevels: readonly number[] = [0.02, 0.1, 0.3, 1, 3, 10, 40];

/** Trains; resolves to the trainer, whose `weights('ema')` are the teacher's. */
export async function trainTeacher(training: TeacherTraining): Promise<{ model: Dit; trainer: Trainer }> {
  const { device, data, folder, steps, seed, options = teacherOptions, batchSize = 128 } = training;
  const { peakRate = 1e-3, ema = Math.min(0.9995, 1 - 10 / steps), evaluateEvery = 500 } = training;
  const split = splitCifar10(data.train.length);
  const loader = new DataLoader(teacherExamples(data.train, split.train, true), collateExamples, {
    batchSize,
    shuffle: true,
    seed,
    dropLast: true,
  });
  const model = new Dit(options);
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: {
      images: { shape: [batchSize, 3, side, side] },
      labels: { shape: [batchSize], dtype: 'int32' as const },
    },
    loss: ({ images, labels }) => {
      const level = drawTrainingLevels(batchSize, nextDraw, { tableShare: 0.3 });
      const { seed: drawn, stream } = nextDraw();
      const noise = normal(images.shape, drawn, { stream });
      return { loss: edmLoss(teacherNetwork(model, labels), images, noise, level).mean() };
    },
    optimizer: adamW({ weightDecay: 0 }),
    clipNorm: 1,
    ema,
  });
  const held = collateExamples(
    await Promise.all(
      Array.from({ length: heldOut }, (_, i) =>
        teacherExamples(data.train, split.validation, false).get(i, new Random(0)),
      ),
    ),
  );
  await fit({
    trainer: trainer as unknown as Trainer,
    loader: loader as unknown as DataLoader<unknown, Batch>,
    schedule: teacherSchedule(peakRate, steps),
    steps,
    folder,
    resume: training.resume ?? false,
    ...(training.checkpointMinutes === undefined ? {} : { checkpointMinutes: training.checkpointMinutes }),
    evaluate: {
      every: evaluateEvery,
      run: async () => heldOutLoss(device, await trainer.weights('ema'), held, model, options),
    },
    ...(training.signal ? { signal: training.signal } : {}),
    ...(training.onStep ? { onStep: training.onStep } : {}),
    ...(training.onEvaluate ? { onEvaluate: training.onEvaluate } : {}),
  });
  return { model, trainer: trainer as unknown as Trainer };
}

/** EDM's weighted loss by noise level, with the same noise every time. */
async function heldOutLoss(
  device: Device,
  weights: ReadonlyMap<unknown, NdArray>,
  { images, labels }: { images: NdArray; labels: NdArray },
  trained: Dit,
  options: DitOptions,
): Promise<{ [metric: string]: number }> {
  const named = new Map([...trained.namedWeights()].map(([name, weight]) => [name, weights.get(weight)!]));
  const teacher = await openTeacher(device, named, options);
  const clean = images.data as Float32Array;
  const noise = new Random(1).normals(clean.length);
  const figures: { [metric: string]: number } = {};
  let sum = 0;
  for (const level of evaluationLevels) {
    const x = clean.map((value, i) => value + level * noise[i]!);
    const found = await teacher.denoise(x, { level, step: 0 }, labels.data as Int32Array);
    const weight = (level ** 2 + dataDeviation ** 2) / (level * dataDeviation) ** 2;
    const loss =
      (weight * found.reduce((total, value, i) => total + (value - clean[i]!) ** 2, 0)) / clean.length;
    figures[`heldOut${level}`] = loss;
    sum += loss;
  }
  await teacher.dispose();
  return { heldOut: sum / evaluationLevels.length, ...figures };
}
