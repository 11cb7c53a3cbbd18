import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { T2tVit } from '@working-papers/models/t2t-vit';
import { initialize } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { type NdArray, ndarray, openDevice, toNumbers } from '@working-papers/tensor';
import { effortFor, worthCompacting } from './compaction.ts';
import { exitBound, exitOf, JeiDnn, takesExit, takesExitTensor } from './model.ts';
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

for (const [count, wholeFrom] of [1, 7, 256].flatMap((count) =>
  [1, 999].map((from) => [count, from] as const),
)) {
  const how = wholeFrom === 1 ? 'in a single graph' : 'graph by graph';
  test(`${how}, with rows taken out, come the answers of all exits together, in order: batch ${count}`, async () => {
    const images = pictures(count);
    const { logits, g } = await reference(images);
    const own = await open({ wholeFrom });
    const result = await own.run(images);
    await own.dispose();
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
    [{ wholeFrom: 999 }, { compaction: false }],
    [{ wholeFrom: 1, batchSize: 4 }, {}],
    [{ compactAfter: [] }, {}],
    [{ compactAfter: [1, 3] }, {}],
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
  const closed = await open({ values: gatesOf(-40), wholeFrom: 999 });
  let result = off;
  const calls = await callsDuring(async () => {
    result = await closed.run(images);
  });
  assert.equal(calls, exitCount);
  near(result.logits, expected, 'closed gates');
  assert.deepEqual(result.rows, Array(exitCount).fill(5));
});

/** How many graphs the device is asked to run (or to load: `session`) while `body` runs. */
async function callsDuring(body: () => Promise<unknown>, kind = 'run'): Promise<number> {
  const { request } = device;
  let calls = 0;
  device.request = (message, transfer) => {
    if (message.kind === kind) calls++;
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

test('every rule and threshold decides in the graph as in takesExit', async () => {
  const random = new Random(11);
  const scalar = { shape: [], dtype: 'float64' } as const;
  const decide = await device.compile(
    (g, remaining, slope, offset) => {
      const bound = { slope, offset };
      return { later: takesExitTensor(g, remaining, bound), first: takesExitTensor(g, undefined, bound) };
    },
    { inputs: [{ shape: ['n'] }, { shape: ['n'] }, scalar, scalar] as const },
  );
  for (const rule of ['joint', 'independent'] as const) {
    for (const threshold of [0, 0.1, 0.35, 0.5, 1 / 3, 0.9, 1]) {
      const remaining = Float32Array.from({ length: 200 }, () => random.uniform());
      // half of them next to the bound, where float32 and float64 could part
      const g = remaining.map((r, i) =>
        i % 2 ? random.uniform() : rule === 'joint' ? threshold * r : threshold,
      );
      const { slope, offset } = exitBound(rule, threshold);
      const [a, b] = [slope, offset].map((value) => ndarray([value], [], 'float64'));
      const { later, first } = await decide(ndarray(g, [200]), ndarray(remaining, [200]), a!, b!);
      g.forEach((each, i) => {
        const what = `${rule} ${threshold}: g ${each}, R ${remaining[i]}`;
        assert.equal(Boolean(later.data[i]), takesExit(each, remaining[i]!, rule, threshold), what);
        assert.equal(Boolean(first.data[i]), takesExit(each, 1, rule, threshold), what);
      });
    }
  }
});

test('a single graph and the chain agree on every step, whatever rule, threshold and compaction', async () => {
  const images = pictures(33, 9);
  const chain = await open({ wholeFrom: 999 });
  for (const compactAfter of [undefined, [], [0], [2, 4]]) {
    const whole = await open({ wholeFrom: 1, ...(compactAfter && { compactAfter }) });
    for (const rule of ['joint', 'independent'] as const) {
      for (const threshold of [0, 0.3, 0.5, 1]) {
        const [expected, result] = [
          await chain.run(images, { rule, threshold }),
          await whole.run(images, { rule, threshold }),
        ];
        const what = `after ${compactAfter}, ${rule} ${threshold}`;
        assert.deepEqual(result.exits, expected.exits, what);
        near(result.logits, expected.logits, what);
        result.steps.forEach((steps, i) => {
          const needed = steps.slice(0, expected.exits[i]! + 1);
          assert.deepEqual(
            needed.map(({ exit, gate }) => [exit, gate?.taken]),
            expected.steps[i]!.map(({ exit, gate }) => [exit, gate?.taken]),
          );
          near(
            needed.flatMap(({ gate }) => (gate ? [gate.g, gate.remaining] : [])),
            expected.steps[i]!.flatMap(({ gate }) => (gate ? [gate.g, gate.remaining] : [])),
            what,
          );
        });
      }
    }
    await whole.dispose();
  }
  await chain.dispose();
  await assert.rejects(open({ compactAfter: [5] }), /compactAfter 5: the early exits are 0 to 4/);
});

test('where all leave at the first exit, the later blocks of the single graph see no row', async () => {
  const openGates = await open({ values: gatesOf(40), wholeFrom: 1 });
  let result = await runner.run(pictures(0));
  const calls = await callsDuring(async () => {
    result = await openGates.run(pictures(9, 4));
  });
  assert.equal(calls, 1);
  assert.deepEqual(result.rows, [9]);
  assert.deepEqual([...result.exits], Array(9).fill(0));
  assert.deepEqual((await openGates.run(pictures(0))).rows, []);
  await openGates.dispose();
});

test('pictures are no longer taken out where none leave, once that has been seen', async () => {
  const closed = await open({ values: gatesOf(-40), batchSize: 128 });
  const counts: number[] = [];
  for (let i = 0; i < 4; i++) {
    counts.push(
      await callsDuring(async () => {
        await closed.run(pictures(128, i));
      }, 'session'),
    );
  }
  // a first graph for the first batch, another after 256 pictures, and then no more
  assert.deepEqual(counts, [1, 0, 1, 0]);
  await closed.dispose();
});

test('the choice of exits to compact after is the best of all choices', () => {
  const random = new Random(12);
  for (let i = 0; i < 40; i++) {
    const draw = (length: number, scale: number) =>
      Array.from({ length }, () => Math.round(scale * random.uniform()));
    const effort = { compute: draw(6, 100), move: draw(5, 60) };
    const reached = draw(6, 50).sort((a, b) => b - a);
    const chosen = effortFor(effort, reached, worthCompacting(effort, reached));
    const all = Array.from({ length: 32 }, (_, set) => [0, 1, 2, 3, 4].filter((l) => set & (1 << l)));
    const best = Math.min(...all.map((after) => effortFor(effort, reached, after)));
    assert.ok(Math.abs(chosen - best) < 1e-9, `${chosen}, best ${best}`);
  }
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
  const expected = rowsOf(toNumbers(g), 2).map((row) => exitOf(row));
  assert.equal(expected.filter((exit) => exit === 0).length, 6);
  for (const wholeFrom of [1, 999]) {
    const chain = await openRunner({ device, model: vit, values: weights, imageSize: 16, wholeFrom });
    const result = await chain.run(images);
    assert.deepEqual([...result.exits], expected);
    expected.forEach((exit, i) => {
      const row = rowsOf(toNumbers(logits[exit]!), classes)[i]!;
      near(result.logits.slice(i * classes, (i + 1) * classes), row, `picture ${i}`);
    });
  }
});
