/**
 * Windows of frames as the network itself makes them: it runs over each frame, its matches become the next frame's
 * tracks, and all that is discrete on the way (neighbours, matches, targets) is written down. The training step then
 * replays the whole window in one graph, through which gradients flow from frame to frame (section 4 of the method).
 *
 * The windows of a batch lie in one graph side by side, without edges between them. Graphs take any number of nodes, so
 * that nothing is padded but the lists of neighbours; a frame without detections or tracks has one row of zeros for them.
 */

import { type NdArray, ndarray } from '@working-papers/tensor';
import {
  candidates,
  edgeFeatures,
  type GraphOptions,
  neighbours,
  nodeFeatures,
  packLists,
  type SeenBox,
  type TrackedState,
} from './graph.ts';
import { type Matcher, match } from './matching.ts';
import type { TrainingFrame } from './training-data.ts';

export interface RolloutOptions {
  readonly graph: GraphOptions;
  readonly classes: number;
  /** Of the network's features; default 128. */
  readonly width?: number;
  /** Default `greedy`. */
  readonly matcher?: Matcher;
  /** Frames that a track may go unseen; default 2. */
  readonly maxMisses?: number;
  /**
   * What tracks are made of: the network's own matches and velocities, or the labels' (teacher forcing, the way that
   * does not prepare for what comes). Default `own`.
   */
  readonly tracks?: 'own' | 'labels';
}

/** One frame but the first, for all windows: what the network is asked, and what it should say. */
export interface FrameRecord {
  readonly dets: NdArray;
  readonly amongTracks: { readonly index: NdArray; readonly mask: NdArray };
  readonly amongDets: { readonly index: NdArray; readonly mask: NdArray };
  readonly across: { readonly index: NdArray; readonly mask: NdArray };
  readonly edges: NdArray;
  /** Where each track's feature comes from: a row of [detections, tracks] of the frame before, of `[first, before]` at first. */
  readonly source: NdArray;
  /** 1 for edges between detection and track of one labelled object, [N, K]. */
  readonly target: NdArray;
  /** Metres a second to the next place, and 1 where there is one: [N, 2], [N]. */
  readonly velocity: NdArray;
  readonly moves: NdArray;
  /** Edges and detections, [2]: what losses are divided by. */
  readonly counts: NdArray;
}

/** A window's record, in order, with what its first frame's tracks know. */
export interface WindowRecord {
  /** Detections of the first frame, [N, inputs], which are its tracks; one row of zeros where something was tracked before. */
  readonly first: NdArray;
  /** Features of detections and tracks of the frame before the recorded ones, [N + M, d]; one row of zeros where there is none. */
  readonly before: NdArray;
  readonly frames: readonly FrameRecord[];
}

/** Runs the network over the frames of a batch, keeping the features of detections and tracks from one to the next. */
export interface FrameRunner {
  /** Begins with the detections of the first frame. */
  start(first: NdArray): Promise<void>;
  /** `frame` counts from 1. */
  step(
    record: FrameRecord,
    frame: number,
  ): Promise<{ readonly affinity: NdArray; readonly velocity: NdArray }>;
  /** Features of detections and tracks after the last step, [N + M, d]. */
  features(): Promise<NdArray>;
}

interface Live extends TrackedState {
  /** Of the labelled object, −1 for none; it follows the matched detection even where the match is wrong. */
  readonly id: number;
  /** Row of its feature in the frame before. */
  readonly source: number;
  /** The window that it is in. */
  readonly window: number;
}

interface Placed {
  readonly box: SeenBox;
  readonly id: number;
  readonly next: readonly [number, number] | undefined;
  readonly window: number;
}

/**
 * Rolls windows of equal length out. Their first `lead` frames are tracked and not recorded, so that the window begins with
 * tracks that are as old as at run time; of these no gradient tells. Throws a RangeError for windows of different lengths.
 */
