/**
 * KITTI's tracking measures in three dimensions, as the evaluator of AB3DMOT computes them: Weng et al. 2020,
 * arXiv 1907.03961, section 4, over CLEAR MOT (Bernardin and Stiefelhagen 2008). Equal to it in every digit it prints.
 */

import { assign } from './assignment.ts';
import { type Box3d, iou3d } from './boxes3d.ts';

/** One row of a label or result file. */
export interface TrackedBox extends Box3d {
  readonly frame: number;
  readonly id: number;
  /** As the file spells it: `Car`, `DontCare`. */
  readonly type: string;
  /** Labels only: 0 to 3, and −1 or 0 for "not cut off by the picture's edge". */
  readonly occlusion: number;
  readonly truncation: number;
  /** In the picture: left, top, right, bottom. */
  readonly box2d: readonly [number, number, number, number];
  /** Results only. */
  readonly score: number;
}

/** Classes that KITTI's tracking benchmark measures. */
export const kittiClasses = ['car', 'pedestrian', 'cyclist'] as const;
/** One of them. */
export type KittiClass = (typeof kittiClasses)[number];

/** Types of labels that count for a class; those but the first may be missed and may be found. */
const wanted: Readonly<Record<KittiClass, readonly string[]>> = {
  car: ['car', 'van'],
  pedestrian: ['pedestrian', 'person_sitting'],
  cyclist: ['cyclist'],
};

/** Of `kittiTracking`. */
export interface KittiOptions {
  /** Smallest IoU of a match; default 0.25. */
  readonly minIou?: number;
  /**
   * The official evaluator averages a track's scores again in every pass, over what the pass before wrote back, so that
   * rounding alone drops tracks at their own threshold. `stable` averages once. Default `official`.
   */
  readonly averaging?: 'official' | 'stable';
}

/** At one threshold. */
export interface KittiCounts {
  readonly mota: number;
  readonly motp: number;
  readonly recall: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly idSwitches: number;
  readonly fragmentations: number;
}

/** What AB3DMOT's evaluator prints of one class; rates are shares from 0 to 1. */
export interface KittiMeasures extends KittiCounts {
  readonly samota: number;
  readonly amota: number;
  readonly amotp: number;
  /** Score at which MOTA is best, for which the counts are. */
  readonly threshold: number;
}

/** A sequence: labels and results, in any order. */
export interface KittiSequence {
  readonly labels: readonly TrackedBox[];
  readonly results: readonly TrackedBox[];
}

/** A result with what passes write to it. */
interface Result {
  readonly box: TrackedBox;
  score: number;
  /** Was matched in some pass. */
  valid: boolean;
}

interface Frame {
  /** Index into the trajectory of its identity. */
  readonly labels: readonly { readonly box: TrackedBox; readonly ignorable: boolean }[];
  readonly dontCare: readonly TrackedBox[];
  readonly results: readonly Result[];
}

interface Prepared {
  readonly frames: readonly Frame[];
  readonly tracks: readonly (readonly Result[])[];
}

/** Measures of one class over sequences. Throws a RangeError where a frame has one identity twice. */
export function kittiTracking(
  sequences: readonly KittiSequence[],
  kittiClass: KittiClass,
  { minIou = 0.25, averaging = 'official' }: KittiOptions = {},
): KittiMeasures {
  const prepared = sequences.map((sequence) => prepare(sequence, kittiClass));
  const overlaps = new Map<TrackedBox, Map<TrackedBox, number>>();
  const overlap = (label: TrackedBox, result: TrackedBox): number => {
    const row = overlaps.get(label) ?? new Map<TrackedBox, number>();
    overlaps.set(label, row);
    const known = row.get(result) ?? iou3d(label, result);
    row.set(result, known);
    return known;
  };
  if (averaging === 'stable') for (const { tracks } of prepared) for (const track of tracks) average(track);
  const run = (threshold: number, recall: number) =>
    pass(prepared, { threshold, recall, minIou, overlap, averages: averaging === 'official' });

  const whole = run(-10000, 1);
  const points = thresholds(whole.scores, whole.truePositives + whole.falseNegatives);
  const sums = { samota: 0, amota: 0, amotp: 0 };
  let best = { mota: 0, threshold: -10000 };
  for (const { score, recall } of points) {
    const found = run(score, recall);
    sums.samota += found.smota;
    sums.amota += found.mota;
    sums.amotp += found.motp;
    if (found.mota > best.mota) best = { mota: found.mota, threshold: score };
  }
  const { scores: _, smota: __, ...counts } = run(best.threshold, 1);
  return {
    samota: sums.samota / 40,
    amota: sums.amota / 40,
    amotp: sums.amotp / 40,
    threshold: best.threshold,
    ...counts,
  };
}

