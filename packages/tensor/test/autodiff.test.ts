import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  constant,
  grad,
  gradients,
  lower,
  ndarray,
  type Tensor,
  toNumbers,
  valueAndGrad,
  where,
} from '../src/index.ts';
import { cpu } from './check.ts';
import { input } from './symbols.ts';

/** The values of f at the given vectors, on the device. */
async function run(f: (...inputs: Tensor[]) => Tensor[], ...inputs: number[][]): Promise<number[][]> {
  const device = await cpu();
  const specs = inputs.map((data) => ({ shape: [data.length] }));
  const compiled = await device.compile((list) => f(...list), { inputs: [specs] });
  const results = await compiled(inputs.map((data) => ndarray(data)));
  await compiled.dispose();
  return results.map((result) => toNumbers(result));
}

test('inputs that the output does not depend on get zeros in their shape', async () => {
  const results = await run((x, y) => gradients(x!.mul(x!).sum(), [y!, x!]), [1, 2], [5, 6, 7]);
  assert.deepEqual(results, [
    [0, 0, 0],
    [2, 4],
  ]);
});

test('integers, comparisons and conditions carry no gradient', async () => {
  const results = await run(
    (x) => {
      const steps = x!
        .floor()
        .mul(x!)
        .add(x!.greater(1).cast('float32'))
        .add(x!.cast('int32').cast('float32'));
      return gradients(where(x!.greater(1), steps, 0).sum(), [x!]);
    },
    [0.5, 2.5, 3.5],
  );
  assert.deepEqual(results, [[0, 2, 3]]);
});

test('gradients from several uses add up', async () => {
  const results = await run((x) => gradients(x!.mul(x!).add(x!).add(x!.mul(3)).sum(), [x!]), [1, 2]);
  assert.deepEqual(results, [[6, 8]]);
});

test('stopGradient makes a constant of its input', async () => {
  const results = await run(
    (x) => {
      const y = x!.mul(x!.stopGradient());
      return [y, ...gradients(y.sum(), [x!])];
    },
    [3, 4],
  );
  assert.deepEqual(results, [
    [9, 16],
    [3, 4],
  ]);
});

test('a seed is the gradient that arrives', async () => {
  const results = await run((x, seed) => gradients(x!.mul(x!), [x!], seed!), [1, 2, 3], [1, 0, -1]);
  assert.deepEqual(results, [[2, 0, -6]]);
});

test('gradients of inner values stop there and still reach the input', async () => {
  const results = await run(
    (x) => {
      const inner = x!.mul(2);
      return gradients(inner.mul(inner).sum(), [inner, x!]);
    },
    [1, 2],
  );
  assert.deepEqual(results, [
    [4, 8],
    [8, 16],
  ]);
});

test('an output that is itself the input has the gradient 1', async () => {
  const device = await cpu();
  const f = await device.compile((x) => gradients(x, [x])[0]!, { inputs: [{ shape: [] }] });
  assert.deepEqual(toNumbers(await f(ndarray([4], []))), [1]);
});

test('gradients of gradients of gradients', async () => {
  const results = await run(
    (x) => {
      const [first] = gradients(x!.pow(4).sum(), [x!]);
      const [second] = gradients(first!.sum(), [x!]);
      const [third] = gradients(second!.sum(), [x!]);
      return [first!, second!, third!];
    },
    [1, 2],
  );
  assert.deepEqual(results, [
    [4, 32],
    [12, 48],
    [24, 48],
  ]);
});

test('grad and valueAndGrad differentiate for every argument', async () => {
  const results = await run(
    (x, y) => {
      const f = (a: Tensor, b: Tensor): Tensor => a.mul(b).sum();
      const both = valueAndGrad(f)(x!, y!);
      return [...grad(f)(x!, y!), both.value.reshape([1]), ...both.gradients];
    },
    [1, 2],
    [3, 4],
  );
  assert.deepEqual(results, [[3, 4], [1, 2], [11], [3, 4], [1, 2]]);
});

test('a chain of 20,000 nodes has a gradient and a model', () => {
  const x = input([1]);
  let y: Tensor = x;
  for (let i = 0; i < 20_000; i++) y = y.sin();
  const [slope] = gradients(y.sum(), [x]);
  assert.ok(lower([slope!]).nodeCount > 40_000);
});

test('a wide graph: 2,000 uses of one tensor', async () => {
  const results = await run(
    (x) => {
      let sum: Tensor = constant(0);
      for (let i = 1; i <= 2000; i++) sum = sum.add(x!.mul(i));
      return gradients(sum.sum(), [x!]);
    },
    [1],
  );
  assert.deepEqual(results, [[2_001_000]]);
});

test('an output that is no scalar needs a seed, and a seed must fit', () => {
  const x = input([2, 3]);
  assert.throws(
    () => gradients(x, [x]),
    /gradients: float32\[2,3\] is not a scalar: reduce it \(sum, mean\) or give a seed/,
  );
  assert.throws(
    () => gradients(x, [x], input([3], 's')),
    /the seed float32\[3\] has not the shape and dtype of float32\[2,3\]/,
  );
  assert.throws(() => gradients(x, [x], input([2, 3], 's', 'float64')), /seed float64\[2,3\]/);
});

test('only what depends on the inputs asked for is differentiated', () => {
  const [x, y] = [input([2]), input([2], 'y')];
  const loss = x.mul(2).add(y.erf()).sum();
  const [slope] = gradients(loss, [x]);
  assert.ok(lower([slope!]).nodeCount <= 4);
  assert.deepEqual([...lower([slope!]).inputs], []);
});
