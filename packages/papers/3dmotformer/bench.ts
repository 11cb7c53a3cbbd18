/**
 * The experiment: the network on its own tracks, on labels' tracks, on windows of two frames, and the Kalman filter, on
 * KITTI's validation recordings at 2 Hz and at 10 Hz. Node only.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadStateDict, stateDict, type Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Device } from '@working-papers/tensor';
import { closedAndForced, measureKitti, trackRecording } from './evaluate.ts';
import { type FrameTracker, kalmanFrames, worldFrames } from './frame-tracker.ts';
import { type GraphOptions, kittiGraph, kittiSlowGraph } from './graph.ts';
import type { KittiDetection } from './kitti.ts';
import { type KittiRecording, trainingFrames, validation } from './kitti-data.ts';
import { kittiKinds } from './kitti-world.ts';
import { MotFormer } from './model.ts';
import { NearestTracker } from './nearest.ts';
import type { CrowdResult, Settings, TrackerResult } from './results.ts';
import { compileMotFormer } from './track.ts';
import { trainMotFormer } from './train.ts';
import { windows } from './training-data.ts';

export const names = {
  own: 'Trained on own tracks',
  labels: 'Trained on labels’ tracks',
  pairs: 'Trained on two frames',
  plain: 'Own tracks, not augmented',
  hungarian: 'Own tracks, Hungarian matching',
  coasting: 'Own tracks, told while unseen',
  kalman: 'Kalman filter',
  eager: 'Kalman filter, told at once',
  nearest: 'Nearest track',
  noLead: 'Own tracks, no lead',
  growing: 'Own tracks, features that grow',
  released: 'As the release trains',
  /** The weights that ship. */
  network: '3DMOTFormer',
} as const;

/** One tracker of the bench. */
export interface Candidate {
  readonly name: string;
  readonly hertz: 2 | 10;
  readonly seed: number;
  /** None for what is not trained. */
  readonly training?: {
    readonly tracks: 'own' | 'labels';
    readonly length: number;
    readonly augment: boolean;
    /** Frames that are tracked before a window, at most. */
    readonly lead: number;
    /** See `FirstValues`; default ours. */
    readonly memory?: number;
    /** Rate, its course and first values of the release; default ours. */
    readonly isReleased?: boolean;
    /** Of the setting's. */
    readonly epochs: number;
  };
  readonly matcher?: 'greedy' | 'hungarian';
  /** Frames for which tracks are told while they are not seen; default none. */
  readonly coast?: number;
}

/** All trackers: every seed at 2 Hz, where the claim lives; the first at 10 Hz and for variants. */
export function candidatesOf({ seeds }: Settings): Candidate[] {
  const own = { tracks: 'own', length: 6, augment: true, lead: 16, epochs: 1 } as const;
  const [first] = seeds;
  return [
    ...([2, 10] as const).flatMap((hertz): Candidate[] =>
      [names.kalman, names.eager, names.nearest].map((name) => ({ name, hertz, seed: 0 })),
    ),
    ...seeds.flatMap((seed): Candidate[] => [
      { name: names.own, hertz: 2, seed, training: own },
      { name: names.labels, hertz: 2, seed, training: { ...own, tracks: 'labels' } },
    ]),
    { name: names.own, hertz: 10, seed: first!, training: own },
    ...([2, 10] as const).map(
      (hertz): Candidate => ({ name: names.coasting, hertz, seed: first!, training: own, coast: 2 }),
    ),
    { name: names.hungarian, hertz: 2, seed: first!, training: own, matcher: 'hungarian' },
    // as many updates see as many frames
    { name: names.pairs, hertz: 2, seed: first!, training: { ...own, length: 2, epochs: 4 } },
    { name: names.plain, hertz: 2, seed: first!, training: { ...own, augment: false } },
    { name: names.noLead, hertz: 2, seed: first!, training: { ...own, lead: 0 } },
    { name: names.growing, hertz: 2, seed: first!, training: { ...own, lead: 0, memory: 1 } },
    {
      name: names.released,
      hertz: 2,
      seed: first!,
      training: { ...own, lead: 0, augment: false, isReleased: true },
    },
  ];
}

