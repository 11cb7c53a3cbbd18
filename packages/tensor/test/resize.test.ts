import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constant, gridSample, ndarray, resize2d, Tensor, TensorError, toNumbers } from '../src/index.ts';
import { forwardCases, gradientCases } from './cases/resize.ts';
import { cpu, runCases } from './check.ts';

runCases({ gradientCases, forwardCases });

function input(shape: readonly (number | string)[], name = 'x'): Tensor {
  return new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name });
}

test('a row of PyTorch: interpolate of [1, 2, 4] to 6', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x) => ({
      nearest: resize2d(x, { size: [1, 6] }),
      edges: resize2d(x, { size: [1, 6], mode: 'bilinear' }),
      corners: resize2d(x, { size: [1, 5], mode: 'bilinear', alignCorners: true }),
    }),
    { inputs: [{ shape: [1, 1, 1, 3] }] },
  );
  const { nearest, edges, corners } = await f(ndarray([1, 2, 4], [1, 1, 1, 3]));
  assert.deepEqual(toNumbers(nearest), [1, 1, 2, 2, 4, 4]);
  assert.deepEqual(toNumbers(edges), [1, 1.25, 1.75, 2.5, 3.5, 4]);
  assert.deepEqual(toNumbers(corners), [1, 1.5, 2, 3, 4]);
  await f.dispose();
});

test('free dimensions: twice and half the size', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x) => [
      resize2d(x, { scale: 2 }),
      resize2d(x, { scale: 2, mode: 'bilinear' }),
      resize2d(x, { scale: 0.5 }),
    ],
    { inputs: [{ shape: ['batch', 1, 'height', 'width'] }] },
  );
  const [nearest, bilinear, half] = await f(ndarray([1, 2, 3, 4, 5, 6], [1, 1, 2, 3]));
  assert.deepEqual(nearest!.shape, [1, 1, 4, 6]);
  assert.deepEqual(toNumbers(nearest!).slice(0, 12), [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
  assert.deepEqual(toNumbers(bilinear!).slice(0, 6), [1, 1.25, 1.75, 2.25, 2.75, 3]);
  assert.deepEqual(half!.shape, [1, 1, 1, 1]);
  assert.deepEqual(toNumbers(half!), [1]);
  await f.dispose();
});

test('a grid of pixel centres reads the image itself', async () => {
  const device = await cpu();
  const centres = [-0.75, -0.25, 0.25, 0.75];
  const grid = ndarray(
    centres.flatMap((y) => centres.flatMap((x) => [x, y])),
    [1, 4, 4, 2],
  );
  const image = Array.from({ length: 16 }, (_, i) => i * i);
  const f = await device.compile((x) => gridSample(x, constant(grid)), { inputs: [{ shape: [1, 1, 4, 4] }] });
  assert.deepEqual(toNumbers(await f(ndarray(image, [1, 1, 4, 4]))), image);
  await f.dispose();
});

test('sizes and grids that make no sense are refused', () => {
  const refuses = (run: () => unknown, message: RegExp) =>
    assert.throws(run, (error) => error instanceof TensorError && message.test(error.message));
  const x = input([1, 2, 4, 4]);
  refuses(() => resize2d(x, {}), /resize2d \[1,2,4,4\]: give a size or a scale/);
  refuses(() => resize2d(x, { size: [2, 2], scale: 2 }), /give a size or a scale/);
  refuses(() => resize2d(x, { scale: -1 }), /scale -1 is not positive/);
  refuses(() => resize2d(x, { scale: 0.1 }), /cannot make 4×4 into 0×0/);
  refuses(() => resize2d(x, { size: [2, 2], alignCorners: true }), /alignCorners is for bilinear/);
  refuses(() => resize2d(input([1, 2, 'h', 4]), { scale: 1.5 }), /a free axis needs a whole factor/);
  refuses(() => gridSample(x, input([2, 3, 3, 2])), /gridSample \[1,2,4,4\] x \[2,3,3,2\]: needs x/);
});
