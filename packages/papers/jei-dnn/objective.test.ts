import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import {
  concat,
  constant,
  gradients,
  type NdArray,
  ndarray,
  oneHot,
  openDevice,
  type Tensor,
  toNumbers,
} from '@working-papers/tensor';
import { exitDistribution, gateFeatures } from './model.ts';
import {
  advantages,
  bestExit,
  exitWeights,
  gateTargets,
  positiveWeights,
  type Weighting,
  warmupScales,
  withLast,
} from './objective.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

async function evaluate<T extends Record<string, Tensor>>(tensors: T): Promise<{ [K in keyof T]: number[] }> {
  const run = await device.compile(() => tensors as Record<string, Tensor>, { inputs: [] as const });
  const out = (await run()) as unknown as Record<string, NdArray>;
  await run.dispose();
  return Object.fromEntries(Object.entries(out).map(([name, array]) => [name, toNumbers(array)])) as {
    [K in keyof T]: number[];
  };
}

function matrix(rows: readonly (readonly number[])[]): Tensor {
  return constant(ndarray(rows.flat(), [rows.length, rows[0]!.length]));
}

// Two early exits with 3 features and 4 classes on 6 samples, the last exit's loss given; all in float64.
const [batch, width, classes] = [6, 3, 4];
const random = new Random(3);
const doubles = (shape: number[], scale = 1) =>
  ndarray(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
    'float64',
  );
const x = [doubles([batch, width]), doubles([batch, width])].map((array) => constant(array));
const labels = constant(ndarray([0, 1, 2, 3, 1, 0], [batch], 'int32'));
const last = constant(ndarray(Float64Array.from([0.1, 2, 0.3, 0.01, 1, 0.2]), [batch], 'float64'));
const gateWeights = constant(doubles([2, 4], 0.5));

function exits(weights: readonly Tensor[]) {
  const logs = weights.map((weight, l) => x[l]!.matmul(weight).logSoftmax());
  const label = oneHot(labels, classes, { dtype: 'float64' });
  const early = logs.map((each) => each.mul(label).sum(-1, { keepDims: true }).neg());
  const ce = withLast(concat(early, 1), last);
  const g = logs.map((each, l) =>
    gateFeatures(each.stopGradient().exp())
      .mul(gateWeights.select(0, l))
      .sum(-1, { keepDims: true })
      .sigmoid(),
  );
  return { ce, p: exitDistribution(concat(g, 1)) };
}

const start = [doubles([width, classes]), doubles([width, classes])];

async function slopes(loss: (weights: readonly Tensor[]) => Tensor): Promise<number[]> {
  const run = await device.compile((...weights) => gradients(loss(weights), weights), {
    inputs: start.map(({ shape }) => ({ shape, dtype: 'float64' as const })),
  });
  const found = await run(...(start as never[]));
  await run.dispose();
  return found.flatMap((array) => toNumbers(array));
}

const weighted = (weighting: Weighting) => (weights: readonly Tensor[]) => {
  const { ce, p } = exits(weights);
  return exitWeights(p, ce, weighting).mul(ce).mean();
};

test('with the released weighting IMs are trained uniformly; with the ratio stopped they are not', async () => {
  const uniform = await slopes((weights) => exits(weights).ce.mean());
  const released = await slopes(weighted('released'));
  const stopped = await slopes(weighted('stopgrad'));
  const distance = (a: number[]) => Math.max(...a.map((value, i) => Math.abs(value - uniform[i]!)));
  assert.ok(distance(released) < 1e-6, `released differs by ${distance(released)}`);
  assert.ok(distance(stopped) > 1e-3, `stopgrad differs by only ${distance(stopped)}`);
});

for (const weighting of ['stopgrad', 'plain P'] as const) {
  test(`gradients of the ${weighting} loss equal finite differences with the weights held`, async () => {
    const found = await slopes(weighted(weighting));
    const held = await device.compile(
      (...weights) => {
        const { ce, p } = exits(weights);
        return exitWeights(p, ce, weighting);
      },
      { inputs: start.map(({ shape }) => ({ shape, dtype: 'float64' as const })) },
    );
    const w = constant(await held(...(start as never[])));
    const loss = await device.compile((...weights) => exits(weights).ce.mul(w).mean(), {
      inputs: start.map(({ shape }) => ({ shape, dtype: 'float64' as const })),
    });
    const step = 1e-5;
    let at = 0;
    for (const [which, array] of start.entries()) {
      for (let i = 0; i < array.data.length; i++, at++) {
        const values = [];
        for (const sign of [1, -1]) {
          const moved = start.map((each) => ({ ...each, data: (each.data as Float64Array).slice() }));
          moved[which]!.data[i]! += sign * step;
          values.push(toNumbers(await loss(...(moved as never[])))[0]!);
        }
        const slope = (values[0]! - values[1]!) / (2 * step);
        assert.ok(
          Math.abs(slope - found[at]!) < 1e-6 * (1 + Math.abs(slope)),
          `${at}: ${found[at]} for ${slope}`,
        );
      }
    }
    await held.dispose();
    await loss.dispose();
  });
}

