import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close, sample } from '../test/sample.ts';
import { xoshiro128 } from './bootstrap.ts';
import { expectedCalibrationError, reliability, topPredictions } from './calibration.ts';

test('ECE equals what numpy 2.4 computes, for both kinds of bins', () => {
  const { probabilities, labels } = sample();
  const { confidence, correct } = topPredictions(probabilities, labels);
  close(expectedCalibrationError(confidence, correct), 0.31548771993094044);
  close(expectedCalibrationError(confidence, correct, { binning: 'width' }), 0.17403660181235406);
});

test('a calibrated set of 100,000 has an ECE below 0.5 %; one that says 10 % more than it knows has 10 %', () => {
  const next = xoshiro128(1);
  const uniform = () => next() / 2 ** 32;
  const confidence = Float64Array.from({ length: 100_000 }, () => 0.5 + 0.4 * uniform());
  const correct = Uint8Array.from(confidence, (value) => (uniform() < value ? 1 : 0));
  for (const binning of ['quantile', 'width'] as const) {
    assert.ok(expectedCalibrationError(confidence, correct, { binning }) < 0.005);
  }
  const overconfident = confidence.map((value) => value + 0.1);
  close(expectedCalibrationError(overconfident, correct), 0.1, 0.005);
});

test('bins hold confidences above their lower edge, up to the upper; equal confidences share one', () => {
  const bins = reliability([0.2, 0.4, 0.4, 0.8], [0, 1, 0, 1], { bins: 2, binning: 'width' });
  assert.deepEqual(bins, [
    { lower: 0, upper: 0.5, count: 3, confidence: 1 / 3, accuracy: 1 / 3 },
    { lower: 0.5, upper: 1, count: 1, confidence: 0.8, accuracy: 1 },
  ]);
  const ties = reliability([1, 1, 1, 1], [1, 1, 0, 1], { bins: 3 });
  assert.deepEqual(
    ties.map(({ count }) => count),
    [4, 0, 0],
  );
  close(expectedCalibrationError([1, 1, 1, 1], [1, 1, 0, 1]), 0.25);
  assert.throws(() => reliability([], []), /no samples/);
  assert.throws(() => reliability([0.5], []), /1 confidences, but 0 outcomes/);
});
