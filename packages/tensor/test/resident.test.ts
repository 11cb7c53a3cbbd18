import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DeviceArray, gather, keepOnDevice, ndarray, openDevice, toNumbers } from '@working-papers/tensor';

const device = await openDevice({ threads: 1 });
after(() => device.close());

const rows = { shape: ['n', 3] } as const;

test('a kept result goes from function to function and matches one graph of both', async () => {
  const first = await device.compile((x) => ({ kept: [keepOnDevice(x.mul(2))], sum: x.sum() }), {
    inputs: [rows],
  });
  const second = await device.compile((h, keep) => gather(h, keep, 0).add(1), {
    inputs: [rows, { shape: ['k'], dtype: 'int32' }],
  });
  const x = ndarray([1, 2, 3, 4, 5, 6], [2, 3]);
  const { kept, sum } = await first(x);
  const h = kept[0]!;
  assert.ok(h instanceof DeviceArray);
  assert.deepEqual([h.shape, h.dtype], [[2, 3], 'float32']);
  assert.deepEqual(toNumbers(sum), [21]);
  const y = await second(h, ndarray([1], [1], 'int32'));
  assert.deepEqual(
    [y.shape, toNumbers(y)],
    [
      [1, 3],
      [9, 11, 13],
    ],
  );
  // it is still there, for another reader and for us
  assert.deepEqual(toNumbers(await second(h, ndarray([0], [1], 'int32'))), [3, 5, 7]);
  assert.deepEqual(toNumbers(await h.read()), [2, 4, 6, 8, 10, 12]);
  h.dispose();
});

test('results of two calls do not share memory, and neither do a result and its copy', async () => {
  const double = await device.compile((x) => keepOnDevice(x.mul(2)), { inputs: [rows] });
  const one = await double(ndarray([1, 1, 1], [1, 3]));
  const two = await double(ndarray([5, 5, 5], [1, 3]));
  const copy = await one.read();
  (copy.data as Float32Array).fill(0);
  assert.deepEqual(toNumbers(await one.read()), [2, 2, 2]);
  assert.deepEqual(toNumbers(await (await double(two)).read()), [20, 20, 20]);
});

test('no rows are an array too', async () => {
  const double = await device.compile((x) => keepOnDevice(x.mul(2)), { inputs: [rows] });
  const none = await double(ndarray([], [0, 3]));
  assert.deepEqual(none.shape, [0, 3]);
  assert.deepEqual((await none.read()).shape, [0, 3]);
});

test('an array can be disposed of while a call that reads it is under way, and not used after', async () => {
  const double = await device.compile((x) => keepOnDevice(x.mul(2)), { inputs: [rows] });
  const h = await double(ndarray([1, 2, 3], [1, 3]));
  const pending = double(h);
  h.dispose();
  h.dispose();
  assert.deepEqual(toNumbers(await (await pending).read()), [4, 8, 12]);
  await assert.rejects(double(h), /argument 0 was disposed of/);
  await assert.rejects(h.read(), /disposed/);
});

test('shape, dtype and device of an argument are checked as those of any other', async () => {
  const make = await device.compile((x) => keepOnDevice(x.sum(1)), { inputs: [rows] });
  const double = await device.compile((x) => x.mul(2), { inputs: [rows] });
  const vector = await make(ndarray([1, 2, 3], [1, 3]));
  await assert.rejects(double(vector), /argument 0 must be float32\[n,3\], got float32\[1\]/);
  const other = await openDevice({ threads: 1 });
  const negative = await other.compile((x) => x.neg(), { inputs: [{ shape: ['n'] }] });
  await assert.rejects(negative(vector), /argument 0 lies on another device/);
  await other.close();
});

test('an array of a closed device can be disposed of', async () => {
  const short = await openDevice({ threads: 1 });
  const keep = await short.compile((x) => keepOnDevice(x.mul(2)), { inputs: [rows] });
  const h = await keep(ndarray([1, 2, 3], [1, 3]));
  const later = await keep(ndarray([1, 2, 3], [1, 3]));
  // freed while the device closes: its answer finds nobody waiting
  later.dispose();
  await short.close();
  h.dispose();
});
