/**
 * 3DMOTFormer at work: one frame after the other, its own answers the next frame's input (section 5 of the method: the
 * same loop that it is trained in). A detection that matches no track begins one; a track that is not seen coasts twice
 * and ends with the third miss.
 */

import type { Weights } from '@working-papers/nn/module';
import { type Compiled, type Device, type NdArray, ndarray, type Tensor } from '@working-papers/tensor';
import {
  candidates,
  edgeFeatures,
  expected,
  type GraphOptions,
  neighbours,
  nodeFeatures,
  packLists,
  type SeenBox,
  type TrackedState,
} from './graph.ts';
import { type Matcher, match } from './matching.ts';
import type { FrameGraph, MotFormer } from './model.ts';

/** A track that is told: seen in this frame, or believed to go on unseen. */
export interface ToldTrack<D> extends TrackedState {
  readonly id: number;
  /** Of the detection; a tenth of the last one while it coasts. */
  readonly score: number;
  /** The last detection that it was. */
  readonly detection: D;
  /** Not seen in this frame. */
  readonly coasting: boolean;
  /** Frames in which it was seen. */
  readonly hits: number;
}

export interface MotTrackerOptions {
  readonly device: Device;
  readonly model: MotFormer;
  readonly weights: Weights;
  readonly graph: GraphOptions;
  /** Number of classes. */
  readonly classes: number;
  /** Default `greedy`. */
  readonly matcher?: Matcher;
  /** Frames that a track may go unseen; it ends at the next. Default 2. */
  readonly maxMisses?: number;
  /** Most detections of a frame, the surest; default 500. */
  readonly maxDetections?: number;
}

/** Edges of one frame with their affinities, to be looked at. */
export interface FrameEdges {
  readonly across: readonly (readonly number[])[];
  readonly affinity: readonly (readonly number[])[];
  /** Over the ground: where detections are, and where tracks were expected. */
  readonly dets: readonly (readonly [number, number])[];
  readonly tracks: readonly (readonly [number, number])[];
}

/** Of a tracker that judges none. */
export const noEdges: FrameEdges = { across: [], affinity: [], dets: [], tracks: [] };

/** Metres along the axes. */
export type Shift = readonly [x: number, y: number, z: number];

/** The same, elsewhere: what stood still, seen from a vehicle that has moved. */
export function shifted<T extends { readonly x: number; readonly y: number; readonly z: number }>(
  tracks: readonly T[],
  [x, y, z]: Shift,
): T[] {
  return tracks.map((track) => ({ ...track, x: track.x + x, y: track.y + y, z: track.z + z }));
}

/** Tracks over the ground, whoever matches them. */
export interface WorldTracker<D extends SeenBox> {
  /** Of the last frame. */
  readonly edges: FrameEdges;
  /** Carries what is known to other coordinates: the vehicle is the origin, and it moves. */
  move(shift: Shift): void;
  step(seen: readonly D[]): Promise<ToldTrack<D>[]>;
}

interface State<D> extends TrackedState {
  readonly id: number;
  readonly feature: Float32Array;
  readonly score: number;
  readonly detection: D;
  readonly hits: number;
}

/** A network compiled for graphs of any size. */
export interface CompiledMotFormer {
  /** Starts the tracks of a new scene. */
  open<D extends SeenBox>(): MotTracker<D>;
  dispose(): Promise<void>;
}

type Embed = Compiled<readonly [Tensor], Tensor>;
type Step = (
  graph: {
    [K in keyof FrameGraph]: FrameGraph[K] extends Tensor ? NdArray : { index: NdArray; mask: NdArray };
  },
) => Promise<{
  affinity: NdArray;
  dets: NdArray;
  tracks: NdArray;
  velocity: NdArray;
}>;

/** Compiles the network once for all scenes. */
export async function compileMotFormer(options: MotTrackerOptions): Promise<CompiledMotFormer> {
  const { device, model, weights, classes } = options;
  const width = model.embedding.weight.shape[0] as number;
  const list = (n: string, k: string) =>
    ({ index: { shape: [n, k], dtype: 'int32' }, mask: { shape: [n, k] } }) as const;
  const embed = await device.compile((dets: Tensor) => model.embed(dets), {
    inputs: [{ shape: ['n', 10 + classes] }] as const,
    weights,
  });
  const step = await device.compile((graph) => model.forward(graph), {
    inputs: [
      {
        dets: { shape: ['n', 10 + classes] },
        tracks: { shape: ['m', width] },
        amongTracks: list('m', 'kt'),
        amongDets: list('n', 'kd'),
        across: list('n', 'k'),
        edges: { shape: ['n', 'k', 10] },
      },
    ] as const,
    weights,
  });
  return {
    open: () => new MotTracker(options, embed as Embed, step as unknown as Step),
    async dispose() {
      await embed.dispose();
      await step.dispose();
    },
  };
}

