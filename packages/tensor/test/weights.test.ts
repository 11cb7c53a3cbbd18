import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndarray, openDevice, Parameter, toNumbers } from '@working-papers/tensor';

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
