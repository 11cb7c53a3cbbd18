import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  batchNorm,
  conv,
  gather,
  lower,
  type NdArray,
  ndarray,
  nonZero,
  openDevice,
  Parameter,
  Tensor,
  toNumbers,
} from '../src/index.ts';
import { uniform } from './cases/case.ts';

const device = await openDevice({ provider: 'cpu', threads: 2 });
after(() => device.close());

const weights = new Map<Parameter, NdArray>();
function weight(shape: readonly number[], low = -1, high = 1): Parameter {
  const parameter = new Parameter(shape);
  weights.set(parameter, ndarray(uniform(shape, low, high, weights.size + 1).data, shape));
  return parameter;
}

/** A convolution and its normalisation. */
function layer(channels: number, out: number, kernel: number, stride = 1, biased = false) {
  const scale = 1 / Math.sqrt(channels * kernel * kernel);
  const w = weight([out, channels, kernel, kernel], -scale, scale);
  const bias = biased ? weight([out]) : undefined;
  const [gain, shift, mean, variance] = [weight([out]), weight([out]), weight([out]), weight([out], 0.5, 2)];
  const options = { stride, padding: kernel >> 1 };
  return (x: Tensor) => batchNorm(conv(x, w, bias, options), gain, shift, mean, variance);
}

const stem = layer(3, 16, 3, 1, true);
const [first, second] = [layer(16, 16, 3), layer(16, 16, 3, 1, true)];
const [down, across] = [layer(16, 32, 3, 2), layer(16, 32, 1, 2)];
const [last, odd] = [layer(32, 48, 3), layer(48, 20, 1)];

/**
 * What the pass meets: residuals that are blocked, plain, sampled and convolved themselves; a sum of two sizes, a value added to
 * itself; means with and without their axes; a layer whose channels fill no block; values read in both layouts.
 */
function network(x: Tensor, pick: (h: Tensor) => Tensor) {
  const a = stem(x).relu(); // (n, 16, H, W)
  const b = pick(second(first(a).relu()).add(a).relu()); // (m, 16, H, W)
  const half = b.slice(2, 0, undefined, 2);
  const quarter = half.slice(3, 0, undefined, 2);
  const sampled = quarter.pad([[1, 8, 8]]);
  const c = down(b).add(sampled).relu(); // (m, 32, H/2, W/2)
  const d = across(b).add(down(b)).relu();
  const pooled = d.mean([2, 3], { keepDims: true });
  const e = last(c.add(d));
  return {
    ...{ b, c, e, pooled, odd: odd(e.relu()), means: b.mean([2, 3]), all: c.mean([1, 2, 3]) },
    // sampled and padded otherwise than by whole steps and zero channels, and read in the plain layout
    ...{
      half: half.neg(),
      quarter,
      sampled,
      odds: b.slice(2, 1, undefined, 2),
      ones: quarter.pad([[1, 8, 8]], { value: 1 }),
    },
    ...{
      more: b.pad([[1, 0, 16]]),
      edges: b.pad([
        [1, 8, 8],
        [2, 1, 1],
      ]),
      few: b.slice(2, 0, 4, 2),
      some: b.pad([[1, 4, 4]]),
    },
    ...{ wide: d.add(pooled), twice: e.add(e), negative: c.relu().neg() },
  };
}

/** The same with weights that only the run knows, which stays in the plain layout. */
async function compare(f: (x: Tensor) => Record<string, Tensor>, batches: readonly NdArray[]): Promise<void> {
  const inputs = [{ shape: ['n', 3, 8, 6] }] as const;
  const blocked = await device.compile(f, { inputs, weights });
  const store = await device.store(weights);
  const plain = await device.compile(f, { inputs, store });
  for (const x of batches) {
    const [actual, expected] = [await blocked(x), await plain(x)];
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(actual[name]!.shape, value.shape, name);
      const wanted = toNumbers(value);
      toNumbers(actual[name]!).forEach((number, i) => {
        assert.ok(Math.abs(number - wanted[i]!) < 2e-5, `${name}[${i}]: ${number}, expected ${wanted[i]}`);
      });
    }
  }
  await Promise.all([blocked.dispose(), plain.dispose(), store.dispose()]);
}

/** Pictures [n, 3, 8, 6], those whose sign is positive with a positive mean. */
function pictures(signs: readonly number[]): NdArray {
  const shape = [signs.length, 3, 8, 6];
  const noise = uniform(shape, -1, 1, 5 + signs.length).data;
  return ndarray(
    Float32Array.from(noise, (value, i) => value + signs[Math.floor(i / 144)]!),
    shape,
  );
}

test('convolutions with known weights are blocked where rows are taken out', () => {
  const x = new Tensor({ shape: ['n', 3, 8, 6], dtype: 'float32' }, { kind: 'input', name: 'x' });
  const rows = nonZero(x.mean([1, 2, 3]).greater(0), 'm');
  const outputs = [first(gather(stem(x).relu(), rows))];
  const reorders = (channelBlock?: number): boolean =>
    Buffer.from(lower(outputs, { weights, channelBlock }).bytes).includes('com.microsoft.nchwc');
  assert.deepEqual([reorders(16), reorders()], [true, false]);
});

test('a shortcut that samples positions and adds channels of zeros is one convolution', () => {
  const x = new Tensor({ shape: ['n', 3, 8, 6], dtype: 'float32' }, { kind: 'input', name: 'x' });
  const h = stem(x).relu();
  const shortcut = h
    .slice(2, 0, undefined, 2)
    .slice(3, 0, undefined, 2)
    .pad([[1, 8, 8]]);
  const bytes = Buffer.from(lower([down(h).add(shortcut)], { weights, channelBlock: 16 }).bytes);
  assert.deepEqual(
    ['com.microsoft.nchwc', 'Slice', 'Pad'].map((name) => bytes.includes(name)),
    [true, false, false],
  );
});

test('rows are taken out between blocked convolutions', async () => {
  await compare(
    (x) => {
      const rows = nonZero(x.mean([1, 2, 3]).greater(0), 'm');
      return network(x, (h) => gather(h, rows));
    },
    [[1, -1, 1, 1, -1], [-1, -1], [1, 1, 1], [1], []].map(pictures),
  );
});

test('twice, and by an axis that is not the batch', async () => {
  await compare(
    (x) => {
      const score = x.mean([1, 2, 3]);
      const rows = nonZero(score.greater(-1.5), 'm');
      const fewer = nonZero(gather(score, rows).greater(0), 'fewer');
      const h = first(gather(stem(x).relu(), rows)).relu();
      const columns = nonZero(h.mean([0, 1, 2]).greater(0), 'columns');
      return { h, less: second(gather(h, fewer)).relu(), columns: gather(h, columns, 3) };
    },
    [[1, -2, -1, 1], [-2, -1], [2]].map(pictures),
  );
});

test('a network without chosen rows', async () => {
  await compare((x) => network(x, (h) => h), [[1, 1, -1], [1], []].map(pictures));
});
