import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import type { KittiDetection } from './kitti.ts';
import { framesOf, type KittiRecording, sampledLabels, trainingFrames } from './kitti-data.ts';

const size = { y: 1.6, length: 4, width: 1.8, height: 1.5, ry: 0 };
const label = (frame: number, id: number, x: number, z: number, type = 'Car'): TrackedBox => ({
  ...{ ...size, frame, id, type, x, z, occlusion: 0, truncation: 0, score: 1 },
  box2d: [0, 0, 50, 50],
});
const detection = (x: number, z: number, score: number, type = 'Car'): KittiDetection => ({
  ...{ ...size, type, x, z, score, alpha: 0 },
  box2d: [0, 0, 50, 50],
});

/** The camera drives a metre a frame; a car stands at z = 20, another drives along at two metres a frame. */
const frames = 11;
const recording: KittiRecording = {
  name: '0000',
  labels: Array.from({ length: frames }, (_, f) => [
    label(f, 4, 2, 20 - f),
    label(f, 9, -4, 10 + f),
    label(f, 1, 9, 9, 'Van'),
  ]).flat(),
  detections: {
    Car: Array.from({ length: frames }, (_, f) => [
      detection(2.1, 20 - f, 2),
      detection(2.2, 20.1 - f, 1), // the same car once more
      detection(-4, 10 + f, 3),
      detection(30, 5, -1),
    ]),
    Pedestrian: [],
    Cyclist: [],
  },
  poses: Array.from({ length: frames }, (_, f) => [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, f]),
};

test('doubles are left out, the surest come first', () => {
  const [first] = framesOf(recording);
  assert.deepEqual(
    first!.dets.map(({ x, y }) => [x, y]),
    [
      [-4, 10],
      [2.1, 20],
      [30, 5],
    ],
  );
  assert.equal(framesOf(recording, { every: 5, phase: 1 }).length, 2);
  assert.deepEqual(
    framesOf(recording, { every: 5, phase: 1 }).map(({ frame }) => frame),
    [1, 6],
  );
});

test('training frames know who is who, where they go next, and how the origin moves', () => {
  const [first] = trainingFrames(recording);
  assert.deepEqual(first!.ids, [9, 4, -1]);
  assert.deepEqual(first!.next, [[-4, 12], [2, 20], undefined]);
  assert.deepEqual(first!.shift, [0, -1, 0]);
  const slow = trainingFrames(recording, { every: 5 });
  assert.deepEqual(slow[0]!.next[0], [-4, 20]);
  assert.deepEqual(slow[0]!.shift, [0, -5, 0]);
  const last = slow.at(-1)!;
  assert.deepEqual([last.next, last.labelled], [[undefined, undefined, undefined], true]);
});

test('labels of every fifth frame are numbered anew', () => {
  const sampled = sampledLabels(recording, { every: 5, phase: 1 });
  assert.deepEqual([...new Set(sampled.map(({ frame }) => frame))], [0, 1]);
  assert.equal(sampled.length, 6);
});
