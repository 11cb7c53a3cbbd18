import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close } from '../test/sample.ts';
import { accuracyAtCost, costAtAccuracy, frontier, meanAccuracy } from './curves.ts';

const points = [
  { cost: 0.8, accuracy: 0.9 },
  { cost: 0.2, accuracy: 0.5 },
  { cost: 0.4, accuracy: 0.7 },
  { cost: 0.5, accuracy: 0.6 }, // beaten by the point before
  { cost: 0.4, accuracy: 0.65 },
  { cost: 1, accuracy: 0.9 },
];

test('the frontier rises in both, and interpolation goes along it', () => {
  assert.deepEqual(
    frontier(points).map(({ cost }) => cost),
    [0.2, 0.4, 0.8],
  );
  close(accuracyAtCost(points, 0.2)!, 0.5);
  close(accuracyAtCost(points, 0.3)!, 0.6);
  close(accuracyAtCost(points, 0.6)!, 0.8);
  close(accuracyAtCost(points, 2)!, 0.9);
  assert.equal(accuracyAtCost(points, 0.19), undefined);
  close(costAtAccuracy(points, 0.3)!, 0.2);
  close(costAtAccuracy(points, 0.6)!, 0.3);
  close(costAtAccuracy(points, 0.9)!, 0.8);
  assert.equal(costAtAccuracy(points, 0.91), undefined);
});

test('mean accuracy is the area under the curve by the width', () => {
  close(meanAccuracy(points, 0.2, 0.4), 0.6);
  close(meanAccuracy(points, 0.3, 0.6), (0.1 * 0.65 + 0.2 * 0.75) / 0.3);
  close(meanAccuracy(points, 0.8, 2), 0.9);
  const steps = 1000;
  let sum = 0;
  for (let i = 0; i < steps; i++) sum += accuracyAtCost(points, 0.2 + (0.8 * (i + 0.5)) / steps)! / steps;
  close(meanAccuracy(points, 0.2, 1), sum, 1e-6);
  assert.throws(() => meanAccuracy(points, 0.1, 1), /costs 0.1..1 on a curve that begins at 0.2/);
  assert.throws(() => frontier([]), /no points/);
  assert.throws(() => frontier([{ cost: Number.NaN, accuracy: 1 }]), /curve point \(NaN, 1\)/);
});
