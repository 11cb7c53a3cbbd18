import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ResNet } from '@working-papers/models/resnet';
import { initialize, loadStateDict, stateDict, stateShapes } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { constant, ndarray, openDevice, type Tensor, toNumbers } from '@working-papers/tensor';
import { exitDistribution, exitOf, gateFeatures, JeiDnn, loadRelease, takesExit } from './model.ts';

const device = await openDevice({ threads: 1 });
after(() => device.close());

/** The value of an expression of constants. */
async function evaluate(tensor: Tensor): Promise<number[]> {
  const run = await device.compile(() => tensor, { inputs: [] as const });
  try {
    return toNumbers(await run());
  } finally {
    await run.dispose();
  }
}

function matrix(rows: readonly (readonly number[])[]): Tensor {
  return constant(ndarray(rows.flat(), [rows.length, rows[0]!.length]));
}

function near(actual: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) <= tolerance, `at ${i}: ${value}, expected ${expected[i]}`);
  });
}

const tiny = () => new ResNet({ blocksPerStage: 1, widths: [4, 6, 8], classes: 5 });

test('the exit distribution is a distribution, and 0.3 three times leaves at the third exit', async () => {
  near(await evaluate(exitDistribution(matrix([[0.3, 0.3, 0.3]]))), [0.3, 0.3, 0.3, 0.1]);
  assert.equal(exitOf([0.3, 0.3, 0.3]), 2);
  const random = new Random(1);
  const rows = Array.from({ length: 200 }, () => Array.from({ length: 5 }, () => random.uniform()));
  const p = await evaluate(exitDistribution(matrix(rows)));
  for (let row = 0; row < rows.length; row++) {
    const each = p.slice(row * 6, row * 6 + 6);
    assert.ok(each.every((value) => value >= 0));
    assert.ok(Math.abs(each.reduce((a, b) => a + b) - 1) < 1e-6);
  }
});

test('all mass on the last exit, or on the first, gives exact ones and zeros', async () => {
  const g = matrix([
    [0, 0, 0],
    [1, 1, 1],
  ]);
  assert.deepEqual(await evaluate(exitDistribution(g)), [0, 0, 0, 1, 1, 0, 0, 0]);
  assert.deepEqual([exitOf([0, 0, 0]), exitOf([1, 1, 1])], [3, 0]);
});

test('g ≥ R/2 says that leaving is the likelier half, on 10,000 draws, with R > 0 until then', () => {
  const random = new Random(2);
  draws: for (let draw = 0; draw < 10_000; draw++) {
    const g = Array.from({ length: 1 + random.integer(8) }, () => random.uniform() ** 2);
    let expected = g.length;
    let left = 1; // Π (1 − conditional probability of each exit passed)
    let sum = 0;
    for (let l = 0; l < g.length; l++) {
      const joint = Math.max(0, Math.min(g[l]!, 1 - sum)); // P_l
      const conditional = joint / left;
      // a tie to the last bit may fall on either side
      if (Math.abs(conditional - 0.5) < 1e-12) continue draws;
      if (conditional >= 0.5) {
        expected = l;
        break;
      }
      left *= 1 - conditional;
      sum += g[l]!;
      assert.ok(1 - sum > 0, `R = ${1 - sum} before an exit`);
    }
    assert.equal(exitOf(g), expected, `g = ${g}`);
  }
});

test('the independent rule forgets earlier gates, and a threshold moves both rules', () => {
  assert.equal(exitOf([0.4, 0.4], 'joint'), 1);
  assert.equal(exitOf([0.4, 0.4], 'independent'), 2);
  assert.equal(exitOf([0.4, 0.4], 'independent', 0.3), 0);
  assert.equal(takesExit(0.35, 0.5, 'joint', 0.8), false);
  assert.equal(takesExit(0.4, 0.5, 'joint', 0.8), true);
});

