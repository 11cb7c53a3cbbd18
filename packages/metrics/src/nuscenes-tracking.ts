/**
 * nuScenes' tracking measures (https://www.nuscenes.org/tracking): AMOTA and AMOTP over 40 recalls, and CLEAR MOT at the
 * score where MOTA is best, as the official development kit computes them, its quirks included. Distances are those of
 * centres on the ground.
 */

import { assign } from './assignment.ts';

/** Classes that nuScenes' tracking benchmark measures. */
export const nuscenesClasses = [
  'bicycle',
  'bus',
  'car',
  'motorcycle',
  'pedestrian',
  'trailer',
  'truck',
] as const;
/** One of them. */
export type NuscenesClass = (typeof nuscenesClasses)[number];

/** Metres from the ego vehicle within which boxes count. */
const range: Readonly<Record<NuscenesClass, number>> = {
  car: 50,
  truck: 50,
  bus: 50,
  trailer: 50,
  pedestrian: 40,
  motorcycle: 40,
  bicycle: 40,
};

const recalls = Array.from({ length: 40 }, (_, i) => Number((0.1 + (0.9 * i) / 39).toFixed(12)));
/** Metres at which two boxes are no match any more. */
const reach = 2;

/** A box on the ground, in global metres. */
export interface GroundBox {
  /** Within a scene. */
  readonly id: string;
  readonly name: NuscenesClass;
  readonly x: number;
  readonly y: number;
  /** Of a result. */
  readonly score?: number;
  /** Of a label: lidar and radar points on it; those with none are left out. */
  readonly points?: number;
}

/** One sample of a scene: what is labelled there and what was tracked. */
export interface NuscenesFrame {
  /** Any unit, rising. */
  readonly timestamp: number;
  /** Where the vehicle is. */
  readonly ego: readonly [x: number, y: number];
  /** Labels; those in bicycle racks are the caller's to leave out. */
  readonly truth: readonly GroundBox[];
  readonly results: readonly GroundBox[];
}

/** At one score, of one class. */
export interface NuscenesCounts {
  /** Not below 0. */
  readonly mota: number;
  /** Metres. */
  readonly motp: number;
  /** max(0, 1 − FP/TP); NaN without a match. */
  readonly motar: number;
  readonly recall: number;
  readonly objects: number;
  /** Tracks that were followed for 80 % of their time or more, and for less than 20 %. */
  readonly mostlyTracked: number;
  readonly mostlyLost: number;
  /** False positives in a hundred frames. */
  readonly falseAlarms: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly idSwitches: number;
  readonly fragmentations: number;
  /** Seconds until a track is found, and of its longest gap; means over tracks that were found. */
  readonly initialization: number;
  readonly longestGap: number;
}

/** What the official kit says of one class; AMOTP in metres. */
export interface NuscenesMeasures {
  readonly amota: number;
  readonly amotp: number;
  /** Where MOTA is best; undefined for a class that has nothing found. */
  readonly best: (NuscenesCounts & { readonly threshold: number }) | undefined;
}

/** What the official kit says of all classes. */
export interface NuscenesResult {
  /** Only classes that have labels. */
  readonly classes: ReadonlyMap<NuscenesClass, NuscenesMeasures>;
  /** Means over classes. */
  readonly amota: number;
  readonly amotp: number;
}

/** Of `nuscenesTracking`. */
export interface NuscenesOptions {
  /** Fill the holes of tracks, of labels and of results, before anything is counted; default true. */
  readonly interpolate?: boolean;
}

/** Measures over scenes. Throws a RangeError where a frame has one identity twice or times do not rise. */
export function nuscenesTracking(
  scenes: readonly (readonly NuscenesFrame[])[],
  { interpolate = true }: NuscenesOptions = {},
): NuscenesResult {
  const prepared = scenes.map((frames) => prepare(frames, interpolate));
  const classes = new Map<NuscenesClass, NuscenesMeasures>();
  for (const name of nuscenesClasses) {
    const found = measure(prepared, name);
    if (found) classes.set(name, found);
  }
  const mean = (key: 'amota' | 'amotp') =>
    [...classes.values()].reduce((sum, measures) => sum + measures[key], 0) / classes.size;
  return { classes, amota: mean('amota'), amotp: mean('amotp') };
}

