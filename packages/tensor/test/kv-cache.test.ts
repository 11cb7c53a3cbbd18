import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  cachedAttention,
  type DeviceArray,
  type InputSpec,
  KvCache,
  keepOnDevice,
  maskedAttention,
  type NdArray,
  ndarray,
  openDevice,
  scaledDotProductAttention,
  Tensor,
  TensorError,
  toNumbers,
} from '@working-papers/tensor';
import { normal } from './cases/case.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const [heads, kvHeads, dim] = [4, 2, 3];

const rows = (shape: readonly number[], seed: number): NdArray => ndarray(normal(shape, seed).data, shape);

const keep = await device.compile(
  (k, v) => ({ keys: keepOnDevice(k.mul(1)), values: keepOnDevice(v.mul(1)) }),
  {
    inputs: [{ shape: [2, 'n', kvHeads, dim] }, { shape: [2, 'n', kvHeads, dim] }],
  },
);

const view = (chunk: number): { readonly keys: InputSpec; readonly values: InputSpec } => ({
  keys: { shape: ['chunks', kvHeads, chunk, dim + 1] },
  values: { shape: ['chunks', kvHeads, dim, chunk] },
});

/** One masked softmax over all keys: what the cache has in order, and the queries' own. */
async function reference(
  q: NdArray,
  k: NdArray,
  v: NdArray,
  allowed: (query: number, key: number) => boolean,
): Promise<number[]> {
  const [t, s] = [q.shape[0]!, k.shape[0]!];
  const mask = ndarray(
    Array.from({ length: t * s }, (_, i) => Number(allowed(Math.floor(i / s), i % s))),
    [t, s],
    'bool',
  );
  const run = await device.compile(
    (q, k, v, mask) =>
      scaledDotProductAttention(q.transpose([1, 0, 2]), k.transpose([1, 0, 2]), v.transpose([1, 0, 2]), {
        mask,
      }).transpose([1, 0, 2]),
    { inputs: [q, k, v, mask] as const },
  );
  const result = toNumbers(await run(q, k, v, mask));
  await run.dispose();
  return result;
}

const part = (array: NdArray, from: number, to: number): NdArray => {
  const size = kvHeads * dim;
  return ndarray((array.data as Float32Array).slice(from * size, to * size), [to - from, kvHeads, dim]);
};

