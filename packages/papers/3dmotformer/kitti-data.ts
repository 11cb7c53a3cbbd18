/**
 * KITTI's 21 labelled sequences for training and for measuring: labels, PointRCNN detections of three classes and camera
 * poses, at the camera's 10 Hz or at every fifth frame. Node only.
 */

import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import { findDataset } from '@working-papers/nn/datasets';
import { readTarGz } from '@working-papers/nn/tar';
import {
  type KittiDetection,
  type Pose,
  parseDetections,
  parsePoses,
  parseTracks,
  TrackingFileError,
} from './kitti.ts';
import { egoShift, type KittiSeen, kittiKinds, seenInWorld, toWorld } from './kitti-world.ts';
import { identify, type LabelledBox, suppress, type TrainingFrame } from './training-data.ts';

/** As recorded. */
export interface KittiRecording {
  /** `0001`. */
  readonly name: string;
  readonly labels: readonly TrackedBox[];
  /** By class, then by frame. */
  readonly detections: Readonly<Record<(typeof kittiKinds)[number], readonly (readonly KittiDetection[])[]>>;
  /** One a frame. */
  readonly poses: readonly Pose[];
}

/** Sequences of the validation list that the community uses; the others train. */
export const validation: readonly string[] = [
  '0001',
  '0006',
  '0008',
  '0010',
  '0012',
  '0013',
  '0014',
  '0015',
  '0016',
  '0018',
  '0019',
];

/** All recordings, from the archive in the data folder. Throws a DatasetError or a TrackingFileError. */
export async function loadKitti(onProgress?: (files: number) => void): Promise<KittiRecording[]> {
  const files = new Map<string, string>();
  const path = findDataset('kitti-tracking');
  for await (const { name, bytes } of readTarGz(path)) {
    const local = name.replace(/^(\.\/)?kitti-tracking\//, '');
    if (/^(label_02|detections|poses)\/.*\.txt$/.test(local))
      files.set(local, new TextDecoder().decode(bytes));
    onProgress?.(files.size);
  }
  const names = [...files.keys()].flatMap((file) => /^label_02\/(\d{4})\.txt$/.exec(file)?.[1] ?? []).sort();
  return names.map((name) => {
    const text = (file: string) => {
      const found = files.get(file);
      if (found === undefined) throw new TrackingFileError(`${path} has no ${file}`);
      return found;
    };
    const detections = Object.fromEntries(
      kittiKinds.map((kind) => {
        const file = `detections/pointrcnn_${kind}/${name}.txt`;
        return [kind, parseDetections(files.get(file) ?? '', file)];
      }),
    ) as unknown as KittiRecording['detections'];
    const poses = parsePoses(text(`poses/${name}.txt`), `poses/${name}.txt`);
    const labels = parseTracks(text(`label_02/${name}.txt`), `label_02/${name}.txt`);
    const last = Math.max(...labels.map(({ frame }) => frame));
    if (last >= poses.length)
      throw new TrackingFileError(`poses/${name}.txt has ${poses.length} poses for ${last + 1} frames`);
    return { name, labels, detections, poses };
  });
}

export interface SamplingOptions {
  /** Every so many frames: 1 for 10 Hz, 5 for 2 Hz; default 1. */
  readonly every?: number;
  /** The first of them; default 0. */
  readonly phase?: number;
}

/** A frame for tracking: what was seen, the surest first, and where the camera was. */
export interface KittiFrame {
  /** Number in the recording. */
  readonly frame: number;
  readonly dets: readonly KittiSeen[];
  readonly pose: Pose;
}

/** Overlaps above this are one object seen twice. */
const overlap = 0.1;

/** A recording's frames: detections of all classes, doubles left out. */
export function framesOf(
  { detections, poses }: KittiRecording,
  { every = 1, phase = 0 }: SamplingOptions = {},
): KittiFrame[] {
  const frames: KittiFrame[] = [];
  for (let frame = phase; frame < poses.length; frame += every) {
    const seen = kittiKinds.flatMap((name, kind) =>
      (detections[name][frame] ?? []).map((detection) => ({ ...detection, kind })),
    );
    const pose = poses[frame]!;
    const dets = suppress(seen, overlap).map((n) => seenInWorld(seen[n]!, pose));
    frames.push({ frame, dets, pose });
  }
  return frames;
}

/** A recording's frames for training, with whether they have labels. */
export function trainingFrames(
  recording: KittiRecording,
  sampling: SamplingOptions = {},
): (TrainingFrame & { readonly labelled: boolean })[] {
  const frames = framesOf(recording, sampling);
  const labels = frames.map(({ frame }) => labelsOf(recording, frame));
  return frames.map(({ dets, pose }, t) => {
    const ids = identify(
      dets.map(({ detection, kind }) => ({ ...detection, kind })),
      labels[t]!,
    );
    const later = frames[t + 1];
    const places = new Map(
      (later ? labels[t + 1]! : []).map((label) => [label.id, placeFrom(label, later!.pose, pose)] as const),
    );
    return {
      dets,
      ids,
      next: ids.map((id) => (id >= 0 ? places.get(id) : undefined)),
      shift: later ? egoShift(pose, later.pose) : [0, 0, 0],
      labelled: labels[t]!.length > 0,
    };
  });
}

/** Labelled objects of the three classes in a frame. */
function labelsOf({ labels }: KittiRecording, frame: number): LabelledBox[] {
  return labels.flatMap((label) => {
    const kind = (kittiKinds as readonly string[]).indexOf(label.type);
    return label.frame === frame && kind >= 0 ? [{ ...label, kind }] : [];
  });
}

/** Where a label of a later frame is, over the ground and from the vehicle as it is now. */
function placeFrom(label: LabelledBox, later: Pose, now: Pose): readonly [number, number] {
  const { x, y } = toWorld(label, label.kind, later);
  const [sx, sy] = egoShift(later, now);
  return [x + sx, y + sy];
}

/** The labels of every so many frames, those frames numbered from 0. */
export function sampledLabels(
  { labels }: KittiRecording,
  { every = 1, phase = 0 }: SamplingOptions = {},
): TrackedBox[] {
  return labels.flatMap((label) =>
    label.frame >= phase && (label.frame - phase) % every === 0
      ? [{ ...label, frame: (label.frame - phase) / every }]
      : [],
  );
}
