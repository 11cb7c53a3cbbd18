import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addDims,
  broadcastShapes,
  canonical,
  concrete,
  type Dim,
  divDims,
  evaluateDim,
  floorDivDim,
  mulDims,
  productOf,
  subDims,
} from '../src/dims.ts';

const names = ['batch', 'past', 'tokens', 'x_1'];
const values = new Map(names.map((name, i) => [name, [3, 7, 5, 2][i]!]));
const evaluated = (dim: Dim): number => evaluateDim(dim, values);

/** Dimensions as programs make them: sums, differences and products of names and numbers. */
const dims: fc.Arbitrary<Dim> = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.integer({ min: -9, max: 9 }),
    fc.constantFrom(...names),
    fc.tuple(tie('dim'), tie('dim')).map(([a, b]) => addDims(a, b)),
    fc.tuple(tie('dim'), tie('dim')).map(([a, b]) => subDims(a, b)),
    fc.tuple(tie('dim'), tie('dim')).map(([a, b]) => mulDims(a, b)),
    fc.tuple(tie('dim'), fc.integer({ min: 2, max: 5 })).map(([a, n]) => floorDivDim(a, n)),
  ),
})).dim;

/** The same text or number; a zero has no sign here. */
function same(a: Dim | undefined, b: Dim | undefined): void {
  assert.ok(a === b, `${a} is not ${b}`);
}

test('addition and multiplication are commutative and associative, to the letter', () => {
  fc.assert(
    fc.property(dims, dims, dims, (a, b, c) => {
      same(addDims(a, b), addDims(b, a));
      same(mulDims(a, b), mulDims(b, a));
      same(addDims(addDims(a, b), c), addDims(a, addDims(b, c)));
      same(mulDims(mulDims(a, b), c), mulDims(a, mulDims(b, c)));
    }),
  );
});

test('multiplication distributes over addition, and differences cancel', () => {
  fc.assert(
    fc.property(dims, dims, dims, (a, b, c) => {
      same(mulDims(a, addDims(b, c)), addDims(mulDims(a, b), mulDims(a, c)));
      same(subDims(addDims(a, b), b), a);
      same(subDims(a, a), 0);
    }),
  );
});

test('the canonical text is a fixed point, and parses to the same value', () => {
  fc.assert(
    fc.property(dims, (a) => {
      same(canonical(a), a);
      if (typeof a === 'string') same(canonical(` ${a.replaceAll('+', ' + ')} `), a);
    }),
  );
});

test('values of sums, products and floors are sums, products and floors of values', () => {
  fc.assert(
    fc.property(dims, dims, fc.integer({ min: 1, max: 6 }), (a, b, n) => {
      same(evaluated(addDims(a, b)), evaluated(a) + evaluated(b));
      same(evaluated(subDims(a, b)), evaluated(a) - evaluated(b));
      same(evaluated(mulDims(a, b)), evaluated(a) * evaluated(b));
      same(evaluated(floorDivDim(a, n)), Math.floor(evaluated(a) / n));
    }),
  );
});

test('division by a product undoes multiplication', () => {
  const products = fc.constantFrom<Dim>(1, 2, 12, 'batch', '3*past', 'batch*tokens', '2*batch*batch');
  fc.assert(
    fc.property(dims, products, (a, b) => {
      same(divDims(mulDims(a, b), b), a);
    }),
  );
});

test('division that is not exact is refused', () => {
  assert.equal(divDims('batch', 2), undefined);
  assert.equal(divDims('4*batch+2', 4), undefined);
  assert.equal(divDims('batch+past', 'batch'), undefined);
  assert.equal(divDims(7, 2), undefined);
  assert.equal(divDims(8, 0), undefined);
  assert.equal(divDims(0, 0), undefined);
  assert.equal(divDims('batch', 0), undefined);
  assert.equal(divDims('batch', 'batch+past'), undefined);
  assert.equal(divDims('batch+past', 'batch+past'), 1);
  assert.equal(divDims(6, 3), 2);
});

test('what a user writes has one form', () => {
  assert.equal(canonical('tokens + past'), 'past+tokens');
  assert.equal(canonical('2*past+past'), '3*past');
  assert.equal(canonical('past*64'), '64*past');
  assert.equal(canonical('1 + past - 1'), 'past');
  assert.equal(canonical('-past+batch'), 'batch-past');
  assert.equal(canonical('past-past+4'), 4);
  assert.equal(canonical('0*past'), 0);
  for (const text of ['', '2.5', 'a/b', 'a b c!', '*a', 'a*', '3a', 'past+']) {
    assert.throws(() => canonical(text), /is not a dimension|must be/, `'${text}'`);
  }
  assert.throws(() => canonical(2.5), /must be an integer/);
});

test('broadcasting follows NumPy for numbers, and a name meets only itself or 1', () => {
  const shapes = fc.array(fc.constantFrom(1, 2, 3, 0), { maxLength: 4 });
  fc.assert(
    fc.property(shapes, shapes, (a, b) => {
      const out = broadcastShapes(a, b);
      assert.deepEqual(out, broadcastShapes(b, a));
      const rank = Math.max(a.length, b.length);
      const pairs = Array.from({ length: rank }, (_, i) =>
        [a.at(i - rank), b.at(i - rank)].map((d, j) => (rank - i > [a, b][j]!.length ? 1 : d!)),
      );
      const fits = pairs.every(([x, y]) => x === y || x === 1 || y === 1);
      assert.equal(out !== undefined, fits);
      if (out)
        assert.deepEqual(
          out,
          pairs.map(([x, y]) => (x === 1 ? y : x)),
        );
    }),
  );
  assert.deepEqual(broadcastShapes(['batch', 1], [4]), ['batch', 4]);
  assert.deepEqual(broadcastShapes([1], ['batch']), ['batch']);
  assert.equal(broadcastShapes(['batch'], ['past']), undefined);
  assert.equal(broadcastShapes(['batch'], [4]), undefined);
});

test('products and free dimensions', () => {
  assert.equal(productOf([]), 1);
  assert.equal(productOf(['batch', 2, 'batch']), '2*batch*batch');
  assert.deepEqual(concrete([1, 2]), [1, 2]);
  assert.throws(() => concrete([1, 'batch'], 'conv'), /conv needs fixed dimensions, but 'batch' is free/);
  assert.throws(() => evaluateDim('nobody', values), /dimension 'nobody' has no value/);
});
