import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { T2tVit } from '@working-papers/models/t2t-vit';
import { initialize } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { type NdArray, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { exitOf, JeiDnn } from './model.ts';
import { type EarlyExitRunner, openRunner, type RunnerOptions } from './runner.ts';
import { tinyWeights } from './test/tiny.ts';
import { loadModel } from './weights.ts';

const classes = 5;
const exitCount = 6;
const device = await openDevice({ threads: 1 });
let runner: EarlyExitRunner;
/** Every exit in one graph: what the chain of graphs must give. */
let reference: (images: NdArray) => Promise<{ logits: number[][]; g: number[][] }>;
const { model, values } = await spreadGates();

/** The tiny model with gates that open, each for a quarter of random pictures: every exit gets its share. */
async function spreadGates() {
  const { model, values } = loadModel(tinyWeights(), 0.1);
  const changed = new Map(values);
  const random = new Random(3);
  for (const { linear } of model.gates) {
    changed.set(linear.weight, ndarray(random.normals(4, 0, 50), [1, 4]));
    changed.set(linear.bias!, ndarray([0], [1]));
  }
  const logits = await device.compile((x) => model.forward(x).gates, {
    inputs: [{ shape: ['n', 3, 16, 16] }] as const,
    weights: changed,
  });
  const scores = rowsOf(toNumbers(await logits(pictures(64, 6))), exitCount - 1);
  for (const [l, { linear }] of model.gates.entries()) {
    const sorted = scores.map((row) => row[l]!).sort((a, b) => b - a);
    changed.set(linear.bias!, ndarray([-sorted[16]!], [1]));
  }
  return { model, values: changed };
}

function open(options: Partial<RunnerOptions> = {}): Promise<EarlyExitRunner> {
  return openRunner({ device, model, values, imageSize: 16, ...options });
}

function pictures(count: number, seed = 1): NdArray {
  return ndarray(new Random(seed).normals(count * 768), [count, 3, 16, 16]);
}

/** Gates that all have this bias and nothing else. */
function gatesOf(bias: number) {
  const changed = new Map(values);
  for (const gate of model.gates) {
    changed.set(gate.linear.weight, ndarray([0, 0, 0, 0], [1, 4]));
    changed.set(gate.linear.bias!, ndarray([bias], [1]));
  }
  return changed;
}

before(async () => {
  runner = await open();
  const compiled = await device.compile(
    (x) => {
      const { logits, gates } = model.forward(x);
      return { logits, g: gates.sigmoid() };
    },
    { inputs: [{ shape: ['n', 3, 16, 16] }] as const, weights: values },
  );
  reference = async (images) => {
    const { logits, g } = await compiled(images);
    return { logits: logits.map(toNumbers), g: rowsOf(toNumbers(g), exitCount - 1) };
  };
});
after(() => device.close());

function rowsOf(values: readonly number[], size: number): number[][] {
  return Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
}

function near(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${what}: ${a}, expected ${b}`);
  }
}

for (const count of [1, 7, 256]) {
  test(`graph by graph, with rows taken out, gives the one graph's answers in order: batch ${count}`, async () => {
    const images = pictures(count);
    const { logits, g } = await reference(images);
    const result = await runner.run(images);
    for (let i = 0; i < count; i++) {
      const exit = exitOf(g[i]!);
      assert.equal(result.exits[i], exit, `picture ${i}`);
      const expected = rowsOf(logits[exit]!, classes)[i]!;
      near(result.logits.slice(i * classes, (i + 1) * classes), expected, `picture ${i}`);
      assert.deepEqual(
        result.steps[i]!.map((step) => step.exit),
        Array.from({ length: exit + 1 }, (_, l) => l),
      );
      near(
        result.steps[i]!.flatMap(({ gate }) => (gate ? [gate.g] : [])),
        g[i]!.slice(0, exit + 1),
        `gates of picture ${i}`,
      );
    }
    // each graph computed those that had not left before it, and no others
    const reached = Array.from(
      { length: exitCount },
      (_, l) => result.exits.filter((exit) => exit >= l).length,
    );
    assert.deepEqual(
      result.rows,
      reached.filter((rows) => rows > 0),
    );
    if (count === 256)
      assert.ok(new Set(result.exits).size === exitCount, `exits ${[...new Set(result.exits)]}`);
  });
}

test('fused graphs, batches rounded up, small batches and no compaction change no answer', async () => {
  const images = pictures(41, 2);
  const plain = await runner.run(images);
  const others = [
    [{ graphs: 2 }, {}],
    [{ graphs: 1 }, {}],
    [{ buckets: true }, {}],
    [{ batchSize: 7 }, {}],
    [{}, { compaction: false }],
  ] as const;
  for (const [how, options] of others) {
    const other = await open(how);
    const result = await other.run(images, options);
    const name = JSON.stringify([how, options]);
    assert.deepEqual(result.exits, plain.exits, name);
    near(result.logits, plain.logits, name);
    await other.dispose();
  }
  const all = await runner.run(images, { compaction: false });
  assert.deepEqual(all.rows, Array(exitCount).fill(41));
});

