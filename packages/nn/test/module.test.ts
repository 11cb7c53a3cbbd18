import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndarray, Tensor, TensorError, toNumbers, zerosArray } from '@working-papers/tensor';
import {
  fanInUniform,
  filledWith,
  kaimingNormal,
  normal,
  ones,
  truncatedNormal,
  uniform,
  xavierUniform,
} from '../src/initializers.ts';
import { BatchNorm, Conv, ConvTranspose, Embedding, Linear, Sequential } from '../src/layers.ts';
import {
  countParameters,
  type Initializer,
  initialize,
  isTraining,
  loadStateDict,
  Module,
  nextDraw,
  stateDict,
  stateShapes,
  traceInference,
  traceTraining,
  Weight,
} from '../src/module.ts';
import { Random } from '../src/random.ts';

class Head extends Module {
  readonly posEmbed = new Weight([1, 4, 2], ones);
  readonly blocks = [new Linear(2, 2), new Linear(2, 2)];
  readonly finalNorm = new BatchNorm(2);
  readonly stage = new Sequential(new Linear(2, 3), new Sequential(new Linear(3, 1, { bias: false })));
  readonly label = 'not a module';

  forward(x: Tensor): Tensor {
    return this.blocks[1]!.forward(x);
  }
}

test('names are those of a state_dict: snake case, lists and sequences numbered', () => {
  assert.deepEqual(
    [...stateShapes(new Head())],
    [
      ['pos_embed', [1, 4, 2]],
      ['blocks.0.weight', [2, 2]],
      ['blocks.0.bias', [2]],
      ['blocks.1.weight', [2, 2]],
      ['blocks.1.bias', [2]],
      ['final_norm.weight', [2]],
      ['final_norm.bias', [2]],
      ['final_norm.running_mean', [2]],
      ['final_norm.running_var', [2]],
      ['stage.0.weight', [3, 2]],
      ['stage.0.bias', [3]],
      ['stage.1.0.weight', [1, 3]],
    ],
  );
  assert.equal(countParameters(new Head()), 8 + 6 + 6 + 4 + 9 + 3);
});

test('a shared weight appears once, by its first name', () => {
  class Tied extends Module {
    readonly embed = new Embedding(5, 3);
    readonly head = new Linear(3, 5, { bias: false });

    constructor() {
      super();
      Object.assign(this.head, { weight: this.embed.weight });
    }
  }
  const tied = new Tied();
  assert.deepEqual([...tied.namedWeights().keys()], ['embed.weight']);
  assert.equal(countParameters(tied), 15);
});

test('a weight starts the same whatever else the model has, and otherwise for another seed or name', () => {
  class Small extends Module {
    readonly second = new Linear(4, 4);
  }
  class Large extends Module {
    readonly first = new Linear(4, 4);
    readonly second = new Linear(4, 4);
  }
  const values = (module: Module, seed: number) => stateDict(module, initialize(module, seed));
  const [small, large] = [values(new Small(), 3), values(new Large(), 3)];
  assert.deepEqual(small.get('second.weight'), large.get('second.weight'));
  assert.notDeepEqual(large.get('first.weight'), large.get('second.weight'));
  assert.notDeepEqual(large.get('second.weight'), large.get('second.bias'));
  assert.notDeepEqual(values(new Small(), 4).get('second.weight'), small.get('second.weight'));
});

/** Draws of an initialiser and their moments. */
function draws(initializer: Initializer, shape: readonly number[]) {
  const values = toNumbers(initializer(shape, new Random(5)));
  const mean = values.reduce((a, b) => a + b) / values.length;
  const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
  return { mean, std, low: Math.min(...values), high: Math.max(...values) };
}

/** A uniform distribution fills its bounds and has their third root of a standard deviation. */
function assertUniform(initializer: Initializer, shape: readonly number[], bound: number) {
  const { mean, std, low, high } = draws(initializer, shape);
  assert.ok(low >= -bound && low < -0.99 * bound && high <= bound && high > 0.99 * bound, `${low} ${high}`);
  assert.ok(Math.abs(mean) < 0.03 * bound, `mean ${mean}`);
  assert.ok(Math.abs(std / (bound / Math.sqrt(3)) - 1) < 0.02, `std ${std} for bound ${bound}`);
}

function assertNormal(initializer: Initializer, shape: readonly number[], std: number, mean = 0) {
  const found = draws(initializer, shape);
  assert.ok(Math.abs(found.std / std - 1) < 0.02, `std ${found.std}, expected ${std}`);
  assert.ok(Math.abs(found.mean - mean) < 0.04 * std, `mean ${found.mean}`);
  assert.ok(found.high > mean + 2.5 * std && found.low < mean - 2.5 * std);
}

test('initialisers have the moments and bounds of their definitions', () => {
  assertUniform(uniform(-0.3, 0.3), [100, 100], 0.3);
  assertUniform(fanInUniform, [200, 50], 1 / Math.sqrt(50));
  assertUniform(fanInUniform, [64, 16, 3, 3], 1 / Math.sqrt(16 * 9));
  assertUniform(xavierUniform, [100, 60], Math.sqrt(6 / 160));
  assertNormal(normal(0.5, 2), [100, 100], 0.5, 2);
  assertNormal(kaimingNormal(), [64, 16, 3, 3], Math.sqrt(2 / (16 * 9)));
  assertNormal(kaimingNormal('fanOut'), [64, 16, 3, 3], Math.sqrt(2 / (64 * 9)));
  assertNormal(truncatedNormal(0.02), [100, 100], 0.02);
  // cut at ±2 with σ = 2: no longer a normal distribution, but inside
  const cut = draws(truncatedNormal(2), [100, 100]);
  assert.ok(cut.low >= -2 && cut.high <= 2 && cut.high > 1.95);
  assert.deepEqual(toNumbers(filledWith(0.1)([2], new Random(1))), [Math.fround(0.1), Math.fround(0.1)]);
});