interface Frame {
  readonly truth: readonly GroundBox[];
  readonly results: readonly GroundBox[];
}

function prepare(frames: readonly NuscenesFrame[], interpolate: boolean): Frame[] {
  for (const [i, { timestamp, truth, results }] of frames.entries()) {
    if (i > 0 && !(timestamp > frames[i - 1]!.timestamp))
      throw new RangeError(`frame ${i} is at ${timestamp}, after ${frames[i - 1]!.timestamp}`);
    for (const boxes of [truth, results]) {
      const ids = boxes.map(({ id }) => id);
      const twice = ids.find((id, n) => ids.indexOf(id) < n);
      if (twice !== undefined) throw new RangeError(`frame ${i} has identity '${twice}' twice`);
    }
  }
  const isNear = ({ name, x, y }: GroundBox, [ex, ey]: readonly [number, number]) =>
    Math.hypot(x - ex, y - ey) < range[name];
  const truth = frames.map(({ truth, ego }) => truth.filter((box) => isNear(box, ego) && box.points !== 0));
  const results = frames.map(({ results, ego }) => results.filter((box) => isNear(box, ego)));
  const scores = new Map<string, number[]>();
  for (const { id, score = 0 } of results.flat()) scores.set(id, [...(scores.get(id) ?? []), score]);
  const means = new Map([...scores].map(([id, own]) => [id, pairwiseSum(own) / own.length]));
  const scored = results.map((boxes) => boxes.map((box) => ({ ...box, score: means.get(box.id)! })));
  const times = frames.map(({ timestamp }) => timestamp);
  const [full, followed] = interpolate
    ? [fillHoles(truth, times), fillHoles(scored, times)]
    : [truth, scored];
  return frames.map((_, i) => ({ truth: full[i]!, results: followed[i]! }));
}

/** The sum in the order in which numpy adds up to 128 numbers, for equality in the last bit. */
function pairwiseSum(values: readonly number[]): number {
  const whole = values.length - (values.length % 8);
  if (values.length < 8 || values.length > 128) return values.reduce((a, b) => a + b, 0);
  const r = values.slice(0, 8);
  for (let i = 8; i < whole; i++) r[i % 8] = r[i % 8]! + values[i]!;
  const sum = r[0]! + r[1]! + (r[2]! + r[3]!) + (r[4]! + r[5]! + (r[6]! + r[7]!));
  return values.slice(whole).reduce((a, b) => a + b, sum);
}

/**
 * Boxes for the frames between which a track was not seen. The official kit weighs the two ends the wrong way round: just
 * behind the left end a box stands near the right one.
 */
function fillHoles(frames: readonly (readonly GroundBox[])[], times: readonly number[]): GroundBox[][] {
  const tracks = new Map<string, { frames: number[]; boxes: GroundBox[] }>();
  for (const [i, boxes] of frames.entries())
    for (const box of boxes) {
      const track = tracks.get(box.id) ?? { frames: [], boxes: [] };
      tracks.set(box.id, track);
      track.frames.push(i);
      track.boxes.push(box);
    }
  const filled = frames.map((boxes) => [...boxes]);
  for (const [i, boxes] of filled.entries())
    for (const track of tracks.values()) {
      const right = track.frames.findIndex((frame) => frame >= i);
      if (right <= 0 || track.frames[right] === i) continue;
      const [l, r] = [track.boxes[right - 1]!, track.boxes[right]!];
      const [from, to] = [times[track.frames[right - 1]!]!, times[track.frames[right]!]!];
      const share = (to - times[i]!) / (to - from);
      const between = (a: number, b: number) => (1 - share) * a + share * b;
      boxes.push({
        ...r,
        x: between(l.x, r.x),
        y: between(l.y, r.y),
        ...(r.score !== undefined && { score: between(l.score!, r.score) }),
      });
    }
  return filled;
}

