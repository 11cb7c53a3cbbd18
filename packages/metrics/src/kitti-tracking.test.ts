import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kittiTracking, type TrackedBox } from './kitti-tracking.ts';

const at = (frame: number, id: number, rest: Partial<TrackedBox> = {}): TrackedBox => ({
  frame,
  id,
  type: 'Car',
  occlusion: 0,
  truncation: 0,
  box2d: [100, 100, 200, 180],
  x: 10 * id,
  y: 1.5,
  z: 20 + frame,
  length: 4,
  width: 2,
  height: 1.5,
  ry: 0.3,
  score: 1,
  ...rest,
});

const frames = Array.from({ length: 40 }, (_, f) => f);
const labels = frames.flatMap((f) => [at(f, 1), at(f, 2)]);
const measure = (results: readonly TrackedBox[], own = labels) =>
  kittiTracking([{ labels: own, results }], 'car');

test('perfect results', () => {
  const { mota, motp, samota, idSwitches, fragmentations, falsePositives, falseNegatives } = measure(labels);
  assert.deepEqual([mota, idSwitches, fragmentations, falsePositives, falseNegatives], [1, 0, 0, 0, 0]);
  assert.ok(Math.abs(motp - 1) < 1e-9);
  // 39 of 40 points: the first, of no recall, adds nothing
  assert.ok(samota > 0.95 && samota <= 1);
});

test('nothing found', () => {
  const { mota, samota, amota, falseNegatives, truePositives } = measure([]);
  assert.deepEqual([mota, samota, amota, falseNegatives, truePositives], [0, 0, 0, 80, 0]);
});

test('identities that change are switches, gaps are fragments', () => {
  const renamed = labels.map((box) => (box.id === 1 && box.frame >= 20 ? { ...box, id: 9 } : box));
  assert.equal(measure(renamed).idSwitches, 1);
  assert.equal(measure(renamed).fragmentations, 1);
  const gap = labels.filter(({ id, frame }) => id !== 1 || frame < 10 || frame > 12);
  const found = measure(gap);
  assert.deepEqual([found.idSwitches, found.fragmentations, found.falseNegatives], [0, 1, 3]);
  // after a gap another identity is no switch: nobody can know
  const other = gap.map((box) => (box.id === 1 && box.frame > 12 ? { ...box, id: 9 } : box));
  assert.equal(measure(other).idSwitches, 0);
});

test('what nobody labelled is not held against a tracker: small boxes, areas of no care, hidden and cut-off objects', () => {
  const extra = (rest: Partial<TrackedBox>) => [...labels, ...frames.map((f) => at(f, 5, rest))];
  assert.equal(measure(extra({})).falsePositives, 40);
  assert.equal(measure(extra({ box2d: [100, 100, 110, 125] })).falsePositives, 0);
  const area = frames.map((f) => at(f, -1, { type: 'DontCare', box2d: [0, 0, 160, 400] }));
  assert.equal(measure(extra({}), [...labels, ...area]).falsePositives, 0);
  for (const rest of [{ occlusion: 3 }, { truncation: 1 }, { type: 'Van' }]) {
    const hidden = [...labels, ...frames.map((f) => at(f, 5, rest))];
    assert.equal(measure(labels, hidden).falseNegatives, 0);
    assert.equal(measure(extra({}), hidden).falsePositives, 0);
  }
});

test('the score is a track’s mean; the best threshold leaves out what costs more than it brings', () => {
  const noise = frames.map((f) => at(f, 7, { x: 70, score: f % 2 === 0 ? 0.4 : 0.2 }));
  const { mota, threshold, falsePositives } = measure([...labels, ...noise]);
  assert.deepEqual([mota, threshold, falsePositives], [1, 1, 0]);
});

test('one identity twice in a frame is refused', () => {
  assert.throws(() => measure([...labels, at(3, 2)]), /frame 3 has an identity twice: 1, 2, 2/);
});
