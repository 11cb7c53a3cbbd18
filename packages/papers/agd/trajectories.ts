/**
 * Guided trajectories: what classifier-free guidance saw and said at every step on its own way from noise to picture.
 * Adapters are trained on exactly these points, since they are where a sampler will ask. Runs in Node and in browsers;
 * `trajectory-files.ts` keeps them on disk.
 */

import { labelsOf, scalesOf } from '@working-papers/models/diffusion/denoiser';
import { guided } from '@working-papers/models/diffusion/guidance';
import type { Preconditioned } from '@working-papers/models/diffusion/preconditioned';
import { euler, type Sampler, sample } from '@working-papers/models/diffusion/samplers';
import type { DiTHooks } from '@working-papers/models/dit';
import type { Dataset } from '@working-papers/nn/data';
import type { Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { type Device, type NdArray, ndarray, type Tensor } from '@working-papers/tensor';
import { halfToNumber, numberToHalf, sizeOf } from '@working-papers/tensor/array';

/** Points of trajectories, in half precision. */
export interface TrajectoryData {
  /** Noise levels of the steps, falling; without the 0 behind the last. */
  readonly sigmas: readonly number[];
  /** The network's own numbers for them. */
  readonly levels: readonly number[];
  /** Channels, height and width of what the network sees. */
  readonly shape: readonly [number, number, number];
  /** Channels of what it says, over those of what it sees: 2 with a learned variance. */
  readonly parts: 1 | 2;
  /** Class and ω of each trajectory. */
  readonly labels: readonly number[];
  readonly scales: readonly number[];
  /** Bits of halves, [trajectory, step, C, H, W]: what the network saw. */
  readonly inputs: Uint16Array;
  /** [trajectory, step, parts · C, H, W]: its guided answer. */
  readonly targets: Uint16Array;
}

/** One point of one trajectory. */
export interface Point {
  readonly trajectory: number;
  readonly step: number;
}

/** Points as a batch. */
export interface PointBatch {
  /** [B, C, H, W]. */
  readonly x: NdArray;
  /** The network's number for the level, [B]. */
  readonly level: NdArray;
  /** σ/√(1 + σ²) = √(1 − ᾱ), [B]. */
  readonly noise: NdArray;
  /** [B], int32. */
  readonly labels: NdArray;
  /** ω [B]. */
  readonly scale: NdArray;
  /** [B, parts · C, H, W]. */
  readonly target: NdArray;
  readonly [name: string]: NdArray;
}

let halves: Float32Array | undefined;
/** Every half as a number. */
const halfTable = () => {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  return halves;
};

/** A set of trajectories that all have the same steps. */
export class Trajectories {
  readonly data: TrajectoryData;

  /** Throws a RangeError where the parts do not belong together. */
  constructor(data: TrajectoryData) {
    const { sigmas, levels, shape, parts, labels, scales, inputs, targets } = data;
    const points = labels.length * sigmas.length * sizeOf(shape);
    if (levels.length !== sigmas.length || scales.length !== labels.length)
      throw new RangeError(
        `${sigmas.length} noise levels, ${levels.length} numbers for them, ${labels.length} labels, ${scales.length} scales`,
      );
    if (inputs.length !== points || targets.length !== parts * points)
      throw new RangeError(
        `${labels.length} trajectories of ${sigmas.length} steps have ${points} and ${parts * points} numbers, not ${inputs.length} and ${targets.length}`,
      );
    this.data = data;
  }

  /** Trajectories. */
  get count(): number {
    return this.data.labels.length;
  }

  get steps(): number {
    return this.data.sigmas.length;
  }

  /** All points, trajectory by trajectory. */
  points(): Dataset<Point> {
    const { count, steps } = this;
    return {
      length: count * steps,
      get: (i) => ({ trajectory: Math.floor(i / steps), step: i % steps }),
    };
  }

  batch(points: readonly Point[]): PointBatch {
    const { shape, parts, sigmas, levels, labels, scales, inputs, targets } = this.data;
    const size = sizeOf(shape);
    const table = halfTable();
    const read = (source: Uint16Array, width: number) => {
      const values = new Float32Array(points.length * width);
      for (const [n, { trajectory, step }] of points.entries()) {
        const from = (trajectory * this.steps + step) * width;
        for (let i = 0; i < width; i++) values[n * width + i] = table[source[from + i]!]!;
      }
      return values;
    };
    const [channels, height, width] = shape;
    const numbers = (of: (point: Point) => number) => ndarray(Float32Array.from(points, of));
    return {
      x: ndarray(read(inputs, size), [points.length, ...shape]),
      level: numbers(({ step }) => levels[step]!),
      noise: numbers(({ step }) => sigmas[step]! / Math.sqrt(1 + sigmas[step]! ** 2)),
      labels: ndarray(
        points.map(({ trajectory }) => labels[trajectory]!),
        [points.length],
        'int32',
      ),
      scale: numbers(({ trajectory }) => scales[trajectory]!),
      target: ndarray(read(targets, parts * size), [points.length, parts * channels, height, width]),
    };
  }

  /** Some of the trajectories, whole: points next to each other are near-duplicates and must not be parted. */
  select(trajectories: readonly number[]): Trajectories {
    const { labels, scales, inputs, targets, shape, parts } = this.data;
    const width = this.steps * sizeOf(shape);
    const pick = (source: Uint16Array, size: number) => {
      const out = new Uint16Array(trajectories.length * size);
      for (const [i, n] of trajectories.entries())
        out.set(source.subarray(n * size, (n + 1) * size), i * size);
      return out;
    };
    return new Trajectories({
      ...this.data,
      labels: trajectories.map((n) => labels[n]!),
      scales: trajectories.map((n) => scales[n]!),
      inputs: pick(inputs, width),
      targets: pick(targets, parts * width),
    });
  }
}

/** A class for each of `count` trajectories in turn, and ω ~ U(low, high). */
export function drawConditions(
  count: number,
  { classes, low = 1, high = 6, seed }: { classes: number; low?: number; high?: number; seed: number },
): { labels: number[]; scales: number[] } {
  if (!(low >= 0 && high >= low)) throw new RangeError(`guidance scales from ${low} to ${high}`);
  const random = new Random(seed).fork('conditions');
  return {
    labels: Array.from({ length: count }, (_, n) => n % classes),
    scales: Array.from({ length: count }, () => low + (high - low) * random.uniform()),
  };
}

export interface RecordOptions {
  readonly device: Device;
  readonly model: Preconditioned<DiTHooks>;
  readonly weights: Weights;
  /** Channels, height and width of a picture. */
  readonly shape: readonly [number, number, number];
  /** Falling levels, the last 0. */
  readonly sigmas: readonly number[];
  readonly labels: readonly number[];
  readonly scales: readonly number[];
  readonly seed: number;
  /** Channels that are guided; default all that are not variance. */
  readonly channels?: number;
  /** Trajectories at once; default 50. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (trajectories: number) => void;
}

export interface TrajectoryOptions extends RecordOptions {
  /** Default Euler in σ. */
  readonly sampler?: Sampler;
}

/** Runs the guided sampler from noise to picture and keeps every step. Two rows of the network a step. */
export async function recordTrajectories(options: TrajectoryOptions): Promise<Trajectories> {
  const { sigmas, seed, sampler = euler } = options;
  return record(options, async (teacher, first, count, keep) => {
    await sample({
      denoise: async (x, sigma, step) => {
        const said = await teacher(x, sigma);
        keep(step, said);
        return said.denoised;
      },
      sampler,
      sigmas,
      count,
      size: sizeOf(options.shape),
      seed,
      first,
      ...(options.signal && { signal: options.signal }),
    });
  });
}

export interface ForwardOptions extends RecordOptions {
  /** A clean picture of the class, in [−1, 1], C · H · W numbers. */
  readonly clean: (label: number, random: Random) => ArrayLike<number>;
}

/**
 * The same number of points at the same levels, but of noised pictures: what guidance distillation used to be trained
 * on (Meng et al. 2023, arXiv 2210.03142), and where no guided sampler comes along.
 */
export async function recordForward(options: ForwardOptions): Promise<Trajectories> {
  const { sigmas, labels, clean } = options;
  const size = sizeOf(options.shape);
  return record(options, async (teacher, first, count, keep) => {
    for (let step = 0; step + 1 < sigmas.length; step++) {
      options.signal?.throwIfAborted();
      const x = new Float64Array(count * size);
      for (let n = 0; n < count; n++) {
        const random = new Random(options.seed)
          .fork('forward')
          .fork(first + n)
          .fork(step);
        const picture = clean(labels[first + n]!, random);
        const noise = random.normals(size);
        for (let i = 0; i < size; i++) x[n * size + i] = picture[i]! + sigmas[step]! * noise[i]!;
      }
      keep(step, await teacher(x, sigmas[step]!));
    }
  });
}

interface Said {
  readonly input: ArrayLike<number>;
  readonly target: ArrayLike<number>;
  readonly denoised: ArrayLike<number>;
  readonly level: number;
}
type Teacher = (x: Float64Array, sigma: number) => Promise<Said>;
type Keep = (step: number, said: Said) => void;

async function record(
  options: RecordOptions,
  run: (teacher: Teacher, first: number, count: number, keep: Keep) => Promise<void>,
): Promise<Trajectories> {
  const { device, model, weights, shape, sigmas, labels, scales, batchSize = 50 } = options;
  const steps = sigmas.length - 1;
  labelsOf(labels, model.nullLabel - 1);
  scalesOf(scales, labels.length);
  const { network, nullLabel } = model;
  const channels = options.channels === undefined ? {} : { channels: options.channels };
  const call = guided((x, level, y) => network.forward(x, level, y), { nullLabel, ...channels });
  const teacher = await device.compile(
    (x: Tensor, sigma: Tensor, y: Tensor, scale: Tensor) => {
      const [input, level] = [model.scaled(x, sigma), model.level(sigma)];
      const target = call(input, level, y, scale);
      return { input, target, level, denoised: model.denoised(x, sigma, target) };
    },
    {
      inputs: [
        { shape: ['n', ...shape] },
        { shape: ['n'] },
        { shape: ['n'], dtype: 'int32' },
        { shape: ['n'] },
      ] as const,
      weights,
    },
  );
  const levels = new Array<number>(steps).fill(0);
  const size = sizeOf(shape);
  let parts: 1 | 2 = 1;
  const inputs = new Uint16Array(labels.length * steps * size);
  let targets = new Uint16Array(0);
  try {
    for (let first = 0; first < labels.length; first += batchSize) {
      const count = Math.min(batchSize, labels.length - first);
      const y = labelsOf(labels.slice(first, first + count), nullLabel - 1);
      const scale = scalesOf(scales.slice(first, first + count), count);
      const ask: Teacher = async (x, sigma) => {
        const level = ndarray(new Float32Array(count).fill(sigma));
        const said = await teacher(ndarray(x, [count, ...shape]), level, y, scale);
        const data = (array: NdArray) => array.data as Float32Array;
        return {
          input: data(said.input),
          target: data(said.target),
          denoised: data(said.denoised),
          level: Number(said.level.data[0]),
        };
      };
      const keep: Keep = (step, { input, target, level }) => {
        parts = target.length === input.length ? 1 : 2;
        if (targets.length === 0) targets = new Uint16Array(parts * inputs.length);
        levels[step] = level;
        store(inputs, input, first, count, step, steps);
        store(targets, target, first, count, step, steps);
      };
      await run(ask, first, count, keep);
      options.onProgress?.(first + count);
    }
  } finally {
    await teacher.dispose();
  }
  return new Trajectories({
    sigmas: sigmas.slice(0, -1),
    levels,
    shape,
    parts,
    labels,
    scales,
    inputs,
    targets,
  });
}

/** Numbers [count, ...] as the halves of one step of trajectories `first` and following. */
function store(
  to: Uint16Array,
  from: ArrayLike<number>,
  first: number,
  count: number,
  step: number,
  steps: number,
): void {
  const size = from.length / count;
  for (let n = 0; n < count; n++) {
    const at = ((first + n) * steps + step) * size;
    for (let i = 0; i < size; i++) to[at + i] = numberToHalf(from[n * size + i]!);
  }
}
