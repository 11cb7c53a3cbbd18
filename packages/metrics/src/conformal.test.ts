import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close, sample } from '../test/sample.ts';
import { xoshiro128 } from './bootstrap.ts';
import {
  type ConformalVariant,
  conformalScores,
  conformalTable,
  conformalThreshold,
  defaultAlphas,
  type ExitPredictions,
  exitPredictionSets,
  exitThresholds,
  predictionSets,
} from './conformal.ts';

test('thresholds and sets equal what numpy 2.4 computes', () => {
  const { probabilities, labels } = sample();
  const scores = conformalScores(probabilities, labels);
  for (const [alpha, threshold, inefficiency, missRate] of [
    [0.01, 0.9970238095238095, 3.99, 0],
    [0.05, 0.9858757062146892, 3.93, 0.04],
    [0.1, 0.9243697478991597, 3.415, 0.09],
    [0.2, 0.9213483146067416, 3.315, 0.19],
  ] as const) {
    close(conformalThreshold(scores, alpha), threshold);
    const sets = predictionSets(probabilities, labels, conformalThreshold(scores, alpha));
    close(sets.inefficiency, inefficiency);
    close(sets.missRate, missRate);
  }
});

test('the level is ceil((n + 1)(1 - alpha)) / n, at most 1', () => {
  const scores = Float64Array.from({ length: 19 }, (_, i) => (i + 1) / 100);
  assert.equal(conformalThreshold(scores, 0.05), 0.19, 'rank 19 of 19');
  assert.equal(conformalThreshold(scores, 0.01), 0.19, 'capped');
  assert.equal(conformalThreshold(scores, 0.5), 0.11, 'level 10 / 19, the higher neighbour');
  assert.throws(() => conformalThreshold([], 0.05), /no validation scores/);
  assert.throws(() => conformalThreshold([0.5], 0), /alpha 0 is not between 0 and 1/);
});

/** A network of three exits, ever surer, on exchangeable data; samples leave by their confidence. */
function network(length: number, seed: number): ExitPredictions {
  const next = xoshiro128(seed);
  const uniform = () => next() / 2 ** 32;
  const labels = Array.from({ length }, () => next() % 5);
  const probabilities = [2, 4, 6].map((skill) => {
    const rows = new Float64Array(length * 5);
    labels.forEach((label, n) => {
      const logits = Array.from({ length: 5 }, (_, k) =>
        Math.exp(3 * uniform() + (k === label ? skill * uniform() : 0)),
      );
      const sum = logits.reduce((a, b) => a + b);
      rows.set(
        logits.map((logit) => logit / sum),
        n * 5,
      );
    });
    return rows;
  });
  const sure = (exit: number, n: number) =>
    Math.max(...probabilities[exit]!.subarray(5 * n, 5 * n + 5)) > 0.7;
  return { probabilities, labels, exits: labels.map((_, n) => (sure(0, n) ? 0 : sure(1, n) ? 1 : 2)) };
}

test('coverage is at least 1 - alpha - 0.01 on exchangeable data', () => {
  const validation = network(10_000, 1);
  const other = network(10_000, 2);
  for (const variant of ['general', 'exit', 'strict'] as ConformalVariant[]) {
    const { rows } = conformalTable(validation, other, variant, { alphas: [...defaultAlphas, 0.1, 0.2] });
    for (const { alpha, missRate } of rows)
      assert.ok(missRate <= alpha + 0.01, `${variant} ${alpha}: ${missRate}`);
  }
});

test('each variant rests on the samples that it names', () => {
  const validation = network(300, 3);
  const alpha = 0.1;
  const { probabilities, labels, exits } = validation;
  const all = probabilities.map((rows) => conformalThreshold(conformalScores(rows, labels), alpha));
  const strict = probabilities.map((rows, exit) =>
    conformalThreshold(
      conformalScores(rows, labels).filter((_, n) => exits[n] === exit),
      alpha,
    ),
  );
  assert.deepEqual([...exitThresholds(validation, alpha, 'all')], all);
  assert.deepEqual([...exitThresholds(validation, alpha, 'strict')], strict);
  assert.deepEqual([...exitThresholds(validation, alpha, 'exit')], strict);
  const [one, two, three] = exitThresholds(validation, alpha, 'general');
  assert.ok(one === two && two === three);

  const few = { ...validation, exits: Array.from(labels, (_, n) => (n < 20 ? 0 : 1)) };
  assert.equal(exitThresholds(few, alpha, 'exit')[0], all[0], '20 are too few');
  assert.notEqual(exitThresholds(few, alpha, 'strict')[0], all[0]);
  const thresholds = exitThresholds(few, alpha, 'strict');
  assert.ok(Number.isNaN(thresholds[2]));
  assert.throws(
    () => exitPredictionSets(validation, thresholds),
    /leaves at exit 2, which has no validation scores/,
  );
});

test('sets are taken at the exit that a sample takes', () => {
  const test: ExitPredictions = {
    probabilities: [
      [0.9, 0.1, 0.6, 0.4],
      [0.5, 0.5, 0.2, 0.8],
    ],
    labels: [0, 0],
    exits: [0, 1],
  };
  const sets = exitPredictionSets(test, [0.95, 0.5]);
  assert.deepEqual(
    [[...sets.sizes], [...sets.covered]],
    [
      [2, 1],
      [1, 0],
    ],
  );
  assert.deepEqual([sets.inefficiency, sets.missRate], [1.5, 0.5]);
  assert.throws(() => exitPredictionSets({ ...test, exits: [0, 2] }, [1, 1, 1]), /sample 1 leaves at exit 2/);
  assert.throws(
    () => exitThresholds({ probabilities: [], labels: [], exits: [] }, 0.1, 'general'),
    /no exits/,
  );
});

test('the reported row is that of the largest alpha whose miss rate is below the limit', () => {
  const { rows, reported } = conformalTable(network(5000, 4), network(5000, 5), 'general', { maxMiss: 0.03 });
  assert.equal(rows.length, 9);
  const later = rows.filter(({ alpha }) => alpha > reported!.alpha);
  assert.ok(reported!.missRate < 0.03 && later.length > 0 && later.every(({ missRate }) => missRate >= 0.03));
  assert.equal(conformalTable(network(50, 4), network(50, 5), 'general', { maxMiss: 0 }).reported, undefined);
});
