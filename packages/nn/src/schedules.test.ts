import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constant, cosine, oneCycle, type Schedule, stepDecay, warmup } from './schedules.ts';

function close(schedule: Schedule, expected: Readonly<Record<number, number>>): void {
  for (const [step, rate] of Object.entries(expected)) {
    const actual = schedule(Number(step));
    assert.ok(
      Math.abs(actual - rate) <= 1e-12 + 1e-9 * Math.abs(rate),
      `step ${step}: ${actual}, expected ${rate}`,
    );
  }
}

test('each schedule follows its formula', () => {
  close(constant(0.1), { 0: 0.1, 99: 0.1 });
  close(cosine({ peak: 1, floor: 0.2, steps: 4 }), {
    0: 1,
    1: 0.2 + 0.4 * (1 + Math.SQRT1_2),
    2: 0.6,
    4: 0.2,
    9: 0.2,
  });
  close(stepDecay({ initial: 1, factor: 0.5, milestones: [2, 5] }), {
    0: 1,
    1: 1,
    2: 0.5,
    4: 0.5,
    5: 0.25,
    50: 0.25,
  });
  close(warmup(4, cosine({ peak: 1, steps: 2 })), { 0: 0.25, 1: 0.5, 3: 1, 4: 1, 5: 0.5, 6: 0 });
  close(warmup(0, constant(3)), { 0: 3 });
});

test('one cycle rises to the peak at step 2 of 10 and falls until step 9', () => {
  const falling = (part: number) => 4e-6 + ((1 - 4e-6) / 2) * (1 + Math.cos(Math.PI * part));
  close(oneCycle({ peak: 1, steps: 10 }), {
    0: 0.04,
    1: 0.52,
    2: 1,
    3: falling(1 / 7),
    4: falling(2 / 7),
    9: 4e-6,
    20: 4e-6,
  });
});

test('impossible schedules are refused', () => {
  assert.throws(() => cosine({ peak: 1, steps: 0 }), /cosine steps: 0 is not an integer from 1 on/);
  assert.throws(() => warmup(1.5, constant(1)), RangeError);
  assert.throws(() => stepDecay({ initial: 1, milestones: [5, 5] }), /milestones 5, 5/);
  assert.throws(() => oneCycle({ peak: 1, steps: 3 }), /rise over 0.3 of 3 steps/);
});
