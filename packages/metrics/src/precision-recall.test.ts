import assert from 'node:assert/strict';
import { test } from 'node:test';
import { xoshiro128 } from './bootstrap.ts';
import { labelAgreement } from './label-agreement.ts';
import { precisionRecall } from './precision-recall.ts';

const line = (...values: number[]) => ({ features: values, count: values.length });

test('balls to the neighbours, worked out by hand', () => {
  // radii of the first neighbour: real 1, 1, 8; generated 0.5, 0.5, 18.5
  const real = line(0, 1, 9);
  const generated = line(1.5, 2, 20.5);
  // 1.5 and 2 are near the real 1, 20.5 near none; 1 is on the surface of the ball of 1.5, 9 in that of 20.5
  assert.deepEqual(precisionRecall(real, generated, { neighbours: 1 }), { precision: 2 / 3, recall: 2 / 3 });
  assert.deepEqual(precisionRecall(generated, real, { neighbours: 1 }), { precision: 2 / 3, recall: 2 / 3 });
});

test('it equals the definition, sorted distances and all pairs', () => {
  const next = xoshiro128(3);
  const [real, generated] = [60, 45].map((count, set) => ({
    count,
    features: Float32Array.from({ length: count * 40 }, () => next() / 2 ** 32 + 0.05 * set),
  })) as [{ count: number; features: Float32Array }, { count: number; features: Float32Array }];
  const rows = (set: typeof real) =>
    Array.from({ length: set.count }, (_, n) => Array.from(set.features.slice(n * 40, (n + 1) * 40)));
  const distance = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  const share = (inside: number[][], of: number[][], k: number) => {
    const radii = of.map((row) => of.map((other) => distance(row, other)).sort((a, b) => a - b)[k]!); // [0] is itself
    return (
      inside.filter((row) => of.some((center, i) => distance(row, center) <= radii[i]!)).length /
      inside.length
    );
  };
  for (const neighbours of [1, 3, 5]) {
    assert.deepEqual(precisionRecall(real, generated, { neighbours }), {
      precision: share(rows(generated), rows(real), neighbours),
      recall: share(rows(real), rows(generated), neighbours),
    });
  }
  assert.deepEqual(precisionRecall(real, real), { precision: 1, recall: 1 });
});

test('few modes lose recall, not precision', () => {
  const next = xoshiro128(5);
  const cluster = (center: number, count: number) =>
    Array.from({ length: count }, () => center + next() / 2 ** 32);
  const real = line(...cluster(0, 50), ...cluster(100, 50));
  const { precision, recall } = precisionRecall(real, line(...cluster(0, 50)));
  assert.ok(precision > 0.9 && recall <= 0.5, `${precision} ${recall}`);
});

test('label agreement: shares of all and of each class', () => {
  const scores = [3, 1, 0, 0, 2, 1, 5, 0, 0, 0, 0, 9];
  const { all, perClass } = labelAgreement(scores, [0, 1, 1, 1]);
  assert.equal(all, 0.5);
  assert.deepEqual(perClass, [1, 1 / 3, Number.NaN]);
  assert.throws(() => labelAgreement(scores, [0, 1, 1, 3]), /label 3 of sample 3 is not one of 3 classes/);
});

test('what cannot be is refused', () => {
  const set = line(1, 2, 3, 4);
  assert.throws(
    () => precisionRecall(set, { features: set.features, count: 2 }),
    /1 real features against 2 generated/,
  );
  assert.throws(() => precisionRecall(set, line(1, 2)), /2 samples have no neighbour 3/);
  assert.throws(() => precisionRecall(set, set, { neighbours: 0 }), /0 neighbours are not 1 or more/);
  assert.throws(
    () => precisionRecall(set, line(1, 2, 3, Number.NaN)),
    /generated features: number 0 of sample 3 is NaN/,
  );
});