test('gate features of uniform, one-hot and ordinary probabilities', async () => {
  const uniform = await evaluate(gateFeatures(matrix([[0.25, 0.25, 0.25, 0.25]])));
  near(uniform, [0.25, Math.log(4), 0, Math.log(4)]);
  assert.deepEqual((await evaluate(gateFeatures(matrix([[0, 1, 0]])))).map(Math.abs), [1, 0, 1, 0]);
  const p = [0.2, 0.7, 0.1];
  const entropy = (q: number[]) => -q.reduce((sum, value) => sum + value * Math.log(value), 0);
  const squares = p.map((value) => value ** 2);
  const total = squares.reduce((a, b) => a + b);
  const sharpened = squares.map((value) => value / total);
  near(await evaluate(gateFeatures(matrix([p]))), [0.7, entropy(p), 0.5, entropy(sharpened)]);
});

test('one class has no margin, and exits must stand between the blocks', () => {
  assert.throws(() => gateFeatures(matrix([[1]])), /margin needs/);
  assert.throws(() => new JeiDnn(new ResNet({ classes: 1 })), /1 class: .*2 or more/);
  assert.throws(() => new JeiDnn(tiny(), { exits: [0, 2] }), /exit 2: the backbone has 3 blocks.*0 to 1/);
  assert.throws(() => new JeiDnn(tiny(), { exits: [-1] }), /exit -1/);
  assert.throws(() => new JeiDnn(tiny(), { exits: [1, 0] }), /ascending/);
});

test('weights have the names of the release', () => {
  const shapes = stateShapes(new JeiDnn(new ResNet()));
  assert.deepEqual(shapes.get('intermediate_heads.0.weight'), [10, 16]);
  assert.deepEqual(shapes.get('intermediate_heads.7.bias'), [10]);
  assert.deepEqual(shapes.get('gates.7.linear.weight'), [1, 4]);
  assert.deepEqual(shapes.get('gates.7.linear.bias'), [1]);
  assert.deepEqual(shapes.get('backbone.linear.weight'), [10, 64]);
  assert.equal(shapes.has('intermediate_heads.8.weight'), false);
});

test('a checkpoint of the release loads; one with other classes is refused by the key', () => {
  const model = new JeiDnn(tiny());
  const weights = initialize(model, 3);
  const ours = stateDict(model, weights);
  const released = new Map(
    [...ours].map(([name, value]) => [`module.${name.replace('backbone.', '')}`, value]),
  );
  const loaded = stateDict(model, loadRelease(model, released));
  assert.deepEqual([...loaded], [...ours]);
  const wrong = new Map(ours).set('intermediate_heads.1.weight', ndarray(new Float32Array(42), [7, 6]));
  assert.throws(
    () => loadStateDict(model, wrong),
    /intermediate_heads\.1\.weight: found \[7,6\], expected \[5,6\]/,
  );
});

test('the last exit is the backbone bit for bit, and the early ones are the IMs on its blocks', async () => {
  const model = new JeiDnn(tiny());
  const weights = initialize(model, 4);
  const spec = { inputs: [{ shape: ['batch', 3, 8, 8] }] as const, weights };
  const exits = await device.compile((x) => model.forward(x), spec);
  const backbone = await device.compile((x) => model.backbone.forward(x), spec);
  const first = await device.compile((x) => {
    const { backbone } = model;
    return model.intermediateHeads[0]!.forward(
      backbone.features(backbone.blocks[0]!.forward(backbone.embed(x))),
    );
  }, spec);
  const x = ndarray(new Random(5).normals(3 * 3 * 64), [3, 3, 8, 8]);
  const { logits, gates } = await exits(x);
  assert.deepEqual(
    logits.map((each) => each.shape),
    [
      [3, 5],
      [3, 5],
      [3, 5],
    ],
  );
  assert.deepEqual(gates.shape, [3, 2]);
  assert.deepEqual(toNumbers(logits[2]!), toNumbers(await backbone(x)));
  near(toNumbers(logits[0]!), toNumbers(await first(x)), 1e-6);
});

test('an exit less makes a longer segment', () => {
  assert.deepEqual(new JeiDnn(new ResNet(), { exits: [2, 5] }).segments, [
    [0, 2],
    [3, 5],
    [6, 8],
  ]);
});
