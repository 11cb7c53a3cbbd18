import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { openDevice } from '@working-papers/tensor';
import { allocate } from './baselines.ts';
import {
  byGates,
  byOracle,
  byThresholds,
  certainty,
  Evaluator,
  operatingPoint,
  regret,
  selectionGap,
  shareBases,
  shareCounts,
  thresholdsFor,
} from './evaluate.ts';
import { costs, layout, syntheticSplit } from './test/synthetic.ts';
import { initialExits } from './training.ts';

const device = await openDevice({ threads: 1 });
const split = syntheticSplit(900, 7);
const start = initialExits(layout, 3);
const evaluator = await Evaluator.create(device, layout, start);
const outputs = await evaluator.evaluate(start, split);
after(async () => {
  await evaluator.dispose();
  await device.close();
});

test('the 39 settings of q give whole shares ∝ q^k, and thresholds let out exactly these', () => {
  assert.equal(shareBases.length, 39);
  assert.deepEqual(shareCounts(70, 3, 2), [10, 20, 40]);
  const random = new Random(1);
  const scores = Array.from({ length: 5 }, () => random.uniforms(1000));
  for (const q of shareBases) {
    const taken = byThresholds(scores, thresholdsFor(scores, q));
    const counts = [0, 0, 0, 0, 0];
    for (const exit of taken) counts[exit]!++;
    assert.deepEqual(counts, shareCounts(1000, 5, q), `q = ${q}`);
  }
});

test('who leaves under a threshold is surer than who stays', () => {
  const scores = certainty(outputs, 'max-p');
  const taken = byThresholds(scores, thresholdsFor(scores, 1));
  const least = Math.min(...scores[0]!.filter((_, n) => taken[n] === 0));
  assert.ok(scores[0]!.every((score, n) => taken[n] === 0 || score < least));
});

test('entropy and largest probability agree on what is certain', () => {
  for (const score of ['max-p', 'entropy'] as const) {
    const certain = certainty(
      { ...outputs, probabilities: [Float32Array.of(1, 0, 0, 0.4, 0.3, 0.3)], labels: Int32Array.of(0, 1) },
      score,
    );
    assert.ok(certain[0]![0]! > certain[0]![1]!, score);
  }
});

test('the oracle has no regret, and no rule has less', () => {
  for (const costWeight of [0, 0.5, 2]) {
    assert.equal(regret(outputs, byOracle(outputs, costs, costWeight), costs, costWeight), 0);
    assert.ok(regret(outputs, byGates(outputs), costs, costWeight) > 0);
  }
  assert.ok(byOracle(outputs, costs, 1e6).every((exit) => exit === 0));
});

test('an operating point: shares sum to 1, and each exit is judged on its own samples', () => {
  const taken = Uint8Array.from({ length: split.length }, (_, n) => n % 3);
  const { cost, accuracy, exits, overconfidence } = operatingPoint(outputs, taken, costs);
  assert.ok(Math.abs(cost - 0.5) < 1e-12);
  assert.deepEqual(
    exits.map(({ share }) => share),
    [1 / 3, 1 / 3, 1 / 3, 0],
  );
  assert.equal(exits[3]!.accuracyExited, null);
  const mean = (pick: (l: number) => number) => (pick(0) + pick(1) + pick(2)) / 3;
  assert.ok(Math.abs(accuracy - mean((l) => exits[l]!.accuracyExited!)) < 1e-12);
  assert.ok(Math.abs(overconfidence - mean((l) => exits[l]!.overconfidenceExited!)) < 1e-6);
});

test('the selection gap of exits with themselves is 0; the last exit has none', () => {
  const taken = byGates(outputs);
  assert.equal(selectionGap(outputs, outputs, taken).total, 0);
  assert.deepEqual(selectionGap(outputs, outputs, new Uint8Array(split.length).fill(3)), {
    total: null,
    exits: [null, null, null],
  });
});

test('samples of a meta batch are allocated once each, the surest first', () => {
  const random = new Random(4);
  const scores = Array.from({ length: 4 }, () => random.uniforms(64));
  const mask = allocate(scores, 64, 1);
  const rows = Array.from({ length: 64 }, (_, n) => mask.subarray(n * 3, n * 3 + 3));
  assert.ok(rows.every((row) => row.reduce((a, b) => a + b) <= 1));
  assert.deepEqual(
    [0, 1, 2].map((l) => rows.filter((row) => row[l] === 1).length),
    [16, 16, 16],
  );
  const least = Math.min(...rows.flatMap((row, n) => (row[0] === 1 ? [scores[0]![n]!] : [])));
  assert.equal(rows.filter((_, n) => scores[0]![n]! >= least).length, 16);
});