function prepare({ labels, results }: KittiSequence, kittiClass: KittiClass): Prepared {
  const names = wanted[kittiClass];
  const [first] = names;
  const last = Math.max(-1, ...labels.map(({ frame }) => frame), ...results.map(({ frame }) => frame));
  const frames = Array.from({ length: last + 1 }, () => ({
    labels: [] as { box: TrackedBox; ignorable: boolean }[],
    dontCare: [] as TrackedBox[],
    results: [] as Result[],
  }));
  for (const box of labels) {
    const type = box.type.toLowerCase();
    const frame = frames[box.frame]!;
    if (type.includes('dontcare')) frame.dontCare.push(box);
    else if (names.some((name) => type.includes(name))) {
      const ignorable = box.occlusion > 2 || box.truncation > 0 || type !== first;
      frame.labels.push({ box, ignorable });
    }
  }
  const tracks = new Map<number, Result[]>();
  for (const box of results) {
    if (!names.some((name) => box.type.toLowerCase().includes(name))) continue;
    const result = { box, score: box.score, valid: false };
    frames[box.frame]!.results.push(result);
    tracks.set(box.id, [...(tracks.get(box.id) ?? []), result]);
  }
  for (const [index, frame] of frames.entries())
    for (const list of [frame.labels.map(({ box }) => box.id), frame.results.map(({ box }) => box.id)])
      if (new Set(list).size < list.length)
        throw new RangeError(
          `frame ${index} has an identity twice: ${list.toSorted((a, b) => a - b).join(', ')}`,
        );
  return { frames, tracks: [...tracks.values()] };
}

/** The mean over a track's rows, summed in their order and written back to each. */
function average(track: readonly Result[]): void {
  let sum = 0;
  for (const { score } of track) sum += score;
  for (const result of track) result.score = sum / track.length;
}

interface PassOptions {
  readonly threshold: number;
  /** The recall that this threshold stands for. */
  readonly recall: number;
  readonly minIou: number;
  readonly overlap: (label: TrackedBox, result: TrackedBox) => number;
  readonly averages: boolean;
}

