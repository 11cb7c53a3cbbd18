import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import {
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  gradients,
  lower,
  maxPool,
  ndarray,
  type Provider,
  Tensor,
  TensorError,
  toNumbers,
} from '../src/index.ts';
import { distinct, normal } from './cases/case.ts';
import { forwardCases, gradientCases } from './cases/pool.ts';
import { checkGradient, cpu, runCases } from './check.ts';
import { decodeModel, typesOf } from './reference/onnx.ts';

runCases({ gradientCases, forwardCases });

function input(shape: readonly (number | string)[]): Tensor {
  return new Tensor({ shape, dtype: 'float32' }, { kind: 'input', name: 'x' });
}

test('of equal elements the first gets the whole gradient', async () => {
  const device = await cpu();
  for (const pool of [(x: Tensor) => maxPool(x, 2), (x: Tensor) => adaptiveMaxPool(x, 2)]) {
    const f = await device.compile((x) => gradients(pool(x).sum(), [x]), {
      inputs: [{ shape: [1, 1, 4, 4] }],
    });
    const [g] = await f(ndarray([1, 1, 0, 0, 1, 1, 0, 0, 2, 3, 3, 2, 3, 3, 2, 2], [1, 1, 4, 4]));
    assert.deepEqual(toNumbers(g!), [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    await f.dispose();
  }
  const uneven = await device.compile((x) => gradients(adaptiveMaxPool(x, 2).sum(), [x]), {
    inputs: [{ shape: [1, 1, 3] }],
  });
  const [g] = await uneven(ndarray([5, 5, 5], [1, 1, 3]));
  assert.deepEqual(toNumbers(g!), [1, 1, 0]);
  await uneven.dispose();
});

test('adaptive bins are those of PyTorch', async () => {
  const device = await cpu();
  const f = await device.compile((x) => [adaptiveAveragePool(x, 3), adaptiveMaxPool(x, 3)], {
    inputs: [{ shape: [1, 1, 7] }],
  });
  // bins 0–2, 2–4, 4–6
  const [average, max] = (await f(ndarray([1, 2, 3, 9, 5, 6, 7], [1, 1, 7]))).map(toNumbers);
  assert.deepEqual(
    average!.map((v) => Math.round(v * 1e4) / 1e4),
    [2, 5.6667, 6],
  );
  assert.deepEqual(max, [3, 9, 7]);
  await f.dispose();
});

test('adaptive pooling with uneven and with repeated bins has gradients of both orders', async () => {
  await checkGradient('adaptiveAveragePool', (x) => adaptiveAveragePool(x!, [3, 2]), [normal([2, 2, 5, 7])], {
    secondOrder: true,
  });
  await checkGradient('adaptiveAveragePool', (x) => adaptiveAveragePool(x!, [5, 4]), [normal([1, 2, 3, 2])]);
  await checkGradient('adaptiveMaxPool', (x) => adaptiveMaxPool(x!, [3, 2]), [distinct([2, 2, 5, 7])], {
    secondOrder: true,
  });
  await checkGradient('adaptiveMaxPool', (x) => adaptiveMaxPool(x!, 4), [distinct([1, 2, 6])]);
});

test('free batch and spatial sizes', async () => {
  const device = await cpu();
  const f = await device.compile(
    (x) => [maxPool(x, 3, { stride: 2, padding: 1 }), averagePool(x, 2), x.globalAveragePool()],
    {
      inputs: [{ shape: ['batch', 2, 'height', 'width'] }],
    },
  );
  const x = ndarray(
    Array.from({ length: 2 * 2 * 5 * 4 }, (_, i) => i),
    [2, 2, 5, 4],
  );
  const [max, average, mean] = await f(x);
  assert.deepEqual(max!.shape, [2, 2, 3, 2]);
  assert.deepEqual(toNumbers(max!).slice(0, 6), [5, 7, 13, 15, 17, 19]);
  assert.deepEqual(average!.shape, [2, 2, 2, 2]);
  assert.deepEqual(toNumbers(average!).slice(0, 4), [2.5, 4.5, 10.5, 12.5]);
  assert.deepEqual(toNumbers(mean!), [9.5, 29.5, 49.5, 69.5]);
  await f.dispose();
});

test('indices are computed only where a gradient reads them', () => {
  const x = input([1, 1, 4, 4]);
  const y = maxPool(x, 2);
  const outputsIn = (results: readonly Tensor[]) =>
    decodeModel(lower(results).bytes)
      .graph.node.filter((node) => node.opType === 'MaxPool')
      .map((node) => node.output.length);
  assert.deepEqual(outputsIn([y]), [1]);
  assert.deepEqual(outputsIn(gradients(y.sum(), [x])), [2]);
  assert.deepEqual(outputsIn([y, ...gradients(y.sum(), [x])]), [2]);
  assert.deepEqual(typesOf(lower([y], { provider: 'webgpu' }).bytes), ['MaxPool']);
});

test("WebGPU's nodes for the indices give MaxPool's own", async () => {
  const x = distinct([2, 3, 5, 6]);
  const data = new ort.Tensor('float32', Float32Array.from(x.data), [...x.shape]);
  for (const options of [
    {},
    { stride: 2, padding: 1 },
    { stride: [1, 2], dilation: [2, 1], padding: [0, 1] },
  ]) {
    const symbol = input(x.shape);
    const [g] = gradients(maxPool(symbol, 3, options).sumSquares(), [symbol]);
    const run = async (provider: Provider) => {
      const session = await ort.InferenceSession.create(lower([g!], { provider }).bytes);
      return (await session.run({ x: data })).out0!.data;
    };
    assert.deepEqual(await run('webgpu'), await run('cpu'));
  }
});

test('windows that do not fit are refused', () => {
  const refuses = (run: () => unknown, message: RegExp) =>
    assert.throws(run, (error) => error instanceof TensorError && message.test(error.message));
  const x = input([1, 2, 4, 4]);
  refuses(() => maxPool(x, 5), /maxPool \[1,2,4,4\]: the kernel 5,5 .* is larger than padded axis 2/);
  refuses(() => maxPool(x, 3, { dilation: 2 }), /with dilation 2,2 is larger/);
  refuses(() => maxPool(x, 2, { padding: 2 }), /padding 2 is more than half the kernel 2/);
  refuses(() => averagePool(x, [2, 0]), /kernel 2,0 is not 2 integers of at least 1/);
  refuses(() => averagePool(x, 2, { stride: 0 }), /stride 0,0/);
  refuses(() => maxPool(input([2, 4]), 2), /must be \[N, C, L\] or \[N, C, H, W\]/);
  refuses(() => adaptiveAveragePool(x, 0), /output size 0,0/);
  refuses(() => adaptiveAveragePool(input([1, 2, 'h', 4]), 2), /is free/);
});
