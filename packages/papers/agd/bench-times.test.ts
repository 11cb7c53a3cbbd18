import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pieces, timeInTurns } from './bench-times.ts';

test('works take turns piece by piece, and each is charged for its own pieces alone', async () => {
  let clock = 0;
  const order: string[] = [];
  const work =
    (name: string, pieces: number, each: number): Pieces =>
    async (next) => {
      for (let i = 0; i < pieces; i++) {
        if (i > 0) await next();
        order.push(`${name}${i}`);
        await new Promise((done) => setTimeout(done, 1)); // the others must not begin meanwhile
        clock += each;
        order.push(`${name}${i} ends`);
      }
    };
  const spent = await timeInTurns([work('a', 3, 10), work('b', 1, 100), work('c', 2, 1)], () => clock);
  assert.deepEqual(spent, [30, 100, 2]);
  assert.deepEqual(
    order,
    ['a0', 'b0', 'c0', 'a1', 'c1', 'a2'].flatMap((piece) => [piece, `${piece} ends`]),
  );
});

test('a work that fails ends the measurement with its reason', async () => {
  const fails: Pieces = async (next) => {
    await next();
    throw new RangeError('the denoiser gave NaN');
  };
  const goes: Pieces = async (next) => {
    for (let i = 0; i < 5; i++) await next();
  };
  await assert.rejects(timeInTurns([goes, fails]), /the denoiser gave NaN/);
});
