import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { nodeCount, type TreeShape } from './tree.ts';
import { defaultShapes, TreeChoice } from './tree-choice.ts';

interface World {
  /** Probability that the likeliest node is right, and that one of w is: 1 − (1 − p)^w at every depth. */
  readonly right: number;
  readonly levelMs: number;
  /** Of the root; a node costs a thirtieth. */
  readonly verifyMs: number;
}

/** Decodes in a world where guesses are right by chance; the trees it took, and the tokens a millisecond. */
function decode(choice: TreeChoice, world: World, rounds: number, seed = 1) {
  const random = new Random(seed);
  const taken: TreeShape[] = [];
  let [tokens, ms] = [0, 0];
  for (let i = 0; i < rounds; i++) {
    const shape = choice.next();
    const ranks: number[] = [];
    for (const width of shape) {
      const rank = Array.from({ length: width }, () => random.uniform() < world.right).indexOf(true);
      if (rank < 0) break;
      ranks.push(rank);
    }
    const draftMs = shape.length * world.levelMs;
    // now and then a call is disturbed
    const calm = world.verifyMs * (1 + nodeCount(shape) / 30);
    choice.saw({ shape, ranks, draftMs, verifyMs: calm * (i % 50 === 0 ? 30 : 1) });
    taken.push(shape);
    tokens += 1 + ranks.length;
    ms += draftMs + calm;
  }
  return { taken, speed: tokens / ms };
}

const mostTaken = (taken: readonly TreeShape[]) => {
  const counts = new Map<TreeShape, number>();
  for (const shape of taken) counts.set(shape, (counts.get(shape) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1])[0]![0];
};

test('deep trees where guesses are nearly always right, flat ones where they seldom are or levels are dear', () => {
  const late = (world: World) =>
    mostTaken(decode(new TreeChoice(defaultShapes), world, 200).taken.slice(100));
  assert.deepEqual(late({ right: 0.97, levelMs: 1, verifyMs: 10 }), [2, 1, 1, 1, 1, 1]);
  assert.deepEqual(late({ right: 0.15, levelMs: 2, verifyMs: 10 }), [7]);
  assert.deepEqual(late({ right: 0.02, levelMs: 1, verifyMs: 10 }), []);
  assert.deepEqual(late({ right: 0.4, levelMs: 20, verifyMs: 10 }), []);
  assert.ok(late({ right: 0.4, levelMs: 0.5, verifyMs: 10 }).length >= 2);
});

test('it is nearly as fast as the tree that suits best, in worlds of every kind', () => {
  for (const right of [0.03, 0.1, 0.3, 0.5, 0.9])
    for (const levelMs of [0.3, 1.5, 4]) {
      const world = { right, levelMs, verifyMs: 15 };
      const best = Math.max(
        ...defaultShapes.map((shape) => decode(new TreeChoice([shape]), world, 1000).speed),
      );
      const own = decode(new TreeChoice(defaultShapes), world, 1000).speed;
      assert.ok(own > 0.93 * best, `right ${right}, level ${levelMs}: ${own} of ${best}`);
    }
});

test('it changes its mind when the text does', () => {
  const choice = new TreeChoice(defaultShapes);
  const hard = { right: 0.02, levelMs: 2, verifyMs: 10 };
  assert.deepEqual(mostTaken(decode(choice, hard, 300).taken.slice(100)), []);
  const easy = { ...hard, right: 0.98 };
  assert.deepEqual(mostTaken(decode(choice, easy, 300, 2).taken.slice(200)), [2, 1, 1, 1, 1, 1]);
});

test('one shape is always that one; none is refused', () => {
  const choice = new TreeChoice([[2, 1]]);
  assert.deepEqual(
    new Set(decode(choice, { right: 0.5, levelMs: 1, verifyMs: 1 }, 50).taken),
    new Set([[2, 1]].map(() => choice.next())),
  );
  assert.throws(() => new TreeChoice([]), RangeError);
});

test('a tree that was cut short, or was none, is no evidence for what it lacked', () => {
  const choice = new TreeChoice(defaultShapes);
  const before = choice.expectedTokens([2, 2, 2, 1]);
  choice.saw({ shape: [], ranks: [], draftMs: 0, verifyMs: 10 });
  assert.equal(choice.expectedTokens([2, 2, 2, 1]), before);
  choice.saw({ shape: [2], ranks: [], draftMs: 1, verifyMs: 10 });
  // 0 right of 1, beside what was taken for granted: 0.5 of the first node, 0.15 of what it misses of the second
  const one = (2 * 0.5) / 3;
  const two = (2 * (1 - 0.85 * (1 - one))) / 3;
  assert.ok(Math.abs(choice.expectedTokens([1]) - (1 + one)) < 1e-12);
  assert.ok(Math.abs(choice.expectedTokens([2]) - (1 + two)) < 1e-12);
  // a level below is taken to be as good as the one above
  assert.ok(Math.abs(choice.expectedTokens([2, 1]) - (1 + two + two * one)) < 1e-12);
});
