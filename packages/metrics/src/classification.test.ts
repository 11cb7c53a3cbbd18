import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close, sample } from '../test/sample.ts';
import { accuracy, brierScore, confusionMatrix, negativeLogLikelihood } from './classification.ts';

const { probabilities, labels } = sample();

test('figures equal those that numpy 2.4 computes', () => {
  close(accuracy(probabilities, labels), 0.265);
  close(accuracy(probabilities, labels, 2), 0.465);
  close(negativeLogLikelihood(probabilities, labels), 1.7693275334035872);
  close(brierScore(probabilities, labels), 0.8436355968402899);
});

test('small cases by hand', () => {
  const scores = [3, 1, 2, /**/ 0, 5, 0, /**/ 1, 1, 1];
  assert.equal(accuracy(scores, [0, 0, 1]), 1 / 3, 'of equal scores the first class wins');
  assert.equal(accuracy(scores, [2, 2, 1], 2), 2 / 3);
  assert.equal(accuracy(scores, [2, 2, 1], 3), 1);
  assert.deepEqual([...confusionMatrix(scores, [0, 0, 1])], [1, 1, 0, 1, 0, 0, 0, 0, 0]);
  assert.equal(negativeLogLikelihood([1, 0], [1]), Number.POSITIVE_INFINITY);
  assert.equal(brierScore([1, 0, 0, 1], [0, 0]), 1);
});

test('ill-fitting scores and labels are refused', () => {
  assert.throws(() => accuracy([], []), /no samples/);
  assert.throws(() => accuracy([1, 2, 3], [0, 1]), /3 scores are not a whole row for each of 2 labels/);
  assert.throws(() => accuracy([1, 2], [2]), /label 2 of sample 0 is not one of 2 classes/);
  assert.throws(() => accuracy([1, 2, Number.NaN, 0], [0, 0]), /a score of sample 1 is NaN/);
});
