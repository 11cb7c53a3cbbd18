/**
 * Training on one's own tracks: each batch of windows is rolled out with the weights as they are, then replayed in one
 * graph for one update. Node only.
 */

import { DataLoader, type LoaderState } from '@working-papers/nn/data';
import { type FitOptions, fit } from '@working-papers/nn/fit';
import type { Weights } from '@working-papers/nn/module';
import { adamW } from '@working-papers/nn/optimizers';
import { Random } from '@working-papers/nn/random';
import { constant, cosine, type Schedule, warmup } from '@working-papers/nn/schedules';
import { type Batch, Trainer } from '@working-papers/nn/trainer';
import {
  concat,
  type Device,
  type DeviceArray,
  gather,
  type InputSpec,
  keepOnDevice,
  type NdArray,
  ndarray,
  type Store,
  type Tensor,
} from '@working-papers/tensor';
import { type Augmentation, augment } from './augment.ts';
import { type FirstValues, initializeMotFormer, type MotFormer } from './model.ts';
import {
  type FrameTensors,
  graphSpec,
  replay,
  trainFrame,
  type WindowTensors,
  windowSpec,
} from './objective.ts';
import { type FrameRecord, type FrameRunner, type RolloutOptions, rollOut } from './rollout.ts';
import type { TrainingFrame } from './training-data.ts';

/** A sequence's frames; windows lie within frames that are labelled. */
export type Sequence = readonly TrainingFrame[];

export interface TrainOptions
  extends Pick<
    FitOptions,
    'folder' | 'resume' | 'signal' | 'onStep' | 'checkpointMinutes' | 'evaluate' | 'onEvaluate'
  > {
  readonly device: Device;
  readonly model: MotFormer;
  readonly sequences: readonly Sequence[];
  /** First frames of windows: [sequence, frame]. */
  readonly windows: readonly (readonly [number, number])[];
  readonly rollout: RolloutOptions;
  readonly seed: number;
  readonly epochs: number;
  /** Frames of a window; default 6. */
  readonly length?: number;
  /** Windows of an update; default 8. */
  readonly batchSize?: number;
  /**
   * Frames before a window that are tracked without being trained on, as many as this or fewer, drawn for each update;
   * default 16, growing from none. With 0, as released, tracks are never older in training than a window, and features that
   * go from frame to frame drift off as a recording goes on.
   */
  readonly lead?: number;
  /** Learning rate at its peak; default 6e-4. The release has 1e-3. */
  readonly rate?: number;
  /** Default: a straight rise over 100 updates, then half a cosine down to nothing. The release's is constant. */
  readonly schedule?: 'cosine' | 'constant';
  /** First values of the weights. */
  readonly firstValues?: FirstValues;
  /** Turns, mirrors and shifts windows; default none, as released. */
  readonly augmentation?: Augmentation;
}

export interface TrainedMotFormer {
  readonly weights: Weights;
  readonly steps: number;
}

const unseen: TrainingFrame = { dets: [], ids: [], next: [], shift: [0, 0, 0] };

/** Trains from scratch. Twelve epochs in the release. */
export async function trainMotFormer(options: TrainOptions): Promise<TrainedMotFormer> {
  const { device, model, sequences, windows, rollout, seed, epochs } = options;
  const { length = 6, batchSize = 8, lead = 16, rate = 6e-4, augmentation = {}, firstValues = {} } = options;
  const spec = flatten(windowSpec(rollout, length - 1)) as Record<string, InputSpec>;
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    weights: initializeMotFormer(model, seed, firstValues),
    batch: { ...spec, seed: { shape: [], dtype: 'int32' } },
    loss: ({ seed: drawn, ...batch }) => replay(model, unflattenWindow(batch), drawn!),
    optimizer: adamW({ weightDecay: 0.01 }),
  });
  const loader = new DataLoader<readonly TrainingFrame[], readonly (readonly TrainingFrame[])[]>(
    {
      length: windows.length,
      get: (i, random) => {
        const [sequence, first] = windows[i]!;
        const all = sequences[sequence]!;
        // where there is no past, nothing is seen
        const missing = Math.max(0, lead - first);
        const past = [
          ...new Array<TrainingFrame>(missing).fill(unseen),
          ...all.slice(Math.max(0, first - lead), first),
        ];
        return augment([...past, ...all.slice(first, first + length)], random, augmentation);
      },
    },
    (items) => items,
    { batchSize, shuffle: true, seed, dropLast: true },
  );
  const steps = epochs * loader.batches;
  const runner = await compileRunner(device, model, trainer.store, rollout);
  const random = new Random(seed).fork('rollout');
  const source = {
    get epoch() {
      return loader.epoch;
    },
    state: () => loader.state(),
    load: (state: LoaderState) => loader.load(state),
    async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
      for await (const batch of loader) {
        const { epoch, batch: at } = loader.state();
        const own = random.fork(epoch).fork(at);
        const drawn = own.integer(2 ** 30);
        const past = own.integer(Math.round(lead * grown((epoch * loader.batches + at) / steps)) + 1);
        const frames = batch.map((window) => window.slice(lead - past));
        const record = await rollOut(frames, rollout, runner.of(drawn), { lead: past });
        // frames of the replay count from the window's first, those of the rollout from the past's
        const seed = ndarray([drawn + past], [], 'int32');
        yield { ...(flatten(record) as Record<string, NdArray>), seed };
      }
    },
  };
  const { folder, resume, signal, onStep, checkpointMinutes, evaluate, onEvaluate } = options;
  const given = { resume, signal, onStep, checkpointMinutes, evaluate, onEvaluate };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  try {
    const done = await fit({
      ...known,
      trainer: trainer as unknown as Trainer,
      loader: source,
      schedule: options.schedule === 'constant' ? constant(rate) : riseAndFall(rate, steps),
      steps,
      folder,
    });
    return { weights: await trainer.weights(), steps: done };
  } finally {
    await runner.dispose();
    await trainer.dispose();
  }
}