test('weights: all of P on a lossless exit counts 0, not NaN; no gradient reaches P', async () => {
  const p = matrix([
    [0, 0, 1],
    [0.5, 0.25, 0.25],
  ]);
  const ce = matrix([
    [2, 1, 0],
    [1, 2, 4],
  ]);
  const { stopgrad, released, plain, toP } = await evaluate({
    stopgrad: exitWeights(p, ce, 'stopgrad'),
    released: exitWeights(p, ce, 'released'),
    plain: exitWeights(p, ce, 'plain P'),
    toP: gradients(exitWeights(p, ce, 'released').mul(ce).sum(), [p])[0]!,
  });
  // second row: ΣCE / ΣP·CE = 7 / 2
  assert.deepEqual(stopgrad, [0, 0, 0, 1.75, 0.875, 0.875]);
  assert.deepEqual(released, stopgrad);
  assert.deepEqual(plain, [0, 0, 1, 0.5, 0.25, 0.25]);
  assert.deepEqual(toP, [0, 0, 0, 0, 0, 0]);
});

test('targets: λ = 0 takes the least loss, a huge λ the first exit, and the last exit leaves all gates shut', async () => {
  const ce = matrix([
    [3, 2, 1],
    [1, 2, 3],
    [2, 1, 3],
  ]);
  const costs = constant(ndarray([0.2, 0.5, 1], [3]));
  const free = bestExit(ce);
  const dear = bestExit(ce.add(costs.mul(1e6)));
  const found = await evaluate({
    free,
    dear,
    exact: gateTargets(free, 2, 'exact'),
    cumulative: gateTargets(free, 2, 'cumulative'),
    open: gateTargets(dear, 2, 'cumulative'),
    first: gateTargets(dear, 2, 'exact'),
  });
  assert.deepEqual(found.free, [2, 0, 1]);
  assert.deepEqual(found.dear, [0, 0, 0]);
  assert.deepEqual(found.exact, [0, 0, 1, 0, 0, 1]);
  assert.deepEqual(found.cumulative, [0, 0, 1, 1, 0, 1]);
  assert.deepEqual(found.open, [1, 1, 1, 1, 1, 1]);
  assert.deepEqual(found.first, [1, 0, 1, 0, 1, 0]);
});

test('advantages: going on is priced by the first later gate that opens, or by the end', async () => {
  const price = matrix([
    [5, 3, 2, 7],
    [5, 3, 2, 7],
    [5, 3, 2, 7],
  ]);
  const g = matrix([
    [0.9, 0.1, 0.1], // nobody leaves later: 7
    [0.1, 0.2, 0.5], // exit 3 takes it: 2
    [0.1, 0.8, 0.9], // exit 2 takes it: 3
  ]);
  const { found } = await evaluate({ found: advantages(price, g) });
  assert.deepEqual(found, [2, 4, 5, -3, -1, 5, -2, -1, 5]);
});

test('both exit distributions are shares that sum to one; the independent one is of those still there', async () => {
  const g = matrix([
    [0.5, 0.5, 0.25],
    [0.75, 0.5, 1],
    [0, 1, 0.5],
  ]);
  const { joint, independent } = await evaluate({
    joint: exitDistribution(g),
    independent: exitDistribution(g, 'independent'),
  });
  assert.deepEqual(joint, [0.5, 0.5, 0, 0, 0.75, 0.25, 0, 0, 0, 1, 0, 0]);
  assert.deepEqual(independent, [0.5, 0.25, 0.0625, 0.1875, 0.75, 0.125, 0.125, 0, 0, 1, 0, 0]);
});

test('positive weights are the odds, at most 5, and a gate without positives counts as a tenth of a sample', () => {
  assert.deepEqual(positiveWeights([50, 10, 0, 100], 100), [1, 5, 5, 0]);
});

test('the warm-up counts exit l of L by L − l', () => {
  assert.deepEqual(warmupScales(4), [4, 3, 2]);
});