export async function rollOut(
  windows: readonly (readonly TrainingFrame[])[],
  options: RolloutOptions,
  run: FrameRunner,
  { lead = 0 }: { lead?: number } = {},
): Promise<WindowRecord> {
  const { graph, classes, width = 128, matcher = 'greedy', tracks: kind = 'own' } = options;
  const length = windows[0]?.length ?? 0;
  if (length < lead + 2 || windows.some((window) => window.length !== length))
    throw new RangeError(
      `windows of ${windows.map((window) => window.length).join(', ')} frames: equal lengths from ${lead + 2}`,
    );
  const start = place(windows, 0);
  const boxes = start.map(({ box }) => box);
  const first = someRows(nodeFeatures(boxes, classes));
  await run.start(first);
  let live: Live[] = start.map((det, row) => born(det, row, det.box.velocity));
  const frames: FrameRecord[] = [];
  let before: NdArray | undefined;
  for (let t = 1; t < length; t++) {
    if (t === lead + 1 && lead > 0) before = await run.features();
    const dets = place(windows, t);
    live = live.map((track) => moved(track, windows[track.window]![t - 1]!.shift));
    const { lists: across, ...record } = describe(dets, live, options);
    // behind the row of zeros that stands for a first frame
    if (t > lead)
      frames.push(before && frames.length === 0 ? { ...record, source: shifted(record.source, 1) } : record);
    if (t + 1 === length) break; // nothing is matched behind the last frame
    const answer = await run.step(record, t);
    const [k, velocities] = [record.across.index.shape[1]!, answer.velocity.data as Float32Array];
    const affinity = across.map((own, i) =>
      own.map((j, at) =>
        kind === 'labels'
          ? Number(dets[i]!.id >= 0 && dets[i]!.id === live[j]!.id)
          : 1 / (1 + Math.exp(-Number(answer.affinity.data[i * k + at]))),
      ),
    );
    const matches = matchWindows(across, affinity, dets, live, matcher);
    const matched = new Set(matches);
    const found = dets.map((det, row) => {
      const own = [velocities[2 * row]!, velocities[2 * row + 1]!] as const;
      return born(det, row, kind === 'labels' ? labelled(det, graph) : own);
    });
    const { maxMisses = 2 } = options;
    const lost = live.flatMap((track, j): Live[] =>
      matched.has(j) || track.age > maxMisses
        ? []
        : [{ ...track, age: track.age + 1, source: rowsOf(dets) + j }],
    );
    live = [...found, ...lost];
  }
  const row = (length: number) => ndarray(new Float32Array(length), [1, length]);
  return before ? { first: row(first.shape[1]!), before, frames } : { first, before: row(width), frames };
}

/** Rows of so many nodes: no row at all is a shape that kernels need not bear. */
const rowsOf = ({ length }: { readonly length: number }) => Math.max(1, length);

function shifted({ data, shape }: NdArray, by: number): NdArray {
  return ndarray(
    (data as Int32Array).map((row) => row + by),
    shape as number[],
    'int32',
  );
}

/** Detections of frame `t` of all windows, one window after the other. */
function place(windows: readonly (readonly TrainingFrame[])[], t: number): Placed[] {
  return windows.flatMap((frames, window) => {
    const { dets, ids, next } = frames[t]!;
    return dets.map((box, i): Placed => ({ box, id: ids[i]!, next: next[i], window }));
  });
}

function born({ box, id, window }: Placed, source: number, velocity: readonly [number, number]): Live {
  const { x, y, z, width, length, height, yaw, kind } = box;
  return {
    x,
    y,
    z,
    width,
    length,
    height,
    yaw,
    kind,
    velocity: [velocity[0], velocity[1]],
    age: 1,
    id,
    source,
    window,
  };
}

function moved(track: Live, [x, y, z]: readonly [number, number, number]): Live {
  return { ...track, x: track.x + x, y: track.y + y, z: track.z + z };
}

/** The velocity to the next labelled place; none is none. */
function labelled({ box, next }: Placed, { interval }: GraphOptions): readonly [number, number] {
  return next ? [(next[0] - box.x) / interval, (next[1] - box.y) / interval] : [0, 0];
}

