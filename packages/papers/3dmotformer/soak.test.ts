import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDevice } from '@working-papers/tensor';
import { type FrameTracker, kalmanFrames, networkFrames } from './frame-tracker.ts';
import { kittiGraph } from './graph.ts';
import { initializeMotFormer, MotFormer } from './model.ts';
import { growth, soak } from './soak.ts';
import { compileMotFormer } from './track.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const frames = 1500;
const look = { method: 'any', frames, looks: 3 };

test('memory does not grow with a stream', async () => {
  const model = new MotFormer({ nodeInputs: 13, width: 16, heads: 2, decoders: 1 });
  const weights = initializeMotFormer(model, 1);
  const graph = { ...kittiGraph, maxNeighbours: 32 };
  const compiled = await compileMotFormer({ device, model, weights, graph, classes: 3 });
  for (const tracker of [kalmanFrames(), networkFrames(compiled.open())]) {
    const result = await soak({ tracker, ...look });
    assert.deepEqual(
      result.memory.map(({ frame }) => frame),
      [500, 1000, 1500],
    );
    assert.ok(result.milliseconds > 0 && result.slowest >= result.milliseconds);
    assert.ok(growth(result) < 2, `${growth(result)} MiB`);
  }
  await compiled.dispose();
});

test('a tracker that keeps what it told is found out', async () => {
  const inner = kalmanFrames();
  const kept: unknown[] = [];
  const hoarder: FrameTracker = {
    links: [],
    async step(frame, detections, pose) {
      const tracks = await inner.step(frame, detections, pose);
      kept.push(tracks, detections);
      return tracks;
    },
  };
  const result = await soak({ tracker: hoarder, ...look });
  assert.ok(growth(result) > 4, `${growth(result)} MiB of ${kept.length}`);
});