function pass(sequences: readonly Prepared[], options: PassOptions) {
  const { threshold, recall: wantedRecall, minIou, overlap, averages } = options;
  let [truePositives, falsePositives, falseNegatives, labelCount] = [0, 0, 0, 0];
  let [overlapSum, idSwitches, fragmentations] = [0, 0, 0];
  const scores: number[] = [];
  for (const { frames, tracks } of sequences) {
    if (averages) for (const track of tracks) average(track);
    // trajectories of labels: who followed them, −1 for nobody, and whether that counts
    const paths = new Map<number, { followers: number[]; ignored: boolean[] }>();
    for (const { labels, dontCare, results: all } of frames) {
      const results = all.filter(({ score }) => score >= threshold);
      const costs = labels.map(({ box }) =>
        results.map((result) => {
          const cost = 1 - overlap(box, result.box);
          return cost <= 1 - minIou ? cost : 1e9;
        }),
      );
      const matched = new Map<number, Result>();
      for (const [i, j] of (results.length > 0 ? assign(costs) : []).entries()) {
        if (j < 0 || costs[i]![j]! >= 1e9) continue;
        const result = results[j]!;
        result.valid = true;
        matched.set(i, result);
        truePositives++;
        overlapSum += 1 - costs[i]![j]!;
        scores.push(result.score);
      }
      const ignored = new Set(
        results.filter(({ box, valid }) => !valid && (isSmall(box) || isInside(box, dontCare))),
      );
      let [missedIgnorable, foundIgnorable, pairs] = [0, 0, 0];
      for (const [i, { box, ignorable }] of labels.entries()) {
        const result = matched.get(i);
        if (ignorable && result) foundIgnorable++;
        if (ignorable && !result) missedIgnorable++;
        if (ignorable && result && ignored.has(result)) pairs++;
        const path = paths.get(box.id) ?? { followers: [], ignored: [] };
        paths.set(box.id, path);
        path.followers.push(result ? result.box.id : -1);
        path.ignored.push(ignorable);
      }
      labelCount += labels.length - missedIgnorable - foundIgnorable;
      falseNegatives += labels.length - matched.size - missedIgnorable;
      falsePositives += results.length - matched.size - ignored.size + pairs;
    }
    for (const path of paths.values()) {
      const found = changes(path.followers, path.ignored);
      idSwitches += found.switches;
      fragmentations += found.fragments;
    }
  }
  const wrong = falseNegatives + falsePositives + idSwitches;
  const scaled = 1 - (wrong - (1 - wantedRecall) * labelCount) / (wantedRecall * labelCount);
  return {
    scores,
    mota: labelCount === 0 ? Number.NaN : 1 - wrong / labelCount,
    motp: truePositives === 0 ? 0 : overlapSum / truePositives,
    smota: labelCount === 0 ? Number.NaN : Math.min(1, Math.max(0, scaled)),
    recall: truePositives + falseNegatives === 0 ? 0 : truePositives / (truePositives + falseNegatives),
    truePositives,
    falsePositives,
    falseNegatives,
    idSwitches,
    fragmentations,
  };
}

const isSmall = ({ box2d: [, top, , bottom] }: TrackedBox) => Math.abs(bottom - top) <= 25;

/** More than half of it is in an area that nobody labelled. */
function isInside({ box2d: [left, top, right, bottom] }: TrackedBox, areas: readonly TrackedBox[]): boolean {
  const own = (right - left) * (bottom - top);
  return areas.some(({ box2d: [l, t, r, b] }) => {
    const [width, height] = [Math.min(right, r) - Math.max(left, l), Math.min(bottom, b) - Math.max(top, t)];
    return width > 0 && height > 0 && (width * height) / own > 0.5;
  });
}

/** Changes of identity along one label's trajectory, and its interruptions. */
function changes(g: readonly number[], ignored: readonly boolean[]): { switches: number; fragments: number } {
  let [switches, fragments] = [0, 0];
  if (ignored.every(Boolean) || g.every((id) => id === -1)) return { switches, fragments };
  let last = g[0]!;
  const n = g.length;
  for (let f = 1; f < n; f++) {
    if (ignored[f]) {
      last = -1;
      continue;
    }
    if (last !== g[f] && last !== -1 && g[f] !== -1 && g[f - 1] !== -1) switches++;
    if (f < n - 1 && g[f - 1] !== g[f] && last !== -1 && g[f] !== -1 && g[f + 1] !== -1) fragments++;
    if (g[f] !== -1) last = g[f]!;
  }
  if (n > 1 && g[n - 2] !== g[n - 1] && last !== -1 && g[n - 1] !== -1 && !ignored[n - 1]) fragments++;
  return { switches, fragments };
}

/** Up to 40 scores at which recall rises in equal steps; the first, of no recall, is left out. */
function thresholds(scores: readonly number[], total: number): { score: number; recall: number }[] {
  const sorted = scores.toSorted((a, b) => b - a);
  const points: { score: number; recall: number }[] = [];
  let recall = 0;
  for (const [i, score] of sorted.entries()) {
    const isLast = i === sorted.length - 1;
    const lower = (i + 1) / total;
    const upper = isLast ? lower : (i + 2) / total;
    if (upper - recall < recall - lower && !isLast) continue;
    points.push({ score, recall });
    recall += 1 / 40;
  }
  return points.slice(1);
}
