/** Declares the tests that every provider has to pass: all checks within 1e-4 of the CPU, and training in a store. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Batch, batches, type Outcome, runBatch } from '../cases/batch.ts';
import { type Trained, train } from '../cases/train.ts';
import { cpu, errorOf } from '../check.ts';

/** What a provider is asked for. */
export interface Side {
  batch(index: number): Promise<Outcome[]>;
  /** Number formats that it lacks. */
  readonly lacks?: readonly string[];
  train(): Promise<Trained>;
}

/** Largest difference from the CPU's results, relative to max(1, |value|). */
const tolerance = 1e-4;

export function compareWithCpu(open: () => Promise<Side>, close: () => Promise<void>): void {
  let side: Side;
  before(async () => {
    side = await open();
  });
  after(close);

  test('training in a store', async () => {
    const [expected, actual] = [await train(await cpu()), await side.train()];
    assert.ok(expected.losses.at(-1)! < expected.losses[0]! / 2, 'it learns');
    for (const key of ['losses', 'weight', 'moment', 'kept'] as const) {
      assert.ok(
        errorOf(actual[key], expected[key]) < tolerance,
        `${key}: ${actual[key]}, not ${expected[key]}`,
      );
    }
  });

  batches().forEach((batch, index) => {
    test(batch.name, async () => {
      const [expected, actual] = [await runBatch(await cpu(), batch), await side.batch(index)];
      const wrong = batch.cases.flatMap((check, i) =>
        check.needs?.some((dtype) => side.lacks?.includes(dtype))
          ? []
          : differences(batch, i, expected[i]!, actual[i]!),
      );
      assert.ok(wrong.length === 0, `${wrong.length} differ\n${wrong.join('\n')}`);
    });
  });
}

function differences({ cases }: Batch, at: number, want: Outcome, got: Outcome): string[] {
  const { name, providerTolerance = tolerance } = cases[at]!;
  if ('error' in want) return [`${name}, on the CPU: ${want.error}`];
  if ('error' in got) return [`${name}: ${got.error.slice(0, 300)}`];
  return want.values.flatMap((value, i) => {
    const other = got.values[i]!;
    if (other.shape.join() !== value.shape.join())
      return [`${name}, value ${i}: [${other.shape}], not [${value.shape}]`];
    const error = errorOf(other.data, value.data);
    if (error <= providerTolerance) return [];
    return [
      `${name}, value ${i}: error ${error}\n  got  ${other.data.slice(0, 8)}\n  want ${value.data.slice(0, 8)}`,
    ];
  });
}
