import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assign } from './assignment.ts';

/** The least total over all pairings, by trying them. */
function cheapest(costs: readonly (readonly number[])[]): number {
  const columns = costs[0]!.length;
  const search = (row: number, free: readonly number[], left: number): number => {
    if (row === costs.length) return left > 0 ? Infinity : 0;
    const skip = costs.length - row > left ? search(row + 1, free, left) : Infinity;
    return free.reduce(
      (best, j) =>
        Math.min(
          best,
          costs[row]![j]! +
            search(
              row + 1,
              free.filter((k) => k !== j),
              left - 1,
            ),
        ),
      skip,
    );
  };
  return search(
    0,
    Array.from({ length: columns }, (_, j) => j),
    Math.min(columns, costs.length),
  );
}

test('the cheapest pairing, of every shape', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      fc.infiniteStream(fc.integer({ min: -20, max: 20 })),
      (rows, columns, numbers) => {
        const costs = Array.from({ length: rows }, () =>
          Array.from({ length: columns }, () => numbers.next().value),
        );
        const found = assign(costs);
        const pairs = [...found.entries()].filter(([, j]) => j >= 0);
        assert.equal(pairs.length, Math.min(rows, columns));
        assert.equal(new Set(pairs.map(([, j]) => j)).size, pairs.length);
        assert.equal(
          pairs.reduce((sum, [i, j]) => sum + costs[i]![j]!, 0),
          cheapest(costs),
        );
      },
    ),
  );
});

test('nothing to pair', () => {
  assert.deepEqual([...assign([])], []);
  assert.deepEqual([...assign([[], []])], [-1, -1]);
});
