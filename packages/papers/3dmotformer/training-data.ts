/**
 * What training is told beside the detections of a frame: which labelled object each of them is, and where that object
 * goes next (section 4 of the method).
 */

import { assign } from '@working-papers/metrics/assignment';
import { area, type Box3d, clip, groundCorners, iou3d } from '@working-papers/metrics/boxes3d';
import type { SeenBox } from './graph.ts';

/** A labelled object in one frame, by its class's number. */
export interface LabelledBox extends Box3d {
  readonly id: number;
  readonly kind: number;
}

/** A frame that training can use. */
export interface TrainingFrame {
  /** The surest first. */
  readonly dets: readonly SeenBox[];
  /** The label that each detection is, −1 for none. */
  readonly ids: readonly number[];
  /** Where that label's centre is in the next frame, in this frame's coordinates; undefined where it is gone. */
  readonly next: readonly (readonly [number, number] | undefined)[];
  /** How far the origin moves from this frame to the next: what is added to coordinates of this one. */
  readonly shift: readonly [number, number, number];
}

/** Numbers of boxes to keep: of two of a class that overlap by more than `most` the surer. In falling order of score. */
export function suppress(boxes: readonly (Box3d & { kind: number; score: number })[], most = 0.1): number[] {
  const order = [...boxes.keys()].sort((a, b) => boxes[b]!.score - boxes[a]!.score);
  const kept: number[] = [];
  for (const i of order) {
    const own = boxes[i]!;
    if (kept.every((j) => boxes[j]!.kind !== own.kind || iou3d(boxes[j]!, own) <= most)) kept.push(i);
  }
  return kept;
}

/** Overlap of two boxes on the ground. */
export function groundIou(a: Box3d, b: Box3d): number {
  const reach = (Math.hypot(a.length, a.width) + Math.hypot(b.length, b.width)) / 2;
  if (Math.hypot(a.x - b.x, a.z - b.z) > reach) return 0;
  const shared = area(clip(groundCorners(a), groundCorners(b)));
  return shared / (a.length * a.width + b.length * b.width - shared);
}

/** For each box the label that it overlaps, of its class, one to one with the greatest overlap in all; −1 for none. */
export function identify(
  boxes: readonly (Box3d & { kind: number })[],
  labels: readonly LabelledBox[],
): number[] {
  if (boxes.length === 0 || labels.length === 0) return boxes.map(() => -1);
  const overlaps = boxes.map((box) =>
    labels.map((label) => (label.kind === box.kind ? groundIou(box, label) : 0)),
  );
  const found = assign(overlaps.map((row) => row.map((overlap) => -overlap)));
  return Array.from(found, (j, i) => (j >= 0 && overlaps[i]![j]! > 0 ? labels[j]!.id : -1));
}

/** Windows of `length` frames, one beginning at each frame, that have labels in every frame: [sequence, first frame]. */
export function windows(
  sequences: readonly (readonly { readonly labelled: boolean }[])[],
  length: number,
): (readonly [number, number])[] {
  return sequences.flatMap((frames, sequence) =>
    frames.flatMap((_, first): (readonly [number, number])[] =>
      first + length <= frames.length && frames.slice(first, first + length).every(({ labelled }) => labelled)
        ? [[sequence, first]]
        : [],
    ),
  );
}