/** Both layers hold the same rows. */
async function onDevice(array: NdArray): Promise<{ keys: DeviceArray; values: DeviceArray }> {
  const [n] = array.shape;
  const twice = ndarray([...toNumbers(array), ...toNumbers(array)], [2, n!, kvHeads, dim]);
  return keep(twice, twice);
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

test('attention to chunks and to own keys is one masked softmax over all of them', async () => {
  for (const [cachedCount, own, scale] of [
    [0, 1, 1],
    [3, 1, 1],
    [4, 5, 1],
    [11, 7, 1],
    [9, 4, 40], // all the weight on one key
  ] as const) {
    const [q, k, v] = [
      rows([own, heads, dim], 1),
      rows([cachedCount + own, kvHeads, dim], 2),
      rows([cachedCount + own, kvHeads, dim], 3),
    ];
    (q.data as Float32Array).forEach((value, i) => {
      q.data[i] = value * scale;
    });
    // a tree: every row sees itself and row 0
    const tree = (query: number, key: number) => key === query || key === 0;
    const cache = await KvCache.create(device, { layers: 2, kvHeads, headDim: dim, capacity: 16, chunk: 4 });
    const [keys, values] = [await onDevice(k), await onDevice(v)];
    await cache.append(keys.keys, values.values, [...Array(cachedCount).keys()]);
    assert.equal(cache.length, cachedCount);
    const attend = await device.compile(
      (q, cached, k, v, bias) =>
        [cachedAttention, maskedAttention].flatMap((attention) =>
          (['few', 'many', 'any'] as const).map((queries) =>
            attention(q, cached, { keys: k, values: v, bias }, queries),
          ),
        ),
      {
        inputs: [
          { shape: ['t', heads, dim] },
          view(4),
          { shape: ['t', kvHeads, dim] },
          { shape: ['t', kvHeads, dim] },
          { shape: ['t', 't'] },
        ],
      },
    );
    const bias = ndarray(
      Array.from({ length: own * own }, (_, i) => (tree(i % own, Math.floor(i / own)) ? 0 : -1e30)),
      [own, own],
    );
    const results = await attend(
      q,
      cache.view(1),
      part(k, cachedCount, cachedCount + own),
      part(v, cachedCount, cachedCount + own),
      bias,
    );
    const expected = await reference(
      q,
      k,
      v,
      (query, key) => key < cachedCount || tree(query, key - cachedCount),
    );
    for (const actual of results.map(toNumbers))
      assert.ok(distance(actual, expected) < 1e-5, `${cachedCount} + ${own}: ${distance(actual, expected)}`);
    await attend.dispose();
    await cache.dispose();
  }
});

const attendCached = (bias: boolean) =>
  device.compile((q, cached, b) => cachedAttention(q, bias ? { ...cached, bias: b } : cached), {
    inputs: [{ shape: ['t', heads, dim] }, view(4), { shape: [4, 't'] }],
  });

test('rows can be picked, put in their places, overwritten and forgotten', async () => {
  const cache = await KvCache.create(device, { layers: 2, kvHeads, headDim: dim, capacity: 12, chunk: 4 });
  const [q, k] = [rows([2, heads, dim], 4), rows([8, kvHeads, dim], 5)];
  const { keys, values } = await onDevice(k);
  const attend = await attendCached(false);
  const attended = async () =>
    toNumbers(await attend(q, cache.view(0), ndarray(new Float32Array(8), [4, 2])));
  const from = async (...order: number[]) => {
    const picked = ndarray(
      order.flatMap((i) => toNumbers(part(k, i, i + 1))),
      [order.length, kvHeads, dim],
    );
    return reference(q, picked, picked, () => true);
  };
  await cache.append(keys, values, [0, 5, 2]);
  assert.ok(distance(await attended(), await from(0, 5, 2)) < 1e-5);
  await cache.append(keys, values, [7, 1, 3]);
  assert.deepEqual(cache.view(0).keys.shape, [2, kvHeads, 4, dim + 1]);
  assert.ok(distance(await attended(), await from(0, 5, 2, 7, 1, 3)) < 1e-5);
  await cache.truncate(2);
  assert.ok(distance(await attended(), await from(0, 5)) < 1e-5);
  await cache.write({ keys, values, rows: [6, 4], places: [1, 3] });
  assert.equal(cache.length, 4);
  assert.ok(distance(await attended(), await from(0, 6, 4)) < 1e-5, 'place 2 is empty');
});

test('a bias hides places of the cache from single queries', async () => {
  const cache = await KvCache.create(device, { layers: 2, kvHeads, headDim: dim, capacity: 4, chunk: 4 });
  const [q, k] = [rows([2, heads, dim], 4), rows([4, kvHeads, dim], 5)];
  const { keys, values } = await onDevice(k);
  await cache.append(keys, values, [0, 1, 2, 3]);
  const attend = await attendCached(true);
  const allowed = (query: number, key: number) => (query === 0 ? key < 2 : key > 0);
  const bias = ndarray(
    Array.from({ length: 8 }, (_, i) => (allowed(i % 2, i >> 1) ? 0 : -1e30)),
    [4, 2],
  );
  const actual = toNumbers(await attend(q, cache.view(0), bias));
  assert.ok(distance(actual, await reference(q, k, k, allowed)) < 1e-5);
});

test('what does not fit is refused', async () => {
  const cache = await KvCache.create(device, { layers: 2, kvHeads, headDim: dim, capacity: 4, chunk: 4 });
  const { keys, values } = await onDevice(rows([5, kvHeads, dim], 5));
  await assert.rejects(cache.append(keys, values, [0, 1, 2, 3, 4]), /place 4 of a cache of 4/);
  await assert.rejects(cache.append(keys, values, [5]), /row 5 of 5/);
  await assert.rejects(cache.truncate(1), /truncate to 1 of 0/);
  await assert.rejects(KvCache.create(device, { layers: 0, kvHeads, headDim: dim, capacity: 4 }), /layers 0/);
  const input = (shape: readonly number[]) =>
    new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
  const cached = { keys: input([1, 2, 4, 4]), values: input([1, 2, 3, 4]) };
  assert.throws(() => cachedAttention(input([1, 3, 3]), cached), TensorError);
  assert.throws(() => cachedAttention(input([1, 4, 5]), cached), /heads of 5 elements/);
  await cache.dispose();
  await assert.rejects(cache.append(keys, values, [0]), /disposed/);
});
