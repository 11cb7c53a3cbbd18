/** The bench's MLP in jax-js, for comparison: node jax-js.ts mlp SECONDS prints one JSON line. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Array as JaxArray } from '@jax-js/jax';

const [workload, seconds = '3'] = process.argv.slice(2);
if (workload !== 'mlp') throw new Error(`no such workload: ${workload}`);

async function load() {
  try {
    return await import('@jax-js/jax');
  } catch (error) {
    console.log(JSON.stringify({ missing: (error as Error).message.split('\n')[0] }));
    return process.exit(0);
  }
}

const { blockUntilReady, defaultDevice, init, jit, nn, numpy: np, random, tree, valueAndGrad } = await load();
await init('wasm');
defaultDevice('wasm');

type Weights = { [name: string]: JaxArray };

const shapes: { [name: string]: number[] } = {
  w1: [784, 512],
  b1: [512],
  w2: [512, 512],
  b2: [512],
  w3: [512, 10],
  b3: [10],
};
const build = (make: (shape: number[], i: number) => JaxArray): Weights =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, make(shape, i)]));

const loss = (p: Weights, x: JaxArray, y: JaxArray): JaxArray => {
  const hidden1 = nn.relu(np.dot(x, p.w1!).add(p.b1!));
  const hidden2 = nn.relu(np.dot(hidden1, p.w2!).add(p.b2!));
  const logits = np.dot(hidden2, p.w3!).add(p.b3!);
  return nn
    .logSoftmax(logits)
    .mul(y)
    .sum()
    .mul(-1 / 256);
};

const step = jit((weights: Weights, velocity: Weights, x: JaxArray, y: JaxArray) => {
  const [value, slopes] = valueAndGrad(loss)(tree.ref(weights), x, y) as unknown as [JaxArray, Weights];
  const moved = build((_, i) => {
    const name = Object.keys(shapes)[i]!;
    return velocity[name]!.mul(0.9).add(slopes[name]!);
  });
  const next = build((_, i) => {
    const name = Object.keys(shapes)[i]!;
    return weights[name]!.sub(moved[name]!.ref.mul(1e-3));
  });
  return [value, next, moved] as [JaxArray, Weights, Weights];
});

const x = random.normal(random.key(0), [256, 784]);
const y = nn.oneHot(
  np.array(
    Array.from({ length: 256 }, (_, i) => (i * 7919 + 13) % 10),
    { dtype: np.int32 },
  ),
  10,
);
let weights = build((shape, i) =>
  shape.length === 1 ? np.zeros(shape) : random.normal(random.key(i + 1), shape).mul(0.03),
);
let velocity = build((shape) => np.zeros(shape));

async function run(): Promise<number> {
  const start = performance.now();
  const [value, nextWeights, nextVelocity] = step(weights, velocity, x.ref, y.ref);
  [weights, velocity] = [nextWeights, nextVelocity];
  await blockUntilReady([weights, velocity]);
  value.js();
  return performance.now() - start;
}

for (let i = 0; i < 3; i++) await run();
const times: number[] = [];
const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end || times.length < 5) times.push(await run());
const manifest = fileURLToPath(new URL('../package.json', import.meta.resolve('@jax-js/jax')));
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
console.log(JSON.stringify({ times, version }));
