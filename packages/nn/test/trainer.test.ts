import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NdArray, ndarray, ones, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { Dropout, DropPath } from '../src/dropout.ts';
import { BatchNorm, Linear, Sequential } from '../src/layers.ts';
import { mse } from '../src/losses.ts';
import { initialize, Module, stateDict, traceInference, Weight } from '../src/module.ts';
import { adamW, type Optimizer, sgd } from '../src/optimizers.ts';
import { type Batch, DivergedError, Trainer, type TrainerOptions } from '../src/trainer.ts';
import { assertClose, noise, testDevice } from './helpers.ts';

const device = await testDevice();

const spec = (size: number) => ({ x: { shape: [size, 3] }, y: { shape: [size, 2] } });
type Spec = ReturnType<typeof spec>;

class Net extends Module {
  readonly first = new Linear(3, 8);
  readonly drop: Dropout;
  readonly second = new Linear(8, 2);

  constructor(p = 0) {
    super();
    this.drop = new Dropout(p);
  }

  forward(x: Tensor): Tensor {
    return this.second.forward(this.drop.forward(this.first.forward(x).tanh()));
  }
}

function create(size: number, options: Partial<TrainerOptions<Spec>> & { p?: number } = {}) {
  const model = new Net(options.p);
  return Trainer.create({
    device,
    model,
    batch: spec(size),
    optimizer: sgd({ momentum: 0.9 }),
    seed: 1,
    loss: ({ x, y }) => ({ loss: mse(model.forward(x), y) }),
    ...options,
  });
}

const part = (size: number, seed: number) => ({ x: noise([size, 3], seed), y: noise([size, 2], seed + 500) });

/** Several batches as one. */
function joined(parts: readonly { x: NdArray; y: NdArray }[]) {
  const join = (key: 'x' | 'y') => parts.flatMap((each) => toNumbers(each[key]));
  const size = parts.reduce((sum, { x }) => sum + x.shape[0]!, 0);
  return { x: ndarray(join('x'), [size, 3]), y: ndarray(join('y'), [size, 2]) };
}

async function modelState(trainer: { state(): Promise<{ tensors: ReadonlyMap<string, NdArray> }> }) {
  const { tensors } = await trainer.state();
  return new Map([...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer)]));
}

