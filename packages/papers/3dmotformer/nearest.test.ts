import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kittiSlowGraph, type SeenBox } from './graph.ts';
import { NearestTracker } from './nearest.ts';

const car = (x: number, rest: Partial<SeenBox> = {}): SeenBox => ({
  ...{ x, y: 0, z: 0, width: 2, length: 4, height: 1.5, yaw: 0, kind: 0, velocity: [0, 0], score: 0.9 },
  ...rest,
});

const ids = async (tracker: NearestTracker<SeenBox>, ...dets: SeenBox[]) =>
  (await tracker.step(dets)).filter(({ coasting }) => !coasting).map(({ id }) => id);

test('the nearest of its class goes on; beyond the gate and of other classes begin others', async () => {
  const tracker = new NearestTracker<SeenBox>(kittiSlowGraph);
  assert.deepEqual(await ids(tracker, car(0), car(20, { score: 0.8 })), [0, 1]);
  assert.deepEqual(await ids(tracker, car(18, { score: 0.95 }), car(3)), [1, 0]);
  assert.deepEqual(await ids(tracker, car(3, { kind: 1 }), car(18)), [2, 1]);
  // a car's gate at 2 Hz is nine metres
  assert.deepEqual(await ids(tracker, car(26.9)), [1]);
  assert.deepEqual(await ids(tracker, car(36)), [3]);
});

test('two misses are forgiven, three are not; a moving vehicle changes nothing', async () => {
  for (const [misses, id] of [
    [2, 0],
    [3, 1],
  ] as const) {
    const tracker = new NearestTracker<SeenBox>(kittiSlowGraph);
    await tracker.step([car(5)]);
    for (let i = 0; i < misses; i++) {
      tracker.move([-10, 0, 0]);
      await tracker.step([]);
    }
    assert.deepEqual(await ids(tracker, car(5 - 10 * misses)), [id], `${misses} misses`);
  }
});

test('all at once is shorter in total than the surest first', async () => {
  const moved = [car(4, { score: 0.95 }), car(8)];
  const found = async (matcher: 'greedy' | 'hungarian') => {
    const tracker = new NearestTracker<SeenBox>(kittiSlowGraph, { matcher });
    await tracker.step([car(0, { score: 0.95 }), car(5)]);
    return ids(tracker, ...moved);
  };
  // the surest is nearest to the second's place and takes it; then the other is left with the first, 8 metres away
  assert.deepEqual(await found('greedy'), [1, 0]);
  assert.deepEqual(await found('hungarian'), [0, 1]);
});
