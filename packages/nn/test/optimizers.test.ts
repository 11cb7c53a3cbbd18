import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NdArray, ndarray, toNumbers } from '@working-papers/tensor';
import { zeros } from '../src/initializers.ts';
import { Module, stateDict, Weight } from '../src/module.ts';
import {
  type AdamOptions,
  adam,
  adamW,
  decayMatrices,
  type Optimizer,
  type SgdOptions,
  sgd,
} from '../src/optimizers.ts';
import { Trainer } from '../src/trainer.ts';
import { assertClose, noise, testDevice } from './helpers.ts';

const device = await testDevice();

/** A matrix and a vector whose gradients are whatever the batch says: the loss is their product with it. */
class Given extends Module {
  readonly matrix = new Weight([2, 3], zeros);
  readonly vector = new Weight([4], zeros);
}

const batch = { matrix: { shape: [2, 3] }, vector: { shape: [4] } } as const;
const names = ['matrix', 'vector'] as const;
type Name = (typeof names)[number];
type Numbers = Record<Name, number[]>;

async function givenTrainer(optimizer: Optimizer, options: { clipNorm?: number } = {}) {
  const model = new Given();
  const weights = new Map([
    [model.matrix, noise([2, 3], 1)],
    [model.vector, noise([4], 2)],
  ]);
  const trainer = await Trainer.create({
    device,
    model,
    batch,
    weights,
    optimizer,
    seed: 1,
    loss: ({ matrix, vector }) => ({
      loss: model.matrix.mul(matrix).sum().add(model.vector.mul(vector).sum()),
    }),
    ...options,
  });
  const read = async (): Promise<Numbers> => {
    const dict = stateDict(model, await trainer.weights());
    return { matrix: toNumbers(dict.get('matrix')!), vector: toNumbers(dict.get('vector')!) };
  };
  return { trainer, read };
}

/** One weight's new value from its old value and gradient at step t (from 1); the closure keeps the state. */
type Rule = (w: number, g: number, t: number, learningRate: number) => number;

/** 20 steps of noise for gradients, with a new learning rate at each, against `rule` for every single weight. */
async function checkOptimizer(optimizer: Optimizer, rule: (name: Name) => Rule) {
  const { trainer, read } = await givenTrainer(optimizer);
  const values = await read();
  const rules = Object.fromEntries(names.map((name) => [name, values[name].map(() => rule(name))])) as Record<
    Name,
    Rule[]
  >;
  for (let t = 1; t <= 20; t++) {
    const rate = 0.1 / t;
    const gradients = { matrix: noise([2, 3], 10 * t), vector: noise([4], 10 * t + 1) };
    await trainer.train(gradients, rate);
    for (const name of names) {
      const g = toNumbers(gradients[name]);
      values[name] = values[name].map((w, i) => rules[name][i]!(w, g[i]!, t, rate));
    }
  }
  const found = await read();
  for (const name of names) assertClose(found[name], values[name], 1e-6);
  await trainer.dispose();
}

/** torch.optim.SGD, as its documentation states the algorithm (dampening 0). */
function torchSgd({ momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions): Rule {
  let buffer: number | undefined;
  return (w, gradient, _, rate) => {
    let g = gradient + weightDecay * w;
    if (momentum !== 0) {
      buffer = buffer === undefined ? g : momentum * buffer + g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    return w - rate * g;
  };
}

/** torch.optim.Adam and AdamW, as their documentation states the algorithm. */
function torchAdam(options: AdamOptions, decoupled: boolean): Rule {
  const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0 } = options;
  let [m, v] = [0, 0];
  return (old, gradient, t, rate) => {
    let [w, g] = [old, gradient];
    if (decoupled) w -= rate * weightDecay * w;
    else g += weightDecay * w;
    m = betas[0] * m + (1 - betas[0]) * g;
    v = betas[1] * v + (1 - betas[1]) * g * g;
    const [mHat, vHat] = [m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)];
    return w - (rate * mHat) / (Math.sqrt(vHat) + epsilon);
  };
}