function measure(scenes: readonly (readonly Frame[])[], name: NuscenesClass): NuscenesMeasures | undefined {
  const own = scenes.map((frames) =>
    frames.map(({ truth, results }) => ({
      truth: truth.filter((box) => box.name === name),
      results: results.filter((box) => box.name === name),
    })),
  );
  const objects = own.flat().reduce((sum, { truth }) => sum + truth.length, 0);
  if (objects === 0) return undefined;
  const { scores } = accumulate(own, undefined);
  const thresholds = thresholdsOf(scores, objects);
  const known = new Map<number, NuscenesCounts>();
  let [amota, amotp] = [0, 0];
  let best: NuscenesMeasures['best'];
  // from the highest recall: of equal MOTAs the one with more recall counts
  for (const threshold of thresholds.toReversed()) {
    if (threshold === undefined) {
      amotp += reach;
      continue;
    }
    const counts = known.get(threshold) ?? countsOf(accumulate(own, threshold), objects);
    known.set(threshold, counts);
    amota += Number.isNaN(counts.motar) ? 0 : counts.motar;
    amotp += Number.isNaN(counts.motp) ? reach : counts.motp;
    if (!best || counts.mota > best.mota) best = { ...counts, threshold };
  }
  return { amota: amota / recalls.length, amotp: amotp / recalls.length, best };
}

/** The score at each of the 40 recalls; undefined for those that are not reached. */
function thresholdsOf(scores: readonly number[], objects: number): (number | undefined)[] {
  const sorted = scores.toSorted((a, b) => b - a);
  const recall = sorted.map((_, i) => (i + 1) / objects);
  return recalls.map((wanted) => {
    const last = recall.at(-1);
    if (last === undefined || wanted > last) return undefined;
    const right = recall.findIndex((each) => each > wanted);
    if (right === 0) return sorted[0]!;
    if (right < 0) return sorted.at(-1)!;
    const slope = (sorted[right]! - sorted[right - 1]!) / (recall[right]! - recall[right - 1]!);
    return slope * (wanted - recall[right - 1]!) + sorted[right - 1]!;
  });
}

/** What happened to one label in one frame. */
interface Event {
  readonly frame: number;
  readonly kind: 'match' | 'switch' | 'miss';
}

interface Accumulated {
  readonly frames: number;
  readonly falsePositives: number;
  /** Sum of distances over matches and switches. */
  readonly distance: number;
  /** Of each label's track, in time. */
  readonly tracks: readonly (readonly Event[])[];
  /** Of matched results. */
  readonly scores: readonly number[];
}

