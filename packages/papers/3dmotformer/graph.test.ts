import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toNumbers } from '@working-papers/tensor';
import {
  CrowdError,
  candidates,
  edgeFeatures,
  expected,
  neighbours,
  nodeFeatures,
  nuscenesGraph,
  packLists,
  type SeenBox,
  type TrackedState,
} from './graph.ts';
import { match } from './matching.ts';

const box = (x: number, y: number, rest: Partial<SeenBox> = {}): SeenBox => ({
  x,
  y,
  z: 1,
  width: 2,
  length: 4,
  height: 1.5,
  yaw: 0.5,
  kind: 0,
  velocity: [3, -1],
  score: 0.8,
  ...rest,
});
const track = (x: number, y: number, rest: Partial<TrackedState> = {}): TrackedState => ({
  ...box(x, y),
  velocity: [2, 0],
  age: 1,
  ...rest,
});

test('what nodes and edges are told', () => {
  const nodes = nodeFeatures([box(1, 2, { kind: 2 })], 3);
  assert.deepEqual(nodes.shape, [1, 13]);
  const close = (a: readonly number[], b: readonly number[]) => {
    for (const [i, value] of a.entries()) assert.ok(Math.abs(value - b[i]!) < 1e-6, `${value} ${b[i]}`);
  };
  close(toNumbers(nodes), [1, 2, 1, 2, 4, 1.5, 0.5, 3, -1, 0, 0, 1, 0.8]);
  const old = track(0, 2, { age: 3, yaw: -0.5 });
  assert.deepEqual(expected(old, 0.5), [3, 2]);
  const edges = edgeFeatures([box(1, 2)], [old], [[0]], nuscenesGraph, 2);
  assert.deepEqual(edges.shape, [1, 2, 10]);
  close(toNumbers(edges), [1, 0, 0, 0, 0, 0, 1, -2, 0, 3, ...new Array(10).fill(0)]);
});

test('neighbours are near and of one class, candidates within the gate of where the track should be', () => {
  const boxes = [box(0, 0), box(5, 0), box(5.1, 0), box(0, 1, { kind: 1 })];
  assert.deepEqual(neighbours(boxes, nuscenesGraph), [[0, 1], [0, 1, 2], [1, 2], [3]]);
  // a car is expected one metre ahead; the gate is four metres, its edge included
  assert.deepEqual(
    candidates([box(5, 0), box(5.01, 0), box(1, 0, { kind: 1 })], [track(0, 0)], nuscenesGraph),
    [[0], [], []],
  );
  const crowd = Array.from({ length: 30 }, (_, i) => box(i / 10, 0));
  const few = neighbours(crowd, { ...nuscenesGraph, maxNeighbours: 4 });
  assert.ok(few.every((own, i) => own.length === 4 && own.includes(i)));
  const tracks = crowd.map(({ x }) => track(x, 0));
  assert.throws(() => candidates([box(0, 0)], tracks, { ...nuscenesGraph, maxNeighbours: 4 }), CrowdError);
});

test('lists as arrays', () => {
  const { index, mask } = packLists([[2, 5], [], [1]]);
  assert.deepEqual(toNumbers(index), [2, 5, 0, 0, 1, 0]);
  assert.deepEqual(toNumbers(mask), [1, 1, 0, 0, 1, 0]);
  assert.deepEqual(packLists([[], []]).mask.shape, [2, 1]);
});

test('greedy: the surer detection takes the track that both want; 0.01 is no match', () => {
  const across = [[0, 1], [0], [0, 1]];
  assert.deepEqual([...match(across, [[0.6, 0.5], [0.9], [0.2, 0.3]], 2, 'greedy')], [0, -1, 1]);
  assert.deepEqual([...match([[0]], [[0.01]], 1, 'greedy')], [-1]);
  assert.deepEqual([...match([[0]], [[0.0101]], 1, 'greedy')], [0]);
});

test('Hungarian: as much affinity as there can be, and never a pair that is none', () => {
  const across = [[0, 1], [0], [0, 1]];
  assert.deepEqual([...match(across, [[0.6, 0.5], [0.9], [0.2, 0.3]], 2, 'hungarian')], [1, 0, -1]);
  assert.deepEqual([...match([[0], [0]], [[0.005], [0.01]], 1, 'hungarian')], [-1, -1]);
  assert.deepEqual([...match([], [], 3, 'hungarian')], []);
  assert.deepEqual([...match([[], []], [[], []], 0, 'hungarian')], [-1, -1]);
});