test('SGD is that of PyTorch: plain, momentum, Nesterov, weight decay', async () => {
  const variants: SgdOptions[] = [
    {},
    { weightDecay: 0.1 },
    { momentum: 0.9 },
    { momentum: 0.9, nesterov: true, weightDecay: 0.05 },
  ];
  for (const options of variants) await checkOptimizer(sgd(options), () => torchSgd(options));
});

test('Adam and AdamW are those of PyTorch', async () => {
  for (const options of [{}, { weightDecay: 0.1, betas: [0.8, 0.95], epsilon: 1e-3 }] as AdamOptions[]) {
    await checkOptimizer(adam(options), () => torchAdam(options, false));
    await checkOptimizer(adamW(options), () => torchAdam({ weightDecay: 0.01, ...options }, true));
  }
});

test('groups: another rate and decay for some weights, and no decay for vectors', async () => {
  const options = { momentum: 0.9, weightDecay: 0.1 };
  const scaled =
    (rule: Rule, scale: number): Rule =>
    (w, g, t, rate) =>
      rule(w, g, t, rate * scale);
  await checkOptimizer(
    sgd({
      ...options,
      groups: (name) => (name === 'matrix' ? { learningRateScale: 0.1 } : { weightDecay: 0 }),
    }),
    (name) => (name === 'matrix' ? scaled(torchSgd(options), 0.1) : torchSgd({ ...options, weightDecay: 0 })),
  );
  await checkOptimizer(adamW({ groups: () => ({ learningRateScale: 3, weightDecay: 0.2 }) }), () =>
    scaled(torchAdam({ weightDecay: 0.2 }, true), 3),
  );
  await checkOptimizer(adamW({ groups: decayMatrices(0.3) }), (name) =>
    torchAdam({ weightDecay: name === 'matrix' ? 0.3 : 0 }, true),
  );
});

/** What a weight that starts at 0 and whose gradient is always 1 has gone through after each step. */
async function path(optimizer: Optimizer, steps: number): Promise<number[]> {
  const model = new Given();
  const trainer = await Trainer.create({
    device,
    model,
    batch: {},
    optimizer,
    seed: 1,
    loss: () => ({ loss: model.vector.sum() }),
  });
  const values: number[] = [];
  for (let i = 0; i < steps; i++) {
    await trainer.train({}, 0.1);
    values.push(toNumbers((await trainer.weights()).get(model.vector)!)[0]!);
  }
  await trainer.dispose();
  return values;
}

test('known answers, by hand', async () => {
  assertClose(await path(sgd({ momentum: 0.9 }), 3), [-0.1, -0.29, -0.561], 1e-6);
  assertClose(await path(sgd({ momentum: 0.9, nesterov: true }), 2), [-0.19, -0.461], 1e-6);
  // with a constant gradient both corrected moments of Adam are 1 at every step: it moves by the rate
  assertClose(await path(adam(), 4), [-0.1, -0.2, -0.3, -0.4], 1e-6);
  assertClose(await path(adamW({ weightDecay: 1 }), 2), [-0.1, -0.19], 1e-6);
});

test('clipping scales all gradients by one factor, and only when their joint norm is too large', async () => {
  const gradients = {
    matrix: ndarray([3, 0, 0, 0, 0, 0], [2, 3]),
    vector: ndarray([0, 0, 0, 4], [4]),
  };
  for (const [clipNorm, factor] of [
    [1, 1 / (5 + 1e-6)],
    [10, 1],
  ] as const) {
    const { trainer, read } = await givenTrainer(sgd(), { clipNorm });
    const before = await read();
    const { gradientNorm } = await trainer.train(gradients, 0.5);
    const after = await read();
    assertClose([gradientNorm!], [5], 1e-6);
    for (const name of names) {
      const g = toNumbers(gradients[name] as NdArray);
      assertClose(
        after[name],
        before[name].map((w, i) => w - 0.5 * factor * g[i]!),
        1e-6,
      );
    }
    await trainer.dispose();
  }
});

test('settings name what a resumed run must have in common', () => {
  const weights = new Map([...new Given().namedWeights()]);
  assert.deepEqual(adamW({ groups: decayMatrices(0.3) }).settings(weights), {
    optimizer: 'adamW',
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    groups: {
      'learning rate × 1, weight decay 0.3': ['matrix'],
      'learning rate × 1, weight decay 0': ['vector'],
    },
  });
});
