import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { halfToNumber, ndarray, numberToHalf, toNumbers, zerosArray } from '../src/array.ts';

test('every half survives the way to a number and back', () => {
  for (let bits = 0; bits < 2 ** 16; bits++) {
    const value = halfToNumber(bits);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(halfToNumber(numberToHalf(value))));
    else assert.equal(numberToHalf(value), bits);
  }
});

test('numbers round to the nearest half, ties to even, as Float16Array does', () => {
  interface Halves {
    of(value: number): ArrayLike<number>;
  }
  const { Float16Array: halves } = globalThis as unknown as { Float16Array?: Halves };
  if (!halves) return; // Node 22
  const nearest = (value: number): number => halves.of(value)[0]!;
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      assert.ok(Object.is(halfToNumber(numberToHalf(value)), nearest(value)), `${value}`);
    }),
    { numRuns: 5000 },
  );
  for (const value of [
    65504,
    65519.99,
    65520,
    2 ** -24,
    2 ** -25,
    1.5 * 2 ** -24,
    2.5 * 2 ** -24,
    2 ** -14,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
  ]) {
    assert.equal(halfToNumber(numberToHalf(value)), nearest(value), `${value}`);
  }
});

test('arrays convert numbers, take ready storage as it is, and refuse wrong lengths', () => {
  const data = Float32Array.of(1, 2);
  assert.equal(ndarray(data).data, data);
  assert.deepEqual(ndarray([1, 2], [2], 'int64').data, BigInt64Array.of(1n, 2n));
  assert.deepEqual(toNumbers(ndarray([1, 2], [2], 'int64')), [1, 2]);
  assert.deepEqual(toNumbers(zerosArray([2, 0])), []);
  assert.throws(() => ndarray([1, 2, 3], [2]), /needs 2 elements, got 3/);
});
