import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndarray } from '@working-papers/tensor';
import { Attention, MultiheadAttention } from '../src/attention.ts';
import { initialize, stateDict } from '../src/module.ts';
import { Mlp, TransformerBlock } from '../src/transformer.ts';
import { assertClose, evaluate, noise, rows, testDevice } from './helpers.ts';

const device = await testDevice();
const [n, t, dim, heads] = [2, 3, 8, 2];

type Matrix = readonly (readonly number[])[];

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** y = x Wᵀ + b. */
function linear(x: Matrix, weight: Matrix, bias?: readonly number[]): number[][] {
  return x.map((row) => weight.map((column, j) => dot(row, column) + (bias?.[j] ?? 0)));
}

/** One sample: queries [T, C] look at keys and values [S, C], head by head. `allowed(t, s)` masks. */
function attention(q: Matrix, k: Matrix, v: Matrix, allowed = (_t: number, _s: number) => true): number[][] {
  const size = dim / heads;
  return q.map((query, at) => {
    const out: number[] = [];
    for (let h = 0; h < heads; h++) {
      const part = (row: readonly number[]) => row.slice(h * size, (h + 1) * size);
      const scores = k.map((key, s) =>
        allowed(at, s) ? dot(part(query), part(key)) / Math.sqrt(size) : -Infinity,
      );
      const top = Math.max(...scores);
      const powers = scores.map((score) => Math.exp(score - top));
      const total = powers.reduce((a, b) => a + b);
      for (let d = 0; d < size; d++)
        out.push(powers.reduce((sum, p, s) => sum + (p / total) * part(v[s]!)[d]!, 0));
    }
    return out;
  });
}

function layerNorm(x: Matrix, epsilon: number): number[][] {
  return x.map((row) => {
    const mean = row.reduce((a, b) => a + b) / row.length;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
    return row.map((value) => (value - mean) / Math.sqrt(variance + epsilon));
  });
}

/** Abramowitz and Stegun's series: exact to double precision for the small arguments here. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let k = 1; k < 80; k++) {
    term *= (-x * x) / k;
    sum += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const gelu = (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2));

/** Weights of a module by name, as matrices. */
function matrices(module: Parameters<typeof initialize>[0]) {
  const weights = initialize(module, 7);
  const dict = stateDict(module, weights);
  const matrix = (name: string) => rows(dict.get(name)!);
  return { weights, dict, matrix, vector: (name: string) => matrix(name)[0]! };
}

const samples = (flat: number[][]) => Array.from({ length: n }, (_, i) => flat.slice(i * t, (i + 1) * t));
const plus = (a: Matrix, b: Matrix) => a.map((row, i) => row.map((value, j) => value + b[i]![j]!));

test('attention with timm names: head by head, and with causal and boolean masks', async () => {
  const module = new Attention(dim, { numHeads: heads });
  const { weights, dict, matrix, vector } = matrices(module);
  assert.deepEqual([...dict.keys()], ['qkv.weight', 'qkv.bias', 'proj.weight', 'proj.bias']);
  const x = noise([n, t, dim], 1);
  const expected = (allowed?: (t: number, s: number) => boolean) =>
    samples(rows(x)).flatMap((sample) => {
      const qkv = linear(sample, matrix('qkv.weight'), vector('qkv.bias'));
      const part = (i: number) => qkv.map((row) => row.slice(i * dim, (i + 1) * dim));
      return linear(
        attention(part(0), part(1), part(2), allowed),
        matrix('proj.weight'),
        vector('proj.bias'),
      ).flat();
    });
  assertClose(await evaluate(device, (x) => module.forward(x!), [x], weights), expected());
  assertClose(
    await evaluate(device, (x) => module.forward(x!, { causal: true }), [x], weights),
    expected((t, s) => s <= t),
  );
  const mask = ndarray([1, 0, 1], [1, 1, 1, 3], 'bool');
  assertClose(
    await evaluate(device, (x, m) => module.forward(x!, { mask: m! }), [x, mask], weights),
    expected((_, s) => s !== 1),
  );
});

