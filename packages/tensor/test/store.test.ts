import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndarray, Parameter, type Tensor, toNumbers } from '../src/index.ts';
import { cpu, refuses } from './check.ts';

test('a store is read, written and updated in place', async () => {
  const device = await cpu();
  const [a, b, stranger] = [new Parameter([2]), new Parameter([]), new Parameter([1])];
  const store = await device.store(
    new Map([
      [a, ndarray([1, 2])],
      [b, ndarray([3], [])],
    ]),
  );
  const step = await device.compileStep(
    (x) => ({ outputs: { before: a, sum: a.add(x) }, updates: new Map([[a as Parameter, a.add(x).mul(b)]]) }),
    { inputs: [{ shape: [2] }], store },
  );
  const numbers = async (parameter: Parameter): Promise<number[]> =>
    toNumbers((await store.read([parameter])).get(parameter)!);
  const first = await step(ndarray([1, 1]));
  assert.deepEqual(
    [toNumbers(first.before), toNumbers(first.sum)],
    [
      [1, 2],
      [2, 3],
    ],
  );
  assert.deepEqual(await numbers(a), [6, 9]);
  assert.deepEqual(await numbers(b), [3], 'what is not updated stays');
  await step(ndarray([0, 1]));
  assert.deepEqual(await numbers(a), [18, 30]);

  await store.write(new Map([[a, ndarray([0, 5])]]));
  const third = await step(ndarray([1, 0]));
  assert.deepEqual(toNumbers(third.before), [0, 5]);
  assert.deepEqual(await numbers(a), [3, 15]);

  const copy = (await store.read()).get(a)!;
  copy.data.fill(0 as never);
  assert.deepEqual(await numbers(a), [3, 15], 'what was read is a copy');

  await refuses(() => store.read([stranger]), /a parameter float32\[1\] is not in the store/);
  await refuses(
    () => store.write(new Map([[a, ndarray([1])]])),
    'a parameter float32[2] cannot hold float32[1]',
  );
  await refuses(
    () =>
      device.compileStep(() => ({ outputs: [], updates: new Map([[a, b as Tensor]]) }), {
        inputs: [],
        store,
      }),
    'the update of a parameter float32[2] is float32[]',
  );
  await refuses(
    () => device.compile(() => stranger.neg(), { inputs: [] }),
    /a parameter float32\[1\] has no value: give weights or a store/,
  );
  await refuses(
    () => device.compile(() => stranger.neg(), { inputs: [], store }),
    /a parameter float32\[1\] is not in the store/,
  );
});

test('parameters that start as one array go their own ways', async () => {
  const device = await cpu();
  const [a, b] = [new Parameter([2]), new Parameter([2])];
  const start = ndarray([1, 2]);
  const store = await device.store(
    new Map([
      [a, start],
      [b, start],
    ]),
  );
  const step = await device.compileStep(
    () => ({
      outputs: [],
      updates: new Map<Parameter, Tensor>([
        [a, a.add(1)],
        [b, b.mul(2)],
      ]),
    }),
    { inputs: [] as const, store },
  );
  for (let i = 0; i < 3; i++) await step();
  const values = await store.read();
  assert.deepEqual(toNumbers(values.get(a)!), [4, 5]);
  assert.deepEqual(toNumbers(values.get(b)!), [8, 16]);
  assert.deepEqual(toNumbers(start), [1, 2]);
});

test('two functions share one store, and swaps of parameters are simultaneous', async () => {
  const device = await cpu();
  const [a, b] = [new Parameter([1]), new Parameter([1])];
  const store = await device.store(
    new Map([
      [a, ndarray([1])],
      [b, ndarray([10])],
    ]),
  );
  const swap = await device.compileStep(
    () => ({
      outputs: [],
      updates: new Map([
        [a, b as Tensor],
        [b, a as Tensor],
      ]),
    }),
    { inputs: [], store },
  );
  const look = await device.compile(() => [a.mul(1), b.add(0), a], { inputs: [], store });
  const seen = async (): Promise<number[]> => (await look()).flatMap((value) => toNumbers(value));
  await swap();
  assert.deepEqual(await seen(), [10, 1, 10]);
  await swap();
  await swap();
  assert.deepEqual(await seen(), [10, 1, 10]);
  const grow = await device.compileStep(() => ({ outputs: [], updates: new Map([[a, a.add(1)]]) }), {
    inputs: [],
    store,
  });
  await Promise.all([grow(), grow(), grow(), grow()]);
  assert.deepEqual(await seen(), [14, 1, 14], 'calls made together run one after another');
});