test('a loss falls, and arrays of a batch are told apart by name, not by order', async () => {
  const trainer = await create(16);
  const { x, y } = part(16, 1);
  const losses: number[] = [];
  for (let i = 0; i < 60; i++) losses.push((await trainer.train(i % 2 ? { x, y } : { y, x }, 0.05)).loss!);
  assert.ok(losses.at(-1)! < 0.5 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`);
  await assert.rejects(trainer.train({ x }, 0.1), /a batch has x, y, got x$/);
  await assert.rejects(trainer.train({ x, y, z: y }, 0.1), /got x, y, z/);
  await assert.rejects(trainer.train({ x, y: ndarray([1]) }, 0.1), /float32\[16,2\], got float32\[1\]/);
  assert.equal(trainer.step, 60);
  await trainer.dispose();
});

test('four accumulated batches are one batch four times as large', async () => {
  for (const optimizer of [sgd({ momentum: 0.9 }), adamW()] as Optimizer[]) {
    const small = await create(4, { optimizer, accumulate: 4, clipNorm: 0.5 });
    const large = await create(16, { optimizer, clipNorm: 0.5 });
    for (let step = 0; step < 3; step++) {
      const parts = [0, 1, 2, 3].map((i) => part(4, 10 * step + i));
      const metrics: { loss?: number; gradientNorm?: number }[] = [];
      for (const each of parts) metrics.push(await small.train(each, 0.05));
      const whole = await large.train(joined(parts), 0.05);
      assertClose([metrics.reduce((sum, { loss }) => sum + loss! / 4, 0)], [whole.loss!], 1e-6);
      assertClose([metrics[3]!.gradientNorm!], [whole.gradientNorm!], 1e-6);
      assert.equal(metrics[2]!.gradientNorm, undefined);
      assert.equal(small.step, step + 1);
    }
    const [a, b] = [(await small.state()).tensors, (await large.state()).tensors];
    assert.deepEqual([...a.keys()], [...b.keys()]);
    for (const [name, value] of a) assertClose(toNumbers(value), toNumbers(b.get(name)!), 1e-6);
    await small.dispose();
    await large.dispose();
  }
});

test('in the middle of an accumulation there is no state, and loading one starts it anew', async () => {
  const trainer = await create(4, { accumulate: 2 });
  const start = await trainer.state();
  await trainer.train(part(4, 1), 0.1);
  await assert.rejects(trainer.state(), /in the middle of accumulated batches/);
  await trainer.load(start);
  await trainer.train(part(4, 2), 0.1);
  await trainer.train(part(4, 3), 0.1);
  const after = await modelState(trainer);
  const fresh = await create(4, { accumulate: 2 });
  await fresh.train(part(4, 2), 0.1);
  await fresh.train(part(4, 3), 0.1);
  assert.deepEqual(after, await modelState(fresh));
  await trainer.dispose();
  await fresh.dispose();
});

for (const emaRamp of [false, true])
  test(`the moving average is decay · average + (1 − decay) · weights, buffers included${emaRamp ? ', its decay rising' : ''}`, async () => {
    const decays = emaRamp ? [2 / 11, 0.2, 0.2, 0.2] : [0.7, 0.7, 0.7, 0.7];
    const model = new Sequential(new Linear(3, 2), new BatchNorm(2));
    const trainer = await Trainer.create({
      device,
      model,
      batch: spec(8),
      optimizer: sgd(),
      seed: 2,
      ema: emaRamp ? 0.2 : 0.7,
      emaRamp,
      loss: ({ x, y }) => ({ loss: mse(model.forward(x), y) }),
    });
    const read = async (kind: 'now' | 'ema') => stateDict(model, await trainer.weights(kind));
    const average = new Map([...(await read('now'))].map(([name, value]) => [name, toNumbers(value)]));
    for (let step = 0; step < 4; step++) {
      await trainer.train(part(8, step), 0.1);
      for (const [name, value] of await read('now')) {
        const now = toNumbers(value);
        average.set(
          name,
          average.get(name)!.map((old, i) => decays[step]! * old + (1 - decays[step]!) * now[i]!),
        );
      }
    }
    for (const [name, value] of await read('ema')) assertClose(toNumbers(value), average.get(name)!, 1e-6);
    assert.notDeepEqual(await read('ema'), await read('now'));
    await trainer.dispose();
    const without = await create(4);
    await assert.rejects(without.weights('ema'), /keeps no moving average/);
    await without.dispose();
  });

test('frozen weights stay as they are, bit for bit, also under weight decay', async () => {
  const trainer = await create(8, {
    optimizer: adamW({ weightDecay: 0.5 }),
    trainable: (name) => !name.startsWith('first.'),
  });
  const before = await modelState(trainer);
  for (let step = 0; step < 3; step++) await trainer.train(part(8, step), 0.1);
  const after = await modelState(trainer);
  for (const [name, bytes] of after) {
    if (name.startsWith('model.'))
      assert.equal(bytes.equals(before.get(name)!), name.includes('first'), name);
  }
  assert.ok(![...after.keys()].some((name) => name.startsWith('optimizer.first')));
  assert.deepEqual(trainer.settings.frozen, ['first.weight', 'first.bias']);
  await trainer.dispose();
  await assert.rejects(create(8, { trainable: () => false }), /nothing to train/);
});

test('a network below that is not the model’s is part of the graph, neither moved nor saved', async () => {
  const below = new Linear(3, 3);
  const model = new Linear(3, 2);
  const frozen = initialize(below, 9);
  const trainer = await create(8, {
    model,
    frozen,
    loss: ({ x, y }) => ({ loss: mse(model.forward(below.forward(x)), y) }),
  });
  const first = await trainer.train(part(8, 1), 0.1);
  let last = first;
  for (let step = 0; step < 30; step++) last = await trainer.train(part(8, 1), 0.1);
  assert.ok(last.loss! < first.loss!);
  const { tensors } = await trainer.state();
  assert.deepEqual(
    [...tensors.keys()].filter((name) => name.startsWith('model.')),
    ['model.weight', 'model.bias'],
  );
  assert.deepEqual(frozen, initialize(below, 9));
  await trainer.dispose();
});

test('a teacher traced as inference neither drops, nor uses nor moves the statistics of the batch', async () => {
  class Distilled extends Module {
    readonly teacher = new Sequential(new Linear(3, 2), new BatchNorm(2), new Dropout(0.5));
    readonly student = new Linear(3, 2);
  }
  const model = new Distilled();
  const weights = initialize(model, 3);
  const trainer = await Trainer.create({
    device,
    model,
    batch: { x: { shape: [8, 3] } },
    optimizer: sgd(),
    seed: 3,
    trainable: (name) => name.startsWith('student'),
    loss: ({ x }) => {
      const goal = traceInference(() => model.teacher.forward(x)).stopGradient();
      return { loss: mse(model.student.forward(x), goal), goal: goal.sum() };
    },
  });
  const x = noise([8, 3], 1);
  const before = await modelState(trainer);
  const { goal } = await trainer.train({ x }, 0.1);
  const after = await modelState(trainer);
  const infer = await device.compile((t) => model.teacher.forward(t).sum(), {
    inputs: [{ shape: [8, 3] }],
    weights,
  });
  assertClose([goal!], toNumbers(await infer(x)), 1e-6);
  for (const [name, bytes] of after)
    if (name.startsWith('model.teacher')) assert.ok(bytes.equals(before.get(name)!), name);
  await infer.dispose();
  await trainer.dispose();
});

test('dropout drops a share p and scales the rest, anew in every step, alike for the same seed', async () => {
  class Drops extends Module {
    readonly unit = new Weight([1], (shape) => ndarray([1], shape));
    readonly one = new Dropout(0.25);
    readonly two = new Dropout(0.25);
    readonly path = new DropPath(0.5);
  }
  const run = async (seed: number) => {
    const model = new Drops();
    const trainer = await Trainer.create({
      device,
      model,
      batch: {},
      optimizer: sgd(),
      seed,
      loss: () => {
        const x = ones([100, 40]).mul(model.unit);
        const [a, b] = [model.one.forward(x), model.two.forward(x)];
        const samples = model.path.forward(x);
        return {
          loss: a.mean(),
          different: a.sub(b).abs().mean(),
          kept: samples.mean(-1).div(2).mean(),
          torn: samples.max(-1).sub(samples.min(-1)).sum(),
        };
      },
    });
    const metrics: { [name: string]: number }[] = [];
    for (let step = 0; step < 3; step++) metrics.push(await trainer.train({}, 0));
    await trainer.dispose();
    return metrics;
  };
  const metrics = await run(1);
  for (const { loss, different, kept, torn } of metrics) {
    // standard deviation of a mean of 4,000 values that are 0 or 4/3: 0.009
    assert.ok(Math.abs(loss! - 1) < 0.045, `mean ${loss}`);
    assert.ok(Math.abs(different! - 2 * 0.25 * 0.75 * (4 / 3)) < 0.05, `two dropouts differ by ${different}`);
    assert.ok(Math.abs(kept! - 0.5) < 0.25, `kept ${kept}`);
    assert.equal(torn, 0);
  }
  assert.equal(new Set(metrics.map(({ loss }) => loss)).size, 3);
  assert.deepEqual(await run(1), metrics);
  assert.notDeepEqual(await run(2), metrics);
});

test('the same seed and threads give the same weights, bit for bit', async () => {
  for (const threads of [1, 2]) {
    await using own = await openDevice({ provider: 'cpu', threads });
    const run = async (seed: number) => {
      const trainer = await create(32, { device: own, seed, p: 0.2, optimizer: adamW(), ema: 0.9 });
      for (let step = 0; step < 5; step++) await trainer.train(part(32, step), 0.01);
      return modelState(trainer);
    };
    assert.deepEqual(await run(1), await run(1));
    assert.notDeepEqual(await run(1), await run(2));
  }
});

test('state and load: another trainer goes on where the first one was', async () => {
  const options = { p: 0.3, optimizer: adamW(), ema: 0.9 };
  const first = await create(8, options);
  for (let step = 0; step < 3; step++) await first.train(part(8, step), 0.01);
  const state = await first.state();
  const second = await create(8, { ...options, weights: new Map() });
  await second.load(state);
  assert.equal(second.step, 3);
  for (const trainer of [first, second]) await trainer.train(part(8, 3), 0.01);
  assert.deepEqual(await modelState(first), await modelState(second));
  await first.dispose();
  await second.dispose();
});

test('the state of another model, optimiser or average is refused, and changes nothing', async () => {
  const trainer = await create(8);
  const before = await modelState(trainer);
  for (const options of [{ ema: 0.9 }, { optimizer: adamW() }, { optimizer: sgd() }]) {
    const other = await create(8, options);
    const error = { name: 'NameMismatchError', message: /^a\.safetensors: .*(missing|unexpected)/ };
    await assert.rejects(trainer.load({ ...(await other.state()), step: 7 }, 'a.safetensors'), error);
    await other.dispose();
  }
  assert.equal(trainer.step, 0);
  assert.deepEqual(await modelState(trainer), before);
  await trainer.dispose();
});

test('pretrained weights come in through options, the rest is initialised', async () => {
  const model = new Net();
  const trainer = await create(8, { model, weights: new Map([[model.first.weight, noise([8, 3], 77)]]) });
  const { tensors } = await trainer.state();
  assert.deepEqual(toNumbers(tensors.get('model.first.weight')!), toNumbers(noise([8, 3], 77)));
  const fresh = stateDict(model, initialize(model, 1));
  assert.deepEqual(tensors.get('model.second.weight')!.data, fresh.get('second.weight')!.data);
  await trainer.dispose();
});

test('a loss that is not finite ends the run and names the step and the figures', async () => {
  const trainer = await create(8);
  await trainer.train(part(8, 1), 0.1);
  const bad: Batch = { ...part(8, 2), y: ndarray(new Float32Array(16).fill(Number.NaN), [8, 2]) };
  await assert.rejects(trainer.train(bad, 0.1), (error: Error) => {
    assert.ok(error instanceof DivergedError);
    assert.equal(error.step, 2);
    assert.equal(error.message, 'training diverged at step 2: loss NaN');
    return true;
  });
  await trainer.dispose();
});

test('weights that are not finite are no state to go on from', async () => {
  const trainer = await create(8);
  await trainer.train(part(8, 1), Number.POSITIVE_INFINITY);
  await assert.rejects(trainer.state(), /^DivergedError: training diverged at step 1: model\.\S+ \S+$/);
  await trainer.dispose();
});

test('options that make no sense are refused', async () => {
  await assert.rejects(create(8, { accumulate: 0 }), /accumulate 0 is not 1 or more/);
  await assert.rejects(create(8, { accumulate: 1.5 }), /accumulate 1.5/);
});
