/**
 * What is minimised on recorded points, by adapters and by a network that is distilled whole. Runs in Node and in
 * browsers; `train.ts` adds logs and checkpoints.
 */

import type { DiT } from '@working-papers/models/dit';
import { DataLoader } from '@working-papers/nn/data';
import { zeros } from '@working-papers/nn/initializers';
import { Linear } from '@working-papers/nn/layers';
import { Module, traceInference, type Weights } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import type { Schedule } from '@working-papers/nn/schedules';
import { Trainer } from '@working-papers/nn/trainer';
import { type Device, ndarray, type Tensor } from '@working-papers/tensor';
import { ScalarEncoder } from './adapters.ts';
import type { Point, PointBatch, Trajectories } from './trajectories.ts';

/** The network in one guided call: what it sees, its number for the level [N], labels [N] and ω [N]. */
export type Guided = (x: Tensor, level: Tensor, labels: Tensor, scale: Tensor) => Tensor;

/**
 * What is minimised, for an answer s and a target d: `mse` mean (s − d)²; `l1` mean |s − d|; `noise` the square times
 * √(1 − ᾱ); `angle` the square times ½ |1 − cos(c, d)|, where c is what the network says without guidance. Those are the
 * release's. `picture` is ours: the square times what of an error at its level is left in the picture
 * (`pictureWeights`), over (ω − 1)² + ¼. Guidance is largest where noise is, which the sampler forgets: the plain square
 * spends the adapters there.
 */
export const losses = ['mse', 'l1', 'noise', 'angle', 'picture'] as const;
export type Loss = (typeof losses)[number];

/** Points of an update: adapters this small gain more from many updates than from smooth ones; the release has 64. */
export const defaultBatchSize = 16;

export interface PointOptions {
  readonly device: Device;
  /** The frozen network and its weights. */
  readonly network: DiT;
  readonly weights: Weights;
  readonly trajectories: Trajectories;
  readonly seed: number;
  /** Updates; default 5000. */
  readonly steps?: number;
  /** Default `defaultBatchSize`. */
  readonly batchSize?: number;
  /** Highest learning rate; default 4e-3, the release's for large networks is 1e-4. */
  readonly peakRate?: number;
  /** Default `mse`. */
  readonly loss?: Loss;
}

/** A straight rise over the first tenth from a ten-thousandth of the peak, then half a cosine back to it. */
export function riseAndCosine(peak: number, steps: number): Schedule {
  const low = 1e-4;
  const rise = Math.max(1, Math.round(steps / 10));
  return (step) => {
    if (step < rise) return peak * (low + (1 - low) * (step / rise));
    const done = Math.min(1, (step - rise) / Math.max(1, steps - rise));
    return peak * (low + ((1 - low) * (1 + Math.cos(Math.PI * done))) / 2);
  };
}

function lossOf(kind: Loss, network: DiT, said: Tensor, batch: Record<string, Tensor>): Tensor {
  const { x, level, labels, target, noise, weight } = batch as Record<keyof PointBatch | 'weight', Tensor>;
  const error = said.sub(target!);
  if (kind === 'l1') return error.abs().mean();
  if (kind === 'mse') return error.mul(error).mean();
  const each = error.mul(error).mean([1, 2, 3]); // (B)
  if (kind === 'noise') return each.mul(noise!).mean();
  if (kind === 'picture') return each.mul(weight!).mean();
  const plain = traceInference(() => network.forward(x!, level!, labels!));
  const dot = (a: Tensor, b: Tensor) => a.mul(b).sum([1, 2, 3]);
  const cosine = dot(plain, target!).mul(dot(plain, plain).mul(dot(target!, target!)).add(1e-12).rsqrt());
  return each.mul(cosine.neg().add(1).abs().mul(0.5)).mean();
}

/** Standard deviation of the data that the network's preconditioning is for. */
const dataDeviation = 0.5;