test("layers start as PyTorch's do", () => {
  const start = (module: Module, name: string) => () => stateDict(module, initialize(module, 1)).get(name)!;
  assertUniform(start(new Linear(50, 200), 'weight'), [], 1 / Math.sqrt(50));
  assertUniform(start(new Linear(50, 4000), 'bias'), [], 1 / Math.sqrt(50));
  assertUniform(start(new Conv(8, 64, [3, 3], { groups: 2 }), 'weight'), [], 1 / Math.sqrt(4 * 9));
  assertUniform(start(new Conv(8, 4000, [3, 3]), 'bias'), [], 1 / Math.sqrt(8 * 9));
  // torch.nn.ConvTranspose2d(16, 64, 3) takes 64 · 9 for its fan-in
  assertUniform(start(new ConvTranspose(16, 64, [3, 3]), 'weight'), [], 1 / Math.sqrt(64 * 9));
  assertNormal(start(new Embedding(200, 50), 'weight'), [], 1);
  const norm = new BatchNorm(3);
  const all = [...stateDict(norm, initialize(norm, 1)).values()].map(toNumbers);
  assert.deepEqual(all, [
    [1, 1, 1],
    [0, 0, 0],
    [0, 0, 0],
    [1, 1, 1],
  ]);
});

test('a checkpoint that does not fit is refused with every difference', () => {
  const layer = new Linear(3, 2);
  const dict = new Map([
    ['weight', zerosArray([3, 2])],
    ['scale', zerosArray([2])],
  ]);
  assert.throws(() => loadStateDict(layer, dict, { file: 'a.safetensors' }), {
    name: 'NameMismatchError',
    message:
      'a.safetensors: 1 missing: bias; 1 unexpected: scale; 1 mis-shaped: weight: found [3,2], expected [2,3]',
  });
  const weights = initialize(layer, 1);
  weights.delete(layer.bias!);
  assert.throws(() => stateDict(layer, weights), /weight 'bias' has no value/);
});

test('published names load with a map, and without the batch counts of PyTorch', () => {
  const model = new Sequential(new Linear(2, 2, { bias: false }), new BatchNorm(2));
  const own = stateDict(model, initialize(model, 1));
  const published = new Map([...own].map(([name, value]) => [`module.${name}`, value]));
  published.set('module.1.num_batches_tracked', ndarray([7], [], 'int64'));
  const loaded = loadStateDict(model, published, { rename: (name) => name.replace('module.', '') });
  assert.deepEqual([...stateDict(model, loaded)], [...own]);
});

test('a value of another dtype is refused', () => {
  const layer = new Linear(1, 1, { bias: false });
  assert.throws(
    () => loadStateDict(layer, new Map([['weight', zerosArray([1, 1], 'float64')]])),
    /weight is float64, expected float32/,
  );
});

test('training, inference inside it, and training again', () => {
  assert.equal(isTraining(), false);
  traceTraining(undefined, () => {
    assert.equal(isTraining(), true);
    assert.equal(
      traceInference(() => isTraining()),
      false,
    );
    assert.throws(() => traceInference(() => assert.fail('inside')));
    assert.equal(isTraining(), true);
    assert.throws(() => nextDraw(), /random was traced without a seed/);
  });
  assert.throws(() => traceTraining(undefined, () => assert.fail('inside')));
  assert.equal(isTraining(), false);
});

test('every draw of a trace has a stream of its own, and equal traces have equal ones', () => {
  const seed = new Tensor({ shape: [], dtype: 'int32' }, { kind: 'input', name: 'seed' });
  const streams = () => traceTraining(seed, () => [nextDraw(), nextDraw()].map(({ stream }) => stream)).value;
  assert.deepEqual(streams(), [0, 1]);
  assert.deepEqual(streams(), streams());
});

test('errors name the module in which they happened', () => {
  const x = new Tensor({ shape: [4, 3], dtype: 'float32' }, { kind: 'input', name: 'x' });
  assert.throws(
    () => new Head().forward(x),
    (error: Error) => {
      assert.ok(error instanceof TensorError);
      assert.match(
        error.message,
        /^Head\.blocks\.1: matmul \[4,3\] x \[2,2\].*inner dimensions 3 and 2 differ/,
      );
      return true;
    },
  );
});

test("a wrapper's network can keep its own names", () => {
  class Wrapper extends Module {
    readonly network = new Linear(2, 3);
    readonly head = new Linear(3, 1);
    override stateName(property: string): string {
      return property === 'network' ? '' : super.stateName(property);
    }
  }
  class Outer extends Module {
    readonly inside = new Wrapper();
  }
  const names = ['weight', 'bias', 'head.weight', 'head.bias'];
  assert.deepEqual([...new Wrapper().namedWeights().keys()], names);
  assert.deepEqual(
    [...new Outer().namedWeights().keys()],
    names.map((name) => `inside.${name}`),
  );
});