/** Lists of each window, numbered for all of them together. */
function byWindow(
  nodes: readonly { readonly window: number }[],
  of: (rows: readonly number[], window: number) => number[][],
): number[][] {
  const lists = new Array<number[]>(nodes.length);
  const windows = new Map<number, number[]>();
  for (const [row, { window }] of nodes.entries()) windows.set(window, [...(windows.get(window) ?? []), row]);
  for (const [window, rows] of windows)
    for (const [i, own] of of(rows, window).entries()) lists[rows[i]!] = own;
  return lists;
}

function describe(dets: readonly Placed[], live: readonly Live[], options: RolloutOptions) {
  const { graph, classes } = options;
  const { maxNeighbours = 16 } = graph;
  const rows = rowsOf(dets);
  const boxes = dets.map(({ box }) => box);
  const tracksOf = new Map<number, number[]>();
  for (const [row, { window }] of live.entries())
    tracksOf.set(window, [...(tracksOf.get(window) ?? []), row]);
  const lists = byWindow(dets, (rows, window) => {
    const tracks = tracksOf.get(window) ?? [];
    const own = candidates(
      rows.map((row) => boxes[row]!),
      tracks.map((row) => live[row]!),
      graph,
      'nearest',
    );
    return own.map((near) => near.map((j) => tracks[j]!));
  });
  const among = (nodes: readonly (SeenBox | Live)[], owners: readonly { readonly window: number }[]) =>
    byWindow(owners, (rows) =>
      neighbours(
        rows.map((row) => nodes[row]!),
        graph,
      ).map((near) => near.map((j) => rows[j]!)),
    );
  const target = new Float32Array(rows * maxNeighbours);
  const velocity = new Float32Array(rows * 2);
  const moves = new Float32Array(rows);
  let edgeCount = 0;
  for (const [i, det] of dets.entries()) {
    for (const [at, j] of lists[i]!.entries()) {
      edgeCount++;
      if (det.id >= 0 && det.id === live[j]!.id) target[i * maxNeighbours + at] = 1;
    }
    if (!det.next) continue;
    velocity.set(labelled(det, graph), 2 * i);
    moves[i] = 1;
  }
  const source = new Int32Array(rowsOf(live));
  source.set(live.map((track) => track.source));
  const pack = (own: readonly (readonly number[])[]) => packLists(own.length > 0 ? own : [[]], maxNeighbours);
  return {
    lists,
    dets: someRows(nodeFeatures(boxes, classes)),
    amongTracks: pack(among(live, live)),
    amongDets: pack(among(boxes, dets)),
    across: pack(lists),
    edges: someRows(edgeFeatures(boxes, live, lists, graph, maxNeighbours)),
    source: ndarray(source, [source.length], 'int32'),
    target: ndarray(target, [rows, maxNeighbours]),
    velocity: ndarray(velocity, [rows, 2]),
    moves: ndarray(moves),
    counts: ndarray([Math.max(1, edgeCount), Math.max(1, dets.length)]),
  };
}

/** One row of zeros where there is none. */
function someRows(array: NdArray): NdArray {
  const [rows, ...rest] = array.shape;
  if (rows! > 0) return array;
  return ndarray(new Float32Array(rest.reduce((a, b) => a * b, 1)), [1, ...rest]);
}

/** Matches within each window: each has its own order of sureness. */
function matchWindows(
  across: readonly (readonly number[])[],
  affinity: readonly (readonly number[])[],
  dets: readonly Placed[],
  live: readonly Live[],
  matcher: Matcher,
): Int32Array {
  // edges stay within windows, so that matching all at once in the order of windows is matching each
  const order = [...dets.keys()].sort(
    (a, b) => dets[a]!.window - dets[b]!.window || dets[b]!.box.score - dets[a]!.box.score,
  );
  const found = match(
    order.map((i) => across[i]!),
    order.map((i) => affinity[i]!),
    live.length,
    matcher,
  );
  const out = new Int32Array(dets.length).fill(-1);
  for (const [at, i] of order.entries()) out[i] = found[at]!;
  return out;
}
