import assert from 'node:assert/strict';
import test from 'node:test';
import type { Figure } from '@working-papers/edition';
import { axisTitle, columnText, figureText, layoutOf, ticksAround } from '#lib/chart.ts';

test('ticks are round, enclose every value and are few', () => {
  assert.deepEqual(ticksAround([65.1, 91.3]), [65, 70, 75, 80, 85, 90, 95]);
  assert.deepEqual(ticksAround([0.21, 0.93]), [0.2, 0.4, 0.6, 0.8, 1]);
  for (const values of [
    [0, 1e-6],
    [-3, 1e5],
    [7, 7],
    [0, 0],
    [-0.5, -0.5],
    [99.9999, 100],
  ]) {
    const ticks = ticksAround(values);
    assert.ok(ticks[0]! <= Math.min(...values), `${values}`);
    assert.ok(ticks.at(-1)! >= Math.max(...values), `${values}`);
    assert.ok(ticks.length >= 2 && ticks.length <= 9, `${values}: ${ticks}`);
    assert.equal(new Set(ticks).size, ticks.length);
  }
});

const figure: Figure = {
  id: 'cost',
  title: 'Accuracy against cost',
  description: 'rises',
  x: { label: 'cost' },
  y: { label: 'accuracy', unit: '%' },
  series: [
    {
      name: 'method',
      role: 'method',
      points: [
        { x: 1, y: 100 },
        { x: 0, y: 0, low: -10, high: 5 },
      ],
    },
    { name: 'alone', role: 'baseline', points: [{ x: 0.5, y: 50 }] },
  ],
};

test('points stand where their figures say, inside the frame, left to right', () => {
  const { frame, x, y, series } = layoutOf(figure);
  assert.equal(x.place(0), frame.left);
  assert.equal(x.place(1), frame.right);
  assert.equal(y.place(y.ticks[0]!), frame.bottom);
  assert.equal(y.place(y.ticks.at(-1)!), frame.top);

  const [method, alone] = series;
  assert.deepEqual(
    method!.points.map(({ point }) => point.x),
    [0, 1],
  );
  assert.equal(alone!.points[0]!.x, (frame.left + frame.right) / 2);
  assert.match(method!.path, /^M\d+\.\d \d+\.\dL\d+\.\d \d+\.\d$/);
});

test('the axis makes room for the spread, and only series with a spread get a band', () => {
  const { y, series } = layoutOf(figure);
  assert.ok(y.ticks[0]! <= -10);
  assert.ok(series[0]!.band?.endsWith('Z'));
  // There along the upper edge and back along the lower one.
  assert.equal(series[0]!.band?.match(/L/g)?.length, 3);
  assert.equal(series[1]!.band, undefined);
});

test('figures are written as their column needs', () => {
  assert.equal(figureText(0.1 + 0.2), '0.3');
  assert.equal(figureText(1234567), '1,234,570');
  assert.deepEqual(columnText([21.4, 18, 60.65]), ['21.40', '18.00', '60.65']);
  assert.deepEqual(columnText([1, 2, 3]), ['1', '2', '3']);
  assert.equal(axisTitle(figure.y), 'accuracy (%)');
  assert.equal(axisTitle(figure.x), 'cost');
});
