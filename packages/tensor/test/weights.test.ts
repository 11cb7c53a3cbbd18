import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type FileArray, ndarray, openDevice, Parameter, toNumbers } from '@working-papers/tensor';
import { encodeModel } from '../src/onnx.ts';

const folder = await realpath(await mkdtemp(join(tmpdir(), 'weights-')));
after(() => rm(folder, { recursive: true }));

test('each parameter that becomes part of a model keeps its own value', async () => {
  await using device = await openDevice({ threads: 1 });
  const [a, b, c] = [new Parameter([2]), new Parameter([2]), new Parameter([2])];
  const store = await device.store(new Map([[c, ndarray([100, 200])]]));
  const f = await device.compile((x) => x.mul(a).add(b).add(c), {
    inputs: [{ shape: [2] }] as const,
    weights: new Map([
      [a, ndarray([2, 3])],
      [b, ndarray([10, 20])],
    ]),
    store,
  });
  assert.deepEqual(toNumbers(await f(ndarray([1, 1]))), [112, 223]);
});

test('weights that lie in a file give what the same weights in memory give', async () => {
  await using device = await openDevice({ threads: 1 });
  // numbers that halves hold exactly
  const values = Array.from({ length: 12 }, (_, i) => (i - 5) / 4);
  const bits = {
    float32: Float32Array.from(values),
    float16: Uint16Array.from(values, (value) => {
      const [word] = new Uint32Array(Float32Array.of(value).buffer);
      const exponent = (word! >>> 23) & 255;
      return (
        ((word! >>> 16) & 0x8000) | (value === 0 ? 0 : ((exponent - 112) << 10) | ((word! >>> 13) & 1023))
      );
    }),
    bfloat16: Uint16Array.from(values, (value) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16),
  };
  const [w, b] = [new Parameter([4, 3]), new Parameter([4])];
  const bias = ndarray([1, 2, 3, 4]);
  const run = async (matrix: FileArray | ReturnType<typeof ndarray>) => {
    const f = await device.compile((x) => x.linear(w, b), {
      inputs: [{ shape: ['rows', 3] }] as const,
      weights: new Map<Parameter, FileArray | ReturnType<typeof ndarray>>([
        [w, matrix],
        [b, bias],
      ]),
    });
    return toNumbers(await f(ndarray([1, 2, 3, -1, 0.5, 4], [2, 3])));
  };
  const expected = await run(ndarray(values, [4, 3]));
  for (const stored of ['float32', 'float16', 'bfloat16'] as const) {
    const { buffer } = bits[stored];
    const path = join(folder, stored);
    await writeFile(path, Buffer.concat([Buffer.alloc(20), Buffer.from(buffer as ArrayBuffer)]));
    const file: FileArray = { dtype: 'float32', shape: [4, 3], stored, path, offset: 20 };
    assert.deepEqual(await run(file), expected, stored);
    await assert.rejects(run({ ...file, offset: 24 }), /out of bounds/, 'past the end');
    await assert.rejects(run({ ...file, path: join(folder, 'nothing') }), /nothing/);
  }
});

test('weights of one function lie in one folder', async () => {
  await using device = await openDevice({ threads: 1 });
  const [a, b] = [new Parameter([1]), new Parameter([1])];
  const file = (path: string): FileArray => ({
    dtype: 'float32',
    shape: [1],
    stored: 'float32',
    path,
    offset: 0,
  });
  const weights = new Map([
    [a, file('/one/w')],
    [b, file('/two/w')],
  ]);
  await assert.rejects(
    device.compile((x) => x.mul(a).add(b), { inputs: [{ shape: [1] }], weights }),
    /weights lie in several folders, one is possible: \/one, \/two/,
  );
});

test('more weights than a model holds are refused with what to do', () => {
  const part = ndarray(new Float32Array(2 ** 20));
  const initializers = new Map(Array.from({ length: 513 }, (_, i) => [`w${i}`, part]));
  assert.throws(
    () => encodeModel({ name: 'large', nodes: [], inputs: [], outputs: [], initializers }),
    /the weights of 'large' are 2\.0 GB, and one ONNX model holds less than 2 GB/,
  );
});
