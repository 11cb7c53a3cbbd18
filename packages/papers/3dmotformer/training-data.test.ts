import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Box3d } from '@working-papers/metrics/boxes3d';
import type { Pose } from './kitti.ts';
import { egoShift, fromWorld, seenInWorld, toWorld } from './kitti-world.ts';
import { identify, suppress, windows } from './training-data.ts';

const box = (x: number, z: number, rest: Partial<Box3d> = {}) => ({
  x,
  y: 1.6,
  z,
  length: 4,
  width: 2,
  height: 1.5,
  ry: 0,
  kind: 0,
  score: 0.5,
  ...rest,
});

test('of overlapping boxes of a class the surer stays', () => {
  const boxes = [box(0, 10), { ...box(1, 10), score: 0.9 }, { ...box(1, 10), kind: 1 }, box(4.5, 10)];
  // the third is of another class, the last overlaps the second by a fifteenth
  assert.deepEqual(suppress(boxes), [1, 2, 3]);
  assert.deepEqual(suppress([box(0, 0), box(0, 20)]), [0, 1]);
});

test('identities: the greatest overlap in all, of the class, not none', () => {
  const labels = [
    { ...box(0, 10), id: 7 },
    { ...box(3, 10), id: 8 },
    { ...box(30, 10), id: 9, kind: 1 },
  ];
  assert.deepEqual(identify([box(1.4, 10), box(0.2, 10), box(30, 10), box(90, 10)], labels), [8, 7, -1, -1]);
  assert.deepEqual(identify([box(0, 10)], []), [-1]);
  assert.deepEqual(identify([], labels), []);
});

test('a standing car stays where it is while the camera drives and turns', () => {
  const [px, pz, heading] = [3, 40, 0.7];
  const pose = (f: number): Pose => {
    const [c, s] = [Math.cos(0.2 * f), Math.sin(0.2 * f)];
    return [c, 0, s, 2 * f, 0, 1, 0, 0.1 * f, -s, 0, c, 5 * f];
  };
  const seen = (f: number) => {
    const [c, s] = [Math.cos(0.2 * f), Math.sin(0.2 * f)];
    const [dx, dz] = [px - 2 * f, pz - 5 * f];
    // the camera's heading is taken off: world heading (cos, −sin) turned back
    return box(c * dx - s * dz, s * dx + c * dz, { y: 1.6 - 0.1 * f, ry: heading - 0.2 * f });
  };
  let before = toWorld(seen(0), 0, pose(0));
  for (let f = 1; f < 5; f++) {
    const now = toWorld(seen(f), 0, pose(f));
    const [sx, sy, sz] = egoShift(pose(f - 1), pose(f));
    const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `frame ${f}: ${a} ${b}`);
    near(before.x + sx, now.x);
    near(before.y + sy, now.y);
    near(before.z + sz, now.z);
    near(before.yaw, now.yaw);
    before = now;
  }
});

test('a detection for the network', () => {
  const identity: Pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
  const detection = { ...box(2, 10), type: 'Cyclist', box2d: [0, 0, 1, 1] as const, alpha: 0, score: 0 };
  const seen = seenInWorld(detection, identity);
  assert.deepEqual([seen.kind, seen.score, seen.x, seen.y, seen.velocity], [2, 0.5, 2, 10, [0, 0]]);
  assert.throws(
    () => seenInWorld({ ...detection, type: 'Tram' }, identity),
    /class 'Tram' is none of Car, Pedestrian, Cyclist/,
  );
});

test('windows lie within labelled frames', () => {
  const frames = [true, true, true, false, true, true].map((labelled) => ({ labelled }));
  assert.deepEqual(windows([frames, frames.slice(0, 2)], 2), [
    [0, 0],
    [0, 1],
    [0, 4],
    [1, 0],
  ]);
});

test('over the ground and back: the camera sees its own box again, wherever it looks', () => {
  const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
  const turned: Pose = [c, 0, s, 5, 0, 1, 0, 1, -s, 0, c, -3];
  const box = { x: 2, y: 1.6, z: 14, length: 4, width: 1.8, height: 1.5, ry: -1.1 };
  const back = fromWorld(toWorld(box, 0, turned), turned);
  for (const key of ['x', 'y', 'z', 'ry'] as const) assert.ok(Math.abs(back[key] - box[key]) < 1e-12, key);
});