export interface Bench {
  readonly device: Device;
  readonly recordings: readonly KittiRecording[];
  readonly settings: Settings;
  /** Holds checkpoints and weights, so that nothing is trained twice. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onStep?: (done: number, loss: number) => void;
}

const isHeld = ({ name }: KittiRecording) => validation.includes(name);
const graphOf = (hertz: number): GraphOptions => (hertz === 2 ? kittiSlowGraph : kittiGraph);
/** In training, where a graph's size is fixed, the nearest eight. */
const trainingGraphOf = (hertz: number): GraphOptions => ({ ...graphOf(hertz), maxNeighbours: 8 });

/** Trains where it must, tracks, and measures. */
export async function measureCandidate(bench: Bench, candidate: Candidate): Promise<TrackerResult> {
  const { device, recordings, settings, signal } = bench;
  const { name, hertz, seed, training, matcher = 'greedy', coast } = candidate;
  const every = hertz === 2 ? 5 : 1;
  const held = recordings.filter(isHeld);
  const judge = async (open: () => FrameTracker) => {
    const results = [];
    const times: number[] = [];
    for (const recording of held) {
      signal.throwIfAborted();
      results.push(await trackRecording(timed(open(), times), recording, { every }));
    }
    const total = times.reduce((a, b) => a + b, 0);
    return {
      measures: measureKitti(held, results, { every }),
      framesPerSecond: (1000 * times.length) / total,
      ...middleAndSlowest(times),
    };
  };
  if (!training) {
    const opens: Readonly<Record<string, () => FrameTracker>> = {
      [names.kalman]: () => kalmanFrames(),
      [names.eager]: () => kalmanFrames({ minHits: 1 }),
      [names.nearest]: () => worldFrames(new NearestTracker(graphOf(hertz))),
    };
    return { name, hertz, seed, epochs: 0, minutes: 0, gap: null, ...(await judge(opens[name]!)) };
  }
  const { model, weights, minutes } = await trained(bench, candidate, training, every);
  const graph = graphOf(hertz);
  const classes = kittiKinds.length;
  const compiled = await compileMotFormer({ device, model, weights, graph, classes, matcher });
  const judged = await judge(() =>
    worldFrames(compiled.open(), { ...(coast !== undefined && { coast }), interval: graph.interval }),
  );
  await compiled.dispose();
  const store = await device.store(weights);
  const sequences = held.map((recording) => trainingFrames(recording, { every }));
  const gap = await closedAndForced({
    device,
    model,
    store,
    rollout: { graph: trainingGraphOf(hertz), classes, matcher },
    sequences,
  });
  await store.dispose();
  return { name, hertz, seed, epochs: settings.epochs * training.epochs, minutes, gap, ...judged };
}

interface Trained {
  readonly model: MotFormer;
  readonly weights: Weights;
  readonly minutes: number;
}

/** Weights of a candidate that learns, and only them: what `measureCandidate` would train first. */
export async function trainCandidate(bench: Bench, candidate: Candidate): Promise<void> {
  const { training, hertz } = candidate;
  if (training) await trained(bench, candidate, training, hertz === 2 ? 5 : 1);
}

async function trained(
  { device, recordings, settings, folder, signal, onStep }: Bench,
  { hertz, seed }: Candidate,
  training: NonNullable<Candidate['training']>,
  every: number,
): Promise<Trained> {
  const { tracks, length, augment, lead, memory, isReleased = false } = training;
  const epochs = settings.epochs * training.epochs;
  const classes = kittiKinds.length;
  const model = new MotFormer({ nodeInputs: 10 + classes });
  const recipe = isReleased ? 'released' : memory === undefined ? 'ours' : `memory-${memory}`;
  const slug = [hertz, tracks, length, augment ? 'augmented' : 'plain', lead, recipe, epochs, seed].join('-');
  const path = join(folder, `${slug}.safetensors`);
  if (existsSync(path)) {
    const { tensors, metadata } = await readSafetensors(path);
    return {
      model,
      weights: loadStateDict(model, tensors, { file: path }),
      minutes: Number(metadata.minutes),
    };
  }
  const start = performance.now();
  const sequences = recordings
    .filter((recording) => !isHeld(recording))
    .slice(0, settings.quick ? 1 : undefined)
    .flatMap((recording) =>
      Array.from({ length: settings.quick ? 1 : every }, (_, phase) =>
        trainingFrames(recording, { every, phase }),
      ),
    );
  const batchSize = 8;
  const done = await trainMotFormer({
    device,
    model,
    sequences,
    windows: windows(sequences, length),
    rollout: { graph: trainingGraphOf(hertz), classes, tracks },
    seed,
    epochs,
    length,
    batchSize,
    lead,
    ...(isReleased && { rate: 1e-3, schedule: 'constant', firstValues: { reach: 1, memory: 1 } }),
    ...(memory !== undefined && { firstValues: { memory } }),
    ...(augment && { augmentation: { turn: true, mirror: true, shift: 20 } }),
    folder: join(folder, slug),
    resume: true,
    signal,
    onStep: (step, { loss }) => onStep?.(step, loss!),
  });
  signal.throwIfAborted();
  const minutes = (performance.now() - start) / 60_000;
  await writeSafetensors(path, stateDict(model, done.weights), { metadata: { minutes: minutes.toFixed(1) } });
  return { model, weights: done.weights, minutes };
}

/** Writes down what each step takes, milliseconds. */
function timed(tracker: FrameTracker, times: number[]): FrameTracker {
  return {
    links: tracker.links,
    async step(...frame) {
      const start = performance.now();
      const tracks = await tracker.step(...frame);
      times.push(performance.now() - start);
      return tracks;
    },
  };
}

function middleAndSlowest(times: readonly number[]): { milliseconds: number; slowest: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { milliseconds: at(0.5), slowest: at(0.99) };
}

/** Times of frames with more and more objects, standing and driving in a field. */
export async function measureCrowds(
  open: Readonly<Record<string, () => FrameTracker>>,
  objects: readonly number[],
  frames: number,
): Promise<CrowdResult[]> {
  const results: CrowdResult[] = [];
  for (const count of objects)
    for (const [method, begin] of Object.entries(open)) {
      const tracker = begin();
      const times: number[] = [];
      for (const [frame, detections] of crowd(count, frames).entries()) {
        const start = performance.now();
        await tracker.step(frame, detections);
        // the first frames of a count are compiled code's, not the tracker's
        if (frame > 2) times.push(performance.now() - start);
      }
      results.push({ method, objects: count, ...middleAndSlowest(times) });
    }
  return results;
}

function crowd(count: number, frames: number): KittiDetection[][] {
  const random = new Random(count);
  const side = Math.ceil(Math.sqrt(count));
  const speeds = Array.from({ length: count }, () => random.normal());
  return Array.from({ length: frames }, (_, f) =>
    Array.from({ length: count }, (_, n): KittiDetection => {
      const [x, z] = [
        8 * (n % side) + 0.1 * random.normal(),
        8 * Math.floor(n / side) + 0.3 * speeds[n]! * f,
      ];
      const size = { length: 4, width: 1.8, height: 1.5, y: 1.6, ry: 0 };
      return { ...size, type: 'Car', x, z, score: 1 + random.uniform(), alpha: 0, box2d: [0, 0, 50, 50] };
    }),
  );
}
