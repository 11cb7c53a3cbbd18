import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { philox, Random } from './random.ts';

test('Philox4x32-10 gives the known answers of the Random123 distribution (kat_vectors)', () => {
  const ones = 0xffffffff;
  assert.deepEqual(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  assert.deepEqual(
    philox([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  assert.deepEqual(
    philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

test('a seed opens its stream at block 0', () => {
  const random = new Random(0);
  assert.deepEqual([random.uint32(), random.uint32()], [0x6627e8d5, 0xe169c58d]);
});

test('a restored state goes on exactly, through JSON', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(50), (seed, draws) => {
      const random = new Random(seed);
      for (let i = 0; i < draws; i++) random.uint32();
      const restored = new Random(JSON.parse(JSON.stringify(random.state())));
      for (let i = 0; i < 9; i++) assert.equal(restored.uint32(), random.uint32());
      assert.equal(restored.normal(), random.normal());
    }),
  );
});

test('forks depend on seed and label only, and differ from each other', () => {
  const random = new Random(7);
  const before = random.fork('dropout').uint32();
  random.normals(100);
  assert.equal(random.fork('dropout').uint32(), before);
  const labels = ['', 'a', 'b', 'a\0', 'longer than eight bytes', 'longer than eight bytez', 0, 1, 2 ** 40];
  const firsts = [random.uint32(), ...labels.map((label) => random.fork(label).uint32())];
  assert.equal(new Set(firsts).size, firsts.length);
  assert.notEqual(random.fork(1).fork(2).uint32(), random.fork(2).fork(1).uint32());
});

test('uniform numbers are uniform and normal numbers normal', () => {
  const random = new Random(1);
  const uniforms = random.uniforms(100_000, -1, 3);
  assert.ok(uniforms.every((x) => x >= -1 && x < 3));
  assert.ok(Math.abs(mean(uniforms) - 1) < 0.02);
  const normals = random.normals(100_001, 2, 0.5);
  assert.ok(Math.abs(mean(normals) - 2) < 0.01);
  assert.ok(Math.abs(mean(normals.map((x) => (x - 2) ** 2)) - 0.25) < 0.005);
  assert.ok(Math.abs(mean(normals.map((x) => (x - 2) ** 3))) < 0.01, 'skewness');
  assert.ok(Math.abs(mean(normals.map((x) => (x - 2) ** 4)) - 3 * 0.25 ** 2) < 0.01, 'kurtosis');
});

test('integers are within range and even, chi-squared over 10 cells', () => {
  const random = new Random(3);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[random.integer(10)]!++;
  const chiSquared = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assert.ok(chiSquared < 27.9, `chi-squared ${chiSquared}, 9 degrees of freedom, p > 0.001`);
  assert.ok(random.integer(2 ** 32) < 2 ** 32);
  assert.equal(random.integer(1), 0);
});

test('a permutation holds every number once, and every first element is about as frequent', () => {
  assert.deepEqual(
    new Random(2).permutation(1000).toSorted(),
    Uint32Array.from({ length: 1000 }, (_, i) => i),
  );
  const random = new Random(4);
  const firsts = new Array<number>(5).fill(0);
  for (let i = 0; i < 5000; i++) firsts[random.permutation(5)[0]!]!++;
  assert.ok(firsts.every((count) => Math.abs(count - 1000) < 130));
});

test('bad seeds, labels and ends are refused', () => {
  assert.throws(() => new Random(-1), /seed -1/);
  assert.throws(() => new Random(0.5), /seed 0.5/);
  assert.throws(() => new Random(0).fork(-1), /label -1/);
  assert.throws(() => new Random(0).integer(0), RangeError);
});

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
