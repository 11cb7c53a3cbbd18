/** What training and bench share: recorded points on disk, and the part of them that is held out. Node only. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Teacher } from '@working-papers/models/cifar10-kinds';
import { cifar10Numbers, cifar10Shape } from '@working-papers/models/cifar10-sampling';
import { karrasSigmas } from '@working-papers/models/diffusion/levels';
import type { Cifar10Split } from '@working-papers/nn/cifar10';
import { cifar10Classes } from '@working-papers/nn/cifar10-classes';
import type { Random } from '@working-papers/nn/random';
import { type Output, UserError } from '@working-papers/paper';
import type { Device } from '@working-papers/tensor';
import {
  drawConditions,
  type ForwardOptions,
  recordForward,
  recordTrajectories,
  type Trajectories,
} from './trajectories.ts';
import { readTrajectories, TrajectoryError, writeTrajectories } from './trajectory-files.ts';

export interface PointSettings {
  /** Along guided sampling, or at noised pictures of the data set. */
  readonly points: 'trajectories' | 'forward';
  readonly count: number;
  /** Range of ω. */
  readonly low: number;
  readonly high: number;
  /** Steps of the sampler. */
  readonly steps: number;
  readonly seed: number;
  /** Default all ten. */
  readonly classes?: readonly number[];
}

export interface RecordingOptions {
  readonly device: Device;
  readonly teacher: Teacher;
  readonly settings: PointSettings;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** For `forward`. */
  readonly pictures?: Cifar10Split;
}

/** Records points with the guided teacher. */
export async function recordPoints(options: RecordingOptions): Promise<Trajectories> {
  const { device, teacher, settings, output, signal, pictures } = options;
  const { points, count, low, high, steps, seed } = settings;
  const { classes = cifar10Classes.map((_, label) => label) } = settings;
  const drawn = drawConditions(count, { classes: classes.length, low, high, seed });
  const labels = drawn.labels.map((nth) => classes[nth]!);
  using bar = output.progress(points === 'forward' ? 'noised pictures' : 'trajectories', count);
  const given = {
    device,
    model: teacher.model,
    weights: teacher.weights,
    shape: cifar10Shape,
    sigmas: karrasSigmas(steps),
    labels,
    scales: drawn.scales,
    seed,
    signal,
    onProgress: (done: number) => bar.update(done),
  };
  if (points === 'trajectories') return recordTrajectories(given);
  if (!pictures) throw new Error('forward points need pictures');
  return recordForward({ ...given, clean: cleanPictures(pictures) });
}

/** A picture of the class in [−1, 1], mirrored half of the time. */
function cleanPictures({ images, labels }: Cifar10Split): ForwardOptions['clean'] {
  const byClass = cifar10Classes.map((_, label) =>
    Array.from(labels.keys()).filter((n) => labels[n] === label),
  );
  const side = Math.sqrt(cifar10Numbers / 3);
  return (label: number, random: Random) => {
    const own = byClass[label]!;
    const n = own[random.integer(own.length)]!;
    const flip = random.uniform() < 0.5;
    return Float32Array.from({ length: cifar10Numbers }, (_, at) => {
      const column = at % side;
      const from = flip ? at - column + (side - 1 - column) : at;
      return images[n * cifar10Numbers + from]! / 127.5 - 1;
    });
  };
}

/** The points of a folder, recorded first where it is empty. Throws a UserError for a folder of other points. */
export async function keptPoints(folder: string, options: RecordingOptions): Promise<Trajectories> {
  const { settings, output } = options;
  const { count, steps } = settings;
  if (existsSync(join(folder, 'timesteps.pt'))) {
    using bar = output.progress('reading trajectories', count);
    const read = await readTrajectories(folder, { onProgress: (done) => bar.update(done) }).catch((error) => {
      throw error instanceof TrajectoryError
        ? new UserError(`${error.message}; remove the folder to record anew`, { cause: error })
        : error;
    });
    if (read.count !== count || read.steps !== steps)
      throw new UserError(
        `${folder} holds ${read.count} trajectories of ${read.steps} steps, not ${count} of ${steps}: name another folder, or remove it to record anew`,
      );
    return read;
  }
  const recorded = await recordPoints(options);
  using bar = output.progress('writing trajectories', count);
  await writeTrajectories(folder, recorded, (done) => bar.update(done));
  return recorded;
}

/** The last tenth of the trajectories, at least one, is held out: whole trajectories, since neighbouring steps are alike. */
export function holdOut(set: Trajectories): { seen: Trajectories; unseen: Trajectories } {
  const held = Math.max(1, Math.floor(set.count / 10));
  if (set.count < 2) throw new RangeError(`${set.count} trajectories cannot be parted`);
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  return {
    seen: set.select(range(0, set.count - held)),
    unseen: set.select(range(set.count - held, set.count)),
  };
}
