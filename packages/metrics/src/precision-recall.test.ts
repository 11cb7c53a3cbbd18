import assert from 'node:assert/strict';
import { test } from 'node:test';
import { precisionRecall } from './precision-recall.ts';

const line = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('the same set has all, two distant ones nothing', () => {
  const set = line(0, 10);
  assert.deepEqual(precisionRecall(set, set, { size: 1 }), { precision: 1, recall: 1 });
  assert.deepEqual(precisionRecall(set, line(1000, 10), { size: 1 }), { precision: 0, recall: 0 });
});

test('a generator that shows one corner is precise and forgets the rest', () => {
  const found = precisionRecall(line(0, 100), [10, 10.1, 10.2, 10.3, 10.4], { size: 1 });
  assert.equal(found.precision, 1);
  // the third neighbour of 10 is .3 away, of 10.2 .2: only the real 10 is inside
  assert.equal(found.recall, 0.01);
});

test('the ball reaches to the third neighbour without oneself, its surface included', () => {
  // the real points 0, 1, 2, 3 have third neighbours 3, 2, 2, 3 away
  const real = [0, 1, 2, 3];
  const inside = (at: number) => precisionRecall(real, [at, at, at, at], { size: 1 }).precision;
  assert.equal(inside(6), 1, 'on the surface of the ball around 3');
  assert.equal(inside(6.001), 0);
  const one = (at: number) => precisionRecall(real, [at, at, at, at], { size: 1, neighbours: 1 }).precision;
  assert.equal(one(4), 1);
  assert.equal(one(4.001), 0);
});

test('features of several numbers, by straightforward counting', () => {
  const points = (seed: number, count: number) =>
    Array.from({ length: count * 3 }, (_, i) => Math.sin(seed + i * 12.9898) * 2);
  const [real, generated] = [points(1, 30), points(2, 25)];
  const row = (set: number[], i: number) => set.slice(3 * i, 3 * i + 3);
  const distance = (a: number[], b: number[]) => Math.hypot(...a.map((value, k) => value - b[k]!));
  const share = (points: number[], centres: number[]) => {
    const count = centres.length / 3;
    const radius = Array.from(
      { length: count },
      (_, i) =>
        Array.from({ length: count }, (_, j) => distance(row(centres, i), row(centres, j))).sort(
          (a, b) => a - b,
        )[3]!,
    );
    const total = points.length / 3;
    const hit = Array.from({ length: total }, (_, i) =>
      radius.some((r, j) => distance(row(points, i), row(centres, j)) <= r) ? 1 : 0,
    );
    return hit.reduce((a: number, b) => a + b, 0) / total;
  };
  assert.deepEqual(precisionRecall(real, generated, { size: 3 }), {
    precision: share(generated, real),
    recall: share(real, generated),
  });
});

test('too few samples and broken rows are refused', () => {
  assert.throws(
    () => precisionRecall([1, 2, 3], line(0, 9), { size: 1 }),
    /3 real samples have no 3 neighbours/,
  );
  assert.throws(() => precisionRecall(line(0, 9), [1], { size: 1 }), /1 generated samples/);
  assert.throws(() => precisionRecall([1, 2, 3], [1, 2], { size: 2 }), /3 numbers are no rows of 2/);
});