function accumulate(scenes: readonly (readonly Frame[])[], threshold: number | undefined): Accumulated {
  let [frameCount, falsePositives, distance] = [0, 0, 0];
  const tracks: Event[][] = [];
  const scores: number[] = [];
  for (const frames of scenes) {
    const own = new Map<string, Event[]>();
    /** Whom each label was last followed by, however long ago. */
    const partner = new Map<string, string>();
    let frame = 0;
    for (const { truth, results: all } of frames) {
      const results = threshold === undefined ? all : all.filter(({ score }) => score! >= threshold);
      if (truth.length === 0 && results.length === 0) continue;
      const distances = truth.map((a) => results.map((b) => Math.hypot(a.x - b.x, a.y - b.y)));
      const found = new Int32Array(truth.length).fill(-1);
      const taken = new Set<number>();
      for (const [i, { id }] of truth.entries()) {
        const j = results.findIndex((result) => result.id === partner.get(id));
        if (j < 0 || taken.has(j) || distances[i]![j]! >= reach) continue;
        found[i] = j;
        taken.add(j);
      }
      const kept = new Set([...found.entries()].filter(([, j]) => j >= 0).map(([i]) => i));
      const [rows, columns] = [
        [...truth.keys()].filter((i) => !kept.has(i)),
        [...results.keys()].filter((j) => !taken.has(j)),
      ];
      if (rows.length > 0 && columns.length > 0) {
        const costs = rows.map((i) =>
          columns.map((j) => (distances[i]![j]! < reach ? distances[i]![j]! : 2 * reach + 1)),
        );
        for (const [row, column] of assign(costs).entries())
          if (column >= 0 && costs[row]![column]! < reach) found[rows[row]!] = columns[column]!;
      }
      let hits = 0;
      for (const [i, { id }] of truth.entries()) {
        const j = found[i]!;
        const events = own.get(id) ?? [];
        own.set(id, events);
        if (j < 0) {
          events.push({ frame, kind: 'miss' });
          continue;
        }
        hits++;
        const { id: follower, score } = results[j]!;
        const isSwitch = partner.has(id) && partner.get(id) !== follower;
        partner.set(id, follower);
        events.push({ frame, kind: isSwitch ? 'switch' : 'match' });
        distance += distances[i]![j]!;
        if (!isSwitch) scores.push(score!);
      }
      falsePositives += results.length - hits;
      frame++;
    }
    frameCount += frame;
    tracks.push(...own.values());
  }
  return { frames: frameCount, falsePositives, distance, tracks, scores };
}

function countsOf(
  { frames, falsePositives, distance, tracks }: Accumulated,
  objects: number,
): NuscenesCounts {
  const events = tracks.flat();
  const count = (kind: Event['kind']) => events.filter((event) => event.kind === kind).length;
  const [truePositives, idSwitches, falseNegatives] = [count('match'), count('switch'), count('miss')];
  const detections = truePositives + idSwitches;
  const ratios = tracks.map((track) => track.filter(({ kind }) => kind !== 'miss').length / track.length);
  const followed = tracks.filter((_, i) => ratios[i]! > 0);
  const seconds = (of: (track: readonly Event[]) => number) =>
    followed.length === 0
      ? Number.NaN
      : (0.5 * followed.reduce((sum, track) => sum + of(track), 0)) / followed.length;
  return {
    mota: Math.max(0, 1 - (falseNegatives + idSwitches + falsePositives) / objects),
    motp: detections === 0 ? Number.NaN : distance / detections,
    motar: truePositives === 0 ? Number.NaN : Math.max(0, 1 - falsePositives / truePositives),
    recall: detections / objects,
    objects,
    mostlyTracked: ratios.filter((ratio) => ratio >= 0.8).length,
    mostlyLost: ratios.filter((ratio) => ratio < 0.2).length,
    falseAlarms: (100 * falsePositives) / frames,
    truePositives,
    falsePositives,
    falseNegatives,
    idSwitches,
    fragmentations: tracks.reduce((sum, track) => sum + fragments(track), 0),
    initialization: seconds((track) => {
      const first = track.find(({ kind }) => kind !== 'miss')!;
      return first.frame - track[0]!.frame;
    }),
    longestGap: seconds(longestGap),
  };
}

/** How often a track is lost between its first and its last frame of being found. */
function fragments(track: readonly Event[]): number {
  const isMiss = track.map(({ kind }) => kind === 'miss');
  const [first, last] = [isMiss.indexOf(false), isMiss.lastIndexOf(false)];
  let count = 0;
  for (let i = first + 1; first >= 0 && i <= last; i++) if (isMiss[i] && !isMiss[i - 1]) count++;
  return count;
}

function longestGap(track: readonly Event[]): number {
  const matched = new Set(track.filter(({ kind }) => kind !== 'miss').map(({ frame }) => frame));
  let [longest, gap] = [0, 0];
  for (let frame = track[0]!.frame; frame <= track.at(-1)!.frame; frame++) {
    gap = matched.has(frame) ? 0 : gap + 1;
    longest = Math.max(longest, gap);
  }
  return longest;
}