/** The tracks of one scene. */
export class MotTracker<D extends SeenBox> implements WorldTracker<D> {
  readonly #options: MotTrackerOptions;
  readonly #embed: Embed;
  readonly #step: Step;
  #tracks: State<D>[] = [];
  #born = 0;
  /** Edges of the last frame. */
  edges: FrameEdges = noEdges;

  /** Use `compileMotFormer`. */
  constructor(options: MotTrackerOptions, embed: Embed, step: Step) {
    this.#options = options;
    this.#embed = embed;
    this.#step = step;
  }

  move(shift: Shift): void {
    this.#tracks = shifted(this.#tracks, shift);
  }

  /** The next frame. One without detections tells nothing and changes nothing, as in the release. */
  async step(seen: readonly D[]): Promise<ToldTrack<D>[]> {
    const { graph, classes, matcher = 'greedy', maxMisses = 2, maxDetections = 500 } = this.#options;
    this.edges = noEdges;
    if (seen.length === 0) return [];
    const dets = seen.toSorted((a, b) => b.score - a.score).slice(0, maxDetections);
    const nodes = nodeFeatures(dets, classes);
    if (this.#tracks.length === 0) {
      const features = rowsOf(await this.#embed(nodes));
      this.#tracks = dets.map((det, i) => this.#birth(det, features[i]!, det.velocity));
      return this.#tracks.map((track) => told(track, false));
    }
    const before = this.#tracks;
    const across = candidates(dets, before, graph);
    const answer = await this.#step({
      dets: nodes,
      tracks: stackRows(before.map(({ feature }) => feature)),
      amongTracks: packLists(neighbours(before, graph)),
      amongDets: packLists(neighbours(dets, graph)),
      across: packLists(across),
      edges: edgeFeatures(dets, before, across, graph),
    });
    const logits = rowsOf(answer.affinity);
    const affinity = across.map((own, i) => own.map((_, at) => 1 / (1 + Math.exp(-logits[i]![at]!))));
    this.edges = {
      across,
      affinity,
      dets: dets.map(({ x, y }) => [x, y]),
      tracks: before.map((track) => expected(track, graph.interval)),
    };
    const matches = match(across, affinity, before.length, matcher);
    const [features, velocities, encoded] = [answer.dets, answer.velocity, answer.tracks].map(rowsOf) as [
      Float32Array[],
      Float32Array[],
      Float32Array[],
    ];
    const found = dets.map((det, i) => {
      const velocity = [velocities[i]![0]!, velocities[i]![1]!] as const;
      const track = before[matches[i]!];
      if (!track) return this.#birth(det, features[i]!, velocity);
      return { ...stateOf(det, features[i]!, velocity), id: track.id, hits: track.hits + 1 };
    });
    const matched = new Set(matches);
    const lost = before.flatMap((track, j) =>
      matched.has(j) || track.age > maxMisses ? [] : [{ ...track, feature: encoded[j]!, age: track.age + 1 }],
    );
    this.#tracks = [...found, ...lost];
    return [
      ...found.map((track) => told(track, false)),
      ...lost.map((track) => told(track, true, graph.interval)),
    ];
  }

  #birth(det: D, feature: Float32Array, velocity: readonly [number, number]): State<D> {
    return { ...stateOf(det, feature, velocity), id: this.#born++, hits: 1 };
  }
}

function stateOf<D extends SeenBox>(
  detection: D,
  feature: Float32Array,
  velocity: readonly [number, number],
) {
  const { x, y, z, width, length, height, yaw, kind, score } = detection;
  return { x, y, z, width, length, height, yaw, kind, score, velocity, age: 1, feature, detection };
}

/** A coasting track has gone on with the detector's velocity, for half the time that has passed. */
function told<D extends SeenBox>(
  { feature: _, ...track }: State<D>,
  coasting: boolean,
  interval = 0,
): ToldTrack<D> {
  if (!coasting) return { ...track, coasting };
  const time = interval * (track.age - 1);
  const { velocity } = track.detection;
  return {
    ...track,
    x: track.x + velocity[0] * time,
    y: track.y + velocity[1] * time,
    score: track.score * 0.1,
    coasting,
  };
}

function rowsOf(array: NdArray): Float32Array[] {
  const [rows, width] = array.shape as [number, number];
  const data = array.data as Float32Array;
  return Array.from({ length: rows }, (_, i) => data.slice(i * width, (i + 1) * width));
}

function stackRows(rows: readonly Float32Array[]): NdArray {
  const width = rows[0]!.length;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return ndarray(data, [rows.length, width]);
}
