import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Weights } from '@working-papers/nn/module';
import { openDevice } from '@working-papers/tensor';
import { kittiSlowGraph, type SeenBox } from './graph.ts';
import { initializeMotFormer, MotFormer } from './model.ts';
import { compileMotFormer } from './track.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());
const model = new MotFormer({ nodeInputs: 13, width: 16, heads: 2 });

/** A network that gives every edge the same affinity: matching is then by the order of detections and tracks. */
function trusting(logit: number): Weights {
  const weights = new Map(initializeMotFormer(model, 1));
  for (const weight of [model.affinity.lin2.weight, model.velocity.lin2.weight, model.velocity.lin2.bias!]) {
    const value = weights.get(weight)!;
    weights.set(weight, { ...value, data: new Float32Array(value.data.length) } as never);
  }
  const bias = weights.get(model.affinity.lin2.bias!)!;
  weights.set(model.affinity.lin2.bias!, { ...bias, data: Float32Array.of(logit) } as never);
  return weights;
}

const open = (logit: number, matcher: 'greedy' | 'hungarian' = 'greedy') =>
  compileMotFormer({ device, model, weights: trusting(logit), graph: kittiSlowGraph, classes: 3, matcher });

const car = (x: number, rest: Partial<SeenBox> = {}): SeenBox => ({
  x,
  y: 0,
  z: 0,
  width: 2,
  length: 4,
  height: 1.5,
  yaw: 0,
  kind: 0,
  velocity: [1, 0],
  score: 0.9,
  ...rest,
});

test('identities go on, new ones count up and are never used again', async () => {
  const compiled = await open(3);
  const tracker = compiled.open();
  const ids = async (...dets: SeenBox[]) =>
    (await tracker.step(dets)).map(({ id, coasting }) => (coasting ? -1 - id : id));
  assert.deepEqual(await ids(car(0), car(50, { score: 0.5 })), [0, 1]);
  assert.deepEqual(await ids(car(1), car(51, { score: 0.5 })), [0, 1]);
  // the second is missed twice and told as coasting, then it is gone
  assert.deepEqual(await ids(car(2)), [0, -2]);
  assert.deepEqual(await ids(car(3)), [0, -2]);
  assert.deepEqual(await ids(car(4)), [0]);
  assert.deepEqual(await ids(car(5), car(54, { score: 0.5 })), [0, 2]);
  // another scene begins anew
  assert.deepEqual(
    (await compiled.open().step([car(0)])).map(({ id }) => id),
    [0],
  );
  await compiled.dispose();
});

test('a track comes back after two misses, not after three', async () => {
  const compiled = await open(3);
  for (const [misses, id] of [
    [2, 1],
    [3, 2],
  ] as const) {
    const tracker = compiled.open();
    await tracker.step([car(0), car(50, { score: 0.5 })]);
    for (let i = 0; i < misses; i++) await tracker.step([car(0)]);
    const back = await tracker.step([car(0), car(50, { score: 0.5 })]);
    assert.deepEqual(
      back.filter(({ coasting }) => !coasting).map((track) => track.id),
      [0, id],
    );
  }
  await compiled.dispose();
});

test('coasting: on with the detector’s velocity, a tenth of the score', async () => {
  const compiled = await open(3);
  const tracker = compiled.open();
  await tracker.step([car(0), car(50, { score: 0.5 })]);
  const [, first] = await tracker.step([car(0)]);
  assert.deepEqual([first!.x, first!.coasting], [50.5, true]);
  assert.ok(Math.abs(first!.score - 0.05) < 1e-12);
  const [, second] = await tracker.step([car(0)]);
  assert.equal(second!.x, 51);
  await compiled.dispose();
});

test('an affinity that is too low matches nothing; edges are there to be looked at', async () => {
  const compiled = await open(-6);
  const tracker = compiled.open();
  await tracker.step([car(0)]);
  const tracks = await tracker.step([car(0)]);
  assert.deepEqual(
    tracks.map(({ id, coasting }) => [id, coasting]),
    [
      [1, false],
      [0, true],
    ],
  );
  assert.deepEqual(tracker.edges.across, [[0]]);
  assert.ok(Math.abs(tracker.edges.affinity[0]![0]! - 1 / (1 + Math.exp(6))) < 1e-6);
  await compiled.dispose();
});

test('frames without detections, first and later, tell nothing and change nothing', async () => {
  const compiled = await open(3, 'hungarian');
  const tracker = compiled.open();
  assert.deepEqual(await tracker.step([]), []);
  await tracker.step([car(0)]);
  for (let i = 0; i < 5; i++) assert.deepEqual(await tracker.step([]), []);
  assert.deepEqual(
    (await tracker.step([car(0)])).map(({ id }) => id),
    [0],
  );
  // detections without any candidate: no edge, no NaN
  const far = await tracker.step([car(300)]);
  assert.deepEqual(
    far.map(({ id, coasting }) => [id, coasting]),
    [
      [1, false],
      [0, true],
    ],
  );
  assert.ok(far.every(({ velocity }) => velocity.every(Number.isFinite)));
  await compiled.dispose();
});

test('many detections: the surest are kept', async () => {
  const compiled = await compileMotFormer({
    device,
    model,
    weights: trusting(3),
    graph: kittiSlowGraph,
    classes: 3,
    maxDetections: 3,
  });
  const seen = Array.from({ length: 9 }, (_, i) => car(20 * i, { score: i / 10 }));
  assert.deepEqual(
    (await compiled.open().step(seen)).map(({ x }) => x),
    [160, 140, 120],
  );
  await compiled.dispose();
});

test('a moving origin: what is known moves with it', async () => {
  const compiled = await open(3);
  const tracker = compiled.open();
  await tracker.step([car(100)]);
  tracker.move([-100, 0, 0]);
  assert.deepEqual(
    (await tracker.step([car(0)])).map(({ id }) => id),
    [0],
  );
  await compiled.dispose();
});