test('query and key norms, no bias, and heads that do not divide', () => {
  const names = [...new Attention(dim, { numHeads: 2, qkNorm: true, qkvBias: false }).namedWeights().keys()];
  const norms = ['q_norm.weight', 'q_norm.bias', 'k_norm.weight', 'k_norm.bias'];
  assert.deepEqual(names, ['qkv.weight', ...norms, 'proj.weight', 'proj.bias']);
  assert.throws(() => new Attention(10, { numHeads: 3 }), /10 channels do not divide into 3 heads/);
});

test("attention with PyTorch's names looks at another sequence", async () => {
  const module = new MultiheadAttention(dim, { numHeads: heads });
  const { weights, dict, matrix, vector } = matrices(module);
  assert.deepEqual([...dict.keys()], ['in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias']);
  assert.ok(vector('in_proj_bias').every((value) => value === 0));
  const [x, memory] = [noise([n, t, dim], 1), noise([n, 5, dim], 2)];
  const keysOf = (i: number) => rows(memory).slice(i * 5, (i + 1) * 5);
  const part = (i: number) => matrix('in_proj_weight').slice(i * dim, (i + 1) * dim);
  const expected = samples(rows(x)).flatMap((sample, i) => {
    const y = attention(linear(sample, part(0)), linear(keysOf(i), part(1)), linear(keysOf(i), part(2)));
    return linear(y, matrix('out_proj.weight')).flat();
  });
  assertClose(await evaluate(device, (x, m) => module.forward(x!, m!), [x, memory], weights), expected);
});

test('an MLP with an activation of choice', async () => {
  const module = new Mlp(dim, 5, { activation: (x) => x.tanh(), outFeatures: 3 });
  const { weights, dict, matrix, vector } = matrices(module);
  assert.deepEqual([...dict.keys()], ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']);
  const x = noise([4, dim], 3);
  const hidden = linear(rows(x), matrix('fc1.weight'), vector('fc1.bias'));
  const expected = linear(
    hidden.map((row) => row.map(Math.tanh)),
    matrix('fc2.weight'),
    vector('fc2.bias'),
  );
  assertClose(await evaluate(device, (x) => module.forward(x!), [x], weights), expected.flat());
});

test('a pre-norm block with layer scale, in inference without its drop paths', async () => {
  const block = new TransformerBlock(dim, {
    numHeads: heads,
    mlpRatio: 2,
    layerScale: 0.5,
    dropPath: 0.3,
    epsilon: 1e-6,
  });
  const { weights, dict, matrix, vector } = matrices(block);
  const pair = (name: string) => [`${name}.weight`, `${name}.bias`];
  assert.deepEqual(
    [...dict.keys()],
    [
      ...pair('norm1'),
      ...pair('attn.qkv'),
      ...pair('attn.proj'),
      'ls1.gamma',
      ...pair('norm2'),
      ...pair('mlp.fc1'),
      ...pair('mlp.fc2'),
      'ls2.gamma',
    ],
  );
  const apply = (name: string, x: Matrix) => linear(x, matrix(`${name}.weight`), vector(`${name}.bias`));
  const half = (x: Matrix) => x.map((row) => row.map((value) => value / 2));
  const x = noise([n, t, dim], 4);
  const expected = samples(rows(x)).flatMap((sample) => {
    const qkv = apply('attn.qkv', layerNorm(sample, 1e-6));
    const [q, k, v] = [0, 1, 2].map((i) => qkv.map((row) => row.slice(i * dim, (i + 1) * dim)));
    const y = plus(sample, half(apply('attn.proj', attention(q!, k!, v!))));
    const hidden = apply('mlp.fc1', layerNorm(y, 1e-6)).map((row) => row.map(gelu));
    return plus(y, half(apply('mlp.fc2', hidden))).flat();
  });
  assertClose(await evaluate(device, (x) => block.forward(x!), [x], weights), expected);
});
