import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { TrackedBox } from '@working-papers/metrics/kitti-tracking';
import { openDevice } from '@working-papers/tensor';
import { closedAndForced, measureKitti, trackRecording } from './evaluate.ts';
import { kalmanFrames, worldFrames } from './frame-tracker.ts';
import { kittiSlowGraph } from './graph.ts';
import type { KittiDetection } from './kitti.ts';
import { type KittiRecording, trainingFrames } from './kitti-data.ts';
import { type KittiSeen, seenInWorld, toWorld } from './kitti-world.ts';
import { initializeMotFormer, MotFormer } from './model.ts';
import { compileMotFormer, noEdges, type WorldTracker } from './track.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const size = { y: 1.6, length: 4, width: 1.8, height: 1.5, ry: 0 };
const frames = 30;
const places = (f: number) =>
  [
    [2, 20 - f],
    [-4, 10 + f / 2],
  ] as const;
const recording: KittiRecording = {
  name: '0000',
  labels: Array.from({ length: frames }, (_, frame) =>
    places(frame).map(
      ([x, z], id): TrackedBox => ({
        ...{ ...size, frame, id, type: 'Car', x, z, occlusion: 0, truncation: 0, score: 1 },
        box2d: [0, 0, 90, 90],
      }),
    ),
  ).flat(),
  detections: {
    Car: Array.from({ length: frames }, (_, frame) =>
      places(frame).map(
        ([x, z]): KittiDetection => ({
          ...size,
          type: 'Car',
          x,
          z,
          score: 4,
          alpha: 0,
          box2d: [0, 0, 90, 90],
        }),
      ),
    ),
    Pedestrian: [],
    Cyclist: [],
  },
  poses: Array.from({ length: frames }, (_, f) => [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, f]),
};

test('the Kalman filter follows what is always seen', async () => {
  const { car } = measureKitti([recording], [await trackRecording(kalmanFrames(), recording)]);
  assert.deepEqual([car.idSwitches, car.falseNegatives, car.falsePositives], [0, 0, 0]);
  assert.ok(car.mota === 1);
  const slow = await trackRecording(kalmanFrames(), recording, { every: 5, phase: 2 });
  assert.equal(Math.max(...slow.map(({ frame }) => frame)), 5);
});

test('a track that is not seen is told for as long as is asked, where its velocity takes it', async () => {
  const [car] = recording.detections.Car[0]!;
  const still = recording.poses[0]!;
  const last = { ...toWorld(car!, 0, still), velocity: [1, 2] as const, score: 0.1 };
  const unseen: WorldTracker<KittiSeen> = {
    edges: noEdges,
    move: () => {},
    step: async () => [
      { ...last, id: 3, age: 2, hits: 2, coasting: true, detection: seenInWorld(car!, still) },
    ],
  };
  assert.deepEqual(await worldFrames(unseen).step(0, [], still), []);
  const [told] = await worldFrames(unseen, { coast: 1, interval: 0.5 }).step(0, [], still);
  assert.deepEqual([told!.id, told!.score, told!.x, told!.z], [3, car!.score, car!.x + 0.5, car!.z + 1]);
});

test('the network’s results are the detections with identities, whatever they are', async () => {
  const model = new MotFormer({ nodeInputs: 13, width: 16, heads: 2, dropout: 0 });
  const weights = initializeMotFormer(model, 1);
  const compiled = await compileMotFormer({ device, model, weights, graph: kittiSlowGraph, classes: 3 });
  const rows = await trackRecording(worldFrames(compiled.open()), recording, { every: 5 });
  const { car } = measureKitti([recording], [rows], { every: 5 });
  assert.deepEqual([car.falseNegatives, car.falsePositives], [0, 0]);
  assert.ok(
    (await trackRecording(worldFrames(compiled.open(), { minHits: 3 }), recording, { every: 5 })).length <
      rows.length,
  );
  await compiled.dispose();

  const store = await device.store(weights);
  const gap = await closedAndForced({
    device,
    model,
    store,
    rollout: { graph: kittiSlowGraph, classes: 3 },
    sequences: [trainingFrames(recording, { every: 5 })],
  });
  assert.ok(gap.closed > 0 && gap.forced > 0);
  assert.ok(gap.filled > 0 && gap.filled <= 1, `${gap.filled}`);
  await store.dispose();
});