test('gates off is the backbone bit for bit, and gates that never open agree with it', async () => {
  const images = pictures(5, 3);
  const backbone = await device.compile((x) => model.backbone.forward(x), {
    inputs: [{ shape: ['n', 3, 16, 16] }] as const,
    weights: values,
  });
  const expected = toNumbers(await backbone(images));
  const off = await runner.run(images, { gates: false });
  assert.deepEqual([...off.logits], expected);
  assert.deepEqual([...off.exits], Array(5).fill(exitCount - 1));
  const closed = await open({ values: gatesOf(-40) });
  let result = off;
  const calls = await callsDuring(async () => {
    result = await closed.run(images);
  });
  assert.equal(calls, exitCount);
  near(result.logits, expected, 'closed gates');
  assert.deepEqual(result.rows, Array(exitCount).fill(5));
});

/** How many graphs the device is asked to run while `body` runs. */
async function callsDuring(body: () => Promise<unknown>): Promise<number> {
  const { request } = device;
  let calls = 0;
  device.request = (message, transfer) => {
    if (message.kind === 'run') calls++;
    return request.call(device, message, transfer);
  };
  try {
    await body();
  } finally {
    device.request = request;
  }
  return calls;
}

test('an empty batch runs nothing; one whose gates are all open runs the first graph only', async () => {
  const images = pictures(9, 4);
  let empty = await runner.run(pictures(1));
  const none = await callsDuring(async () => {
    empty = await runner.run(pictures(0));
  });
  assert.equal(none, 0);
  assert.deepEqual([empty.exits.length, empty.logits.length, empty.rows.length], [0, 0, 0]);

  const openGates = await open({ values: gatesOf(40) });
  let result = empty;
  const one = await callsDuring(async () => {
    result = await openGates.run(images);
  });
  assert.equal(one, 1);
  assert.deepEqual(result.rows, [9]);
  near(result.logits, (await reference(images)).logits[0]!, 'the first IM');
});

test('the independent rule leaves later than the joint one, and the threshold moves both', async () => {
  const constant = await open({ values: gatesOf(Math.log(0.3 / 0.7)) }); // g = 0.3 everywhere
  const exit = async (options: Parameters<EarlyExitRunner['run']>[1]) =>
    (await constant.run(pictures(1), options)).exits[0];
  assert.equal(await exit({}), 2);
  assert.equal(await exit({ rule: 'independent' }), exitCount - 1);
  assert.equal(await exit({ rule: 'independent', threshold: 0.25 }), 0);
  assert.equal(await exit({ threshold: 0.35 }), 1);
  const gates = (await constant.run(pictures(1))).steps[0]!.map(({ gate }) => gate!);
  near(
    gates.map(({ remaining }) => remaining),
    [1, 0.7, 0.4],
    'R',
  );
  assert.deepEqual(
    gates.map(({ taken }) => taken),
    [false, false, true],
  );
});

test('other exits in the same graphs: as if compiled with them', async () => {
  const images = pictures(6, 5);
  const changing = await open();
  await changing.run(images);
  await changing.setExits(gatesOf(40));
  assert.deepEqual([...(await changing.run(images)).exits], Array(6).fill(0));
});

test('a transformer leaves early too: its tokens go from graph to graph', async () => {
  const vit = new JeiDnn(
    new T2tVit({ embedDim: 32, depth: 3, numHeads: 2, mlpRatio: 2, classes, imageSize: 16 }),
  );
  const weights = new Map(initialize(vit, 8));
  // half of the pictures leave at the first exit
  const gates = await device.compile((x) => vit.forward(x).gates, {
    inputs: [{ shape: ['n', 3, 16, 16] }] as const,
    weights,
  });
  const images = pictures(12, 7);
  const sorted = rowsOf(toNumbers(await gates(images)), 2)
    .map(([first]) => first!)
    .sort((a, b) => a - b);
  const { linear } = vit.gates[0]!;
  const middle = (sorted[5]! + sorted[6]!) / 2;
  weights.set(linear.bias!, ndarray([toNumbers(weights.get(linear.bias!)!)[0]! - middle], [1]));

  const together = await device.compile(
    (x) => {
      const { logits, gates } = vit.forward(x);
      return { logits, g: gates.sigmoid() };
    },
    { inputs: [{ shape: ['n', 3, 16, 16] }] as const, weights },
  );
  const { logits, g } = await together(images);
  const chain = await openRunner({ device, model: vit, values: weights, imageSize: 16 });
  const result = await chain.run(images);
  const expected = rowsOf(toNumbers(g), 2).map((row) => exitOf(row));
  assert.deepEqual([...result.exits], expected);
  assert.equal(expected.filter((exit) => exit === 0).length, 6);
  expected.forEach((exit, i) => {
    const row = rowsOf(toNumbers(logits[exit]!), classes)[i]!;
    near(result.logits.slice(i * classes, (i + 1) * classes), row, `picture ${i}`);
  });
});