/**
 * What `picture` multiplies a point's square with, 1 on average over the points of a set. An error δ of the network's
 * answer moves the estimated picture by δ σ d/√(σ² + d²) (EDM's preconditioning, Karras et al. 2022, arXiv 2206.00364,
 * table 1), and the sampler's step along with it. Of a move at σ the rest of the way leaves d/√(σ² + d²), as far as data
 * are Gaussian with deviation d: together the square counts σ² d⁴/(σ² + d²)², most at σ = d.
 */
export function pictureWeights({ data }: Trajectories): (point: Point) => number {
  const weigh = (scale: number, sigma: number) =>
    sigma ** 2 / (sigma ** 2 + dataDeviation ** 2) ** 2 / ((scale - 1) ** 2 + 0.25);
  const { scales, sigmas } = data;
  const total = scales
    .flatMap((scale) => sigmas.map((sigma) => weigh(scale, sigma)))
    .reduce((a, b) => a + b, 0);
  const average = total / (scales.length * sigmas.length);
  return ({ trajectory, step }) => weigh(scales[trajectory]!, sigmas[step]!) / average;
}

/** What a training loop needs. */
export interface PointTraining {
  readonly trainer: Trainer;
  readonly loader: DataLoader<Point, PointBatch>;
  readonly schedule: Schedule;
  readonly steps: number;
}

/** A trainer of whatever weights `model` has, so that `forward` says what was recorded. */
export async function createPointTraining(
  model: Module,
  forward: Guided,
  start: { readonly weights?: Weights; readonly frozen?: Weights },
  options: PointOptions,
): Promise<PointTraining> {
  const {
    device,
    network,
    trajectories,
    seed,
    steps = 5000,
    batchSize = defaultBatchSize,
    peakRate = 4e-3,
  } = options;
  const { shape, parts } = trajectories.data;
  const [channels, height, width] = shape;
  const numbers = { shape: [batchSize] };
  const weightOf = options.loss === 'picture' ? pictureWeights(trajectories) : undefined;
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: {
      x: { shape: [batchSize, ...shape] },
      level: numbers,
      noise: numbers,
      labels: { shape: [batchSize], dtype: 'int32' },
      scale: numbers,
      target: { shape: [batchSize, parts * channels, height, width] },
      ...(weightOf && { weight: numbers }),
    },
    loss: (batch) => {
      const { x, level, labels, scale } = batch;
      // labels are dropped nowhere: the network below is not in training
      const said = traceInference(() => forward(x, level, labels, scale));
      return { loss: lossOf(options.loss ?? 'mse', network, said, batch) };
    },
    optimizer: adamW({ weightDecay: 0 }),
    ...start,
  });
  const loader = new DataLoader<Point, PointBatch>(
    trajectories.points(),
    (points) => ({
      ...trajectories.batch(points),
      ...(weightOf && { weight: ndarray(Float32Array.from(points, weightOf)) }),
    }),
    { batchSize, shuffle: true, seed, dropLast: true },
  );
  return { trainer: trainer as unknown as Trainer, loader, schedule: riseAndCosine(peakRate, steps), steps };
}

/**
 * A copy of a network that takes ω as a further condition: c + W E(ω), the way of guidance distillation before
 * adapters (Meng et al. 2023, arXiv 2210.03142, section 3.1).
 */
export class ScaleConditioned extends Module {
  readonly network: DiT;
  readonly scaleEmbedder: ScalarEncoder;
  readonly scaleProj: Linear;

  constructor(network: DiT, hiddenSize = 64) {
    super();
    this.network = network;
    this.scaleEmbedder = new ScalarEncoder(hiddenSize, true);
    this.scaleProj = new Linear(hiddenSize, network.hiddenSize, { initWeight: zeros, initBias: zeros });
  }

  forward(x: Tensor, level: Tensor, labels: Tensor, scale: Tensor): Tensor {
    const added = this.scaleProj.forward(this.scaleEmbedder.forward(scale)); // (N, d)
    return this.network.forward(x, level, labels, { condition: (c) => c.add(added) });
  }
}
