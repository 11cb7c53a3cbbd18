import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rotary, TensorError, zeros } from '../src/index.ts';
import { forwardCases, gradientCases } from './cases/rotary.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });

test('shapes that do not fit are refused', () => {
  const table = zeros([3, 2]);
  assert.throws(() => rotary(zeros([3, 2, 5]), table, table), TensorError);
  assert.throws(() => rotary(zeros([2, 2, 4]), table, table), /cosines and sines must be \[2,2\]/);
});
