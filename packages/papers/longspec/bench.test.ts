import assert from 'node:assert/strict';
import { test } from 'node:test';
import { benchPrompt, distinctNgrams } from './bench.ts';

const documents = [300, 90, 250].map((length, d) =>
  Int32Array.from({ length }, (_, i) => 1000 * (d + 1) + i),
);
const text = { name: 'prose', documents };
const prompt = (context: number, number: number, contexts?: readonly number[]) =>
  benchPrompt(text, context, number, 7, contexts);

test('prompts of a number end at the same place at every length, begin with the token, and differ by number', () => {
  const ends = new Set<number>();
  for (let number = 0; number < 6; number++) {
    const [short, long] = [50, 200].map((context) => prompt(context, number, [50, 200])!) as [
      number[],
      number[],
    ];
    assert.deepEqual([short.length, long.length, short[0], long[0]], [50, 200, 7, 7]);
    assert.deepEqual(short.slice(1), long.slice(-49));
    assert.deepEqual(short, prompt(50, number, [50, 200]));
    for (let i = 2; i < 200; i++) assert.equal(long[i], long[i - 1]! + 1);
    ends.add(long.at(-1)!);
  }
  assert.equal(ends.size, 6);
});

test('a length that no document has is none, and keeps the others from nothing', () => {
  assert.equal(prompt(301, 0, [50, 301]), undefined);
  assert.equal(prompt(50, 0, [50, 301])!.length, 50);
  // 299 tokens of 300: from the first or the second on
  assert.ok([1000, 1001].includes(prompt(300, 0)![1]!));
});

test('different n-grams among all', () => {
  assert.equal(distinctNgrams([1, 2, 1, 2, 1, 2], 2), 2 / 5);
  assert.equal(distinctNgrams([1, 2, 3], 4), 1);
});