/**
 * Share of the lead at a share of the training. At first features grow by about 1.7 from frame to frame (what three equal
 * decoder layers add of a track's own), so that after many frames nothing can be learned; windows teach them not to.
 */
const grown = (done: number) => Math.min(1, Math.max(0, (done - 0.1) / 0.5));

/** A tenth of a short training rises. */
function riseAndFall(peak: number, steps: number): Schedule {
  const rise = Math.min(100, Math.floor(steps / 10));
  return warmup(rise, cosine({ peak, steps: Math.max(1, steps - rise) }));
}

/** The network on single frames, with the weights that train and the dropout of the replay, or without it. */
export async function compileRunner(
  device: Device,
  model: MotFormer,
  store: Store,
  options: RolloutOptions,
  training = true,
): Promise<{ of(seed: number): FrameRunner; dispose(): Promise<void> }> {
  const graph = graphSpec(options);
  const d = model.embedding.weight.shape[0] as number;
  const embed = await device.compile((first: Tensor) => [keepOnDevice(model.embed(first))], {
    inputs: [graph.dets] as const,
    store,
  });
  const step = await device.compile(
    (features: Tensor, from: Tensor, frame, seed: Tensor) => {
      const tracks = gather(features, from, 0);
      const answer = training ? trainFrame(model, frame, tracks, seed) : model.forward({ ...frame, tracks });
      const { affinity, velocity } = answer;
      return { affinity, velocity, features: [keepOnDevice(concat([answer.dets, answer.tracks], 0))] };
    },
    {
      inputs: [
        { shape: ['rows', d] },
        { shape: ['m'], dtype: 'int32' },
        graph,
        { shape: [], dtype: 'int32' },
      ] as const,
      store,
    },
  );
  return {
    of(seed) {
      let features: DeviceArray | undefined;
      return {
        async start(first) {
          [features] = (await embed(first)) as unknown as [DeviceArray];
        },
        async step(record: FrameRecord, frame) {
          const { dets, amongTracks, amongDets, across, edges, source } = record;
          const before = features!;
          const answer = await step(
            before as never,
            source,
            { dets, amongTracks, amongDets, across, edges },
            ndarray([seed + frame], [], 'int32'),
          );
          before.dispose();
          [features] = answer.features as unknown as [DeviceArray];
          return { affinity: answer.affinity, velocity: answer.velocity };
        },
        features: () => features!.read(),
      };
    },
    async dispose() {
      await embed.dispose();
      await step.dispose();
    },
  };
}

/** Nested arrays under one name each: `frames.0.across.index`. */
export function flatten(value: unknown, name = ''): Record<string, unknown> {
  const isLeaf = typeof value === 'object' && value !== null && 'shape' in value;
  if (isLeaf) return { [name]: value };
  return Object.assign(
    {},
    ...Object.entries(value as object).map(([key, part]) =>
      flatten(part, name === '' ? key : `${name}.${key}`),
    ),
  );
}

/** A window's record from its flat names. */
export function unflattenWindow(flat: Readonly<Record<string, unknown>>): WindowTensors {
  const window = unflatten(flat) as Omit<WindowTensors, 'frames'> & { frames: Record<string, FrameTensors> };
  return { ...window, frames: Object.values(window.frames) };
}

/** The inverse of `flatten`; lists come back as objects with the numbers for keys. */
function unflatten(flat: Readonly<Record<string, unknown>>): unknown {
  const root: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(flat)) {
    const path = name.split('.');
    let at = root;
    for (const key of path.slice(0, -1)) {
      at[key] ??= {};
      at = at[key] as Record<string, unknown>;
    }
    at[path.at(-1)!] = value;
  }
  return root;
}
