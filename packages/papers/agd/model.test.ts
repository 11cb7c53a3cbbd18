import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cifar10Teacher } from '@working-papers/models/cifar10-teacher';
import { DiT, ditSize } from '@working-papers/models/dit';
import { countParameters, initialize, stateShapes, type Weights } from '@working-papers/nn/module';
import { type NdArray, ndarray, type Tensor, toNumbers } from '@working-papers/tensor';
import { RandomFourierFeatures } from './adapters.ts';
import { type AdapterKind, adapterKinds, GuidanceAdapters, sizeOfNetwork, student } from './model.ts';
import type { Guided } from './objective.ts';
import { randomWeights, shape, testDevice, tinyModel } from './test/tiny.ts';

const device = await testDevice();
const { network } = tinyModel();
const base = randomWeights(network, 1);
const size = sizeOfNetwork(network);
const adaptersOf = (kind: AdapterKind, hiddenSize = 4) => new GuidanceAdapters({ kind, hiddenSize }, size);

const inputs = (n: number) =>
  [{ shape: [n, ...shape] }, { shape: [n] }, { shape: [n], dtype: 'int32' }, { shape: [n] }] as const;

const x = (n: number) =>
  ndarray(
    Array.from({ length: 16 * n }, (_, i) => Math.sin(i)),
    [n, ...shape],
  );

async function run(f: Guided, weights: Weights, labels: number[], scales: number[], levels = [3]) {
  const n = labels.length;
  const compiled = await device.compile(f, { inputs: inputs(n), weights });
  const level = ndarray(Array.from({ length: n }, (_, i) => levels[i % levels.length]!));
  const out = await compiled(x(n), level, ndarray(labels, [n], 'int32'), ndarray(scales));
  await compiled.dispose();
  return toNumbers(out as NdArray);
}

test('parameters: the counts of the spec for CIFAR-10’s teacher and for DiT-XL/2', () => {
  const count = (kind: AdapterKind, hiddenSize: number, dit: DiT) =>
    countParameters(new GuidanceAdapters({ kind, hiddenSize }, sizeOfNetwork(dit)));
  const teacher = cifar10Teacher().network;
  assert.equal(count('offset', 16, teacher), 83_712);
  assert.equal(count('attention', 16, teacher), 104_832);
  const xl = new DiT(ditSize('XL', 2));
  for (const [hidden, offset, attention] of [
    [32, 3.4, 4.5],
    [64, 7.3, 9.5],
    [128, 16.6, 21.2],
    [256, 41.5, 51.5],
  ] as const) {
    assert.equal((count('offset', hidden, xl) / 1e6).toFixed(1), offset.toFixed(1));
    assert.equal((count('attention', hidden, xl) / 1e6).toFixed(1), attention.toFixed(1));
  }
});

test('names and shapes are those of the release', () => {
  const common = {
    'guidance_scale_embedder.net.0.frequencies': [4],
    'guidance_scale_embedder.net.0.phases': [4],
    'guidance_scale_embedder.net.1.net.0.weight': [16, 4],
    'guidance_scale_embedder.net.1.net.0.bias': [16],
    'guidance_scale_embedder.net.2.weight': [4],
    'guidance_scale_embedder.net.2.bias': [4],
    'timestep_proj.weight': [4, 8],
    'timestep_proj.bias': [4],
    'class_proj.weight': [4, 8],
    'class_proj.bias': [4],
  };
  const offset = {
    ...common,
    'guidance_scale_embedder.net.1.net.3.weight': [16],
    'guidance_scale_embedder.net.1.net.3.bias': [16],
    'guidance_scale_embedder.net.1.net.4.weight': [4, 16],
    'guidance_scale_embedder.net.1.net.4.bias': [4],
    'out_proj.net.0.weight': [4, 4],
    'out_proj.net.0.bias': [4],
    'out_proj.net.3.weight': [4],
    'out_proj.net.3.bias': [4],
    'out_proj.net.4.weight': [8, 4],
    'out_proj.net.4.bias': [8],
  };
  const attention = {
    ...common,
    'guidance_scale_embedder.net.1.net.2.weight': [4, 16],
    'guidance_scale_embedder.net.1.net.2.bias': [4],
    'q_proj.weight': [4, 8],
    'k_proj.weight': [4, 4],
    'v_proj.weight': [4, 4],
    'out_proj.weight': [8, 4],
    'out_proj.bias': [8],
    'pos_enc.pe': [250, 4],
  };
  for (const [kind, expected] of [
    ['offset', offset],
    ['attention', attention],
  ] as const) {
    const own = [...stateShapes(adaptersOf(kind))].filter(([name]) => name.startsWith('blocks.1.attn.'));
    const found = Object.fromEntries(own.map(([name, dims]) => [name.slice('blocks.1.attn.'.length), dims]));
    assert.deepEqual(found, expected);
  }
});

test('a number as cosines of random frequencies', async () => {
  const module = new RandomFourierFeatures(3);
  const weights = initialize(module, 1);
  const [f, p] = [module.frequencies, module.phases].map((w) => toNumbers(weights.get(w)!)) as [
    number[],
    number[],
  ];
  const compiled = await device.compile((v: Tensor) => module.forward(v), {
    inputs: [{ shape: [2] }] as const,
    weights,
  });
  const found = toNumbers(await compiled(ndarray([1, 2.5])));
  const expected = [1, 2.5].flatMap((v) => f.map((each, i) => Math.cos(2 * Math.PI * (each * v + p[i]!))));
  for (const [i, value] of expected.entries()) assert.ok(Math.abs(found[i]! - value) < 1e-5);
  assert.ok(p.every((each) => each >= 0 && each < 1));
  await compiled.dispose();
});

for (const kind of adapterKinds) {
  test(`${kind} adapters: untrained the network itself, bit for bit; trained they see ω, time and class`, async () => {
    const adapters = adaptersOf(kind);
    const guided = student(network, adapters);
    const plain: Guided = (x, level, labels) => network.forward(x, level, labels);
    const fresh: Weights = new Map([...base, ...initialize(adapters, 2)]);
    assert.deepEqual(await run(guided, fresh, [0, 2], [1.5, 4]), await run(plain, fresh, [0, 2], [1.5, 4]));

    const trained: Weights = new Map([...base, ...randomWeights(adapters, 2)]);
    const [out, other] = [await run(guided, trained, [0], [2]), await run(guided, trained, [0], [3])];
    assert.notDeepEqual(out, other);
    // the network itself sees time and class; that the adapters do too is in the difference they make
    const added = async (label: number, level: number) => {
      const [a, b] = [
        await run(guided, trained, [label], [2], [level]),
        await run(plain, base, [label], [2], [level]),
      ];
      return a.map((value, i) => value - b[i]!);
    };
    assert.notDeepEqual(await added(0, 3), await added(1, 3));
    assert.notDeepEqual(await added(0, 3), await added(0, -2));
  });

  test(`${kind} adapters: two scales in one batch are two runs`, async () => {
    const adapters = adaptersOf(kind);
    const guided = student(network, adapters);
    const weights: Weights = new Map([...base, ...randomWeights(adapters, 2)]);
    const both = await run(guided, weights, [1, 1], [1.5, 4]);
    const [first, second] = [
      await run(guided, weights, [1], [1.5]),
      await run(guided, weights, [1, 1], [4, 4]),
    ];
    const close = (a: number[], b: number[]) =>
      a.every((value, i) => Math.abs(value - b[i]!) < 1e-5 * Math.max(1, Math.abs(value)));
    assert.ok(close(both.slice(0, 16), first));
    assert.ok(close(both.slice(16), second.slice(16)));
  });
}

for (const kind of adapterKinds)
  test(`linear ${kind} adapters: at ω = 1 the network itself, whatever their weights; what they add grows with ω − 1`, async () => {
    const adapters = new GuidanceAdapters({ kind, hiddenSize: 4, linear: true }, size);
    const guided = student(network, adapters);
    const plain: Guided = (x, level, labels) => network.forward(x, level, labels);
    const trained: Weights = new Map([...base, ...randomWeights(adapters, 2)]);
    assert.deepEqual(await run(guided, trained, [0, 2], [1, 1]), await run(plain, base, [0, 2], [1, 1]));
    assert.notDeepEqual(await run(guided, trained, [0], [2]), await run(plain, base, [0], [2]));

    const block = adapters.blocks[0]!;
    const compiled = await device.compile(
      (scale: Tensor, time: Tensor, label: Tensor, h: Tensor) => {
        const conditions = { scale, time, label };
        const own = block.attn.apply(block.attn.prepare(conditions), h);
        return [own.add(h.mul(0)), block.apply(block.prepare(conditions), h).add(h.mul(0))];
      },
      {
        inputs: [{ shape: [2] }, { shape: [2, 8] }, { shape: [2, 8] }, { shape: [2, 4, 8] }] as const,
        weights: randomWeights(adapters, 3),
      },
    );
    const numbers = (count: number, seed: number) =>
      Array.from({ length: count }, (_, i) => Math.sin(seed + 2 * i));
    const [own, scaled] = (
      await compiled(
        ndarray([1.5, 4]),
        ndarray(numbers(16, 1), [2, 8]),
        ndarray(numbers(16, 2), [2, 8]),
        ndarray(numbers(64, 3), [2, 4, 8]),
      )
    ).map(toNumbers) as [number[], number[]];
    for (const [i, value] of own.entries())
      assert.ok(Math.abs(scaled[i]! - value * (i < 32 ? 0.5 : 3)) < 1e-5 * Math.max(1, Math.abs(value)));
    await compiled.dispose();
  });

test('an offset is the same for every token; a cross-attention’s is not', async () => {
  for (const [kind, same] of [
    ['offset', true],
    ['attention', false],
    ['position', false],
    ['gated', false],
  ] as const) {
    const adapters = adaptersOf(kind);
    const weights = randomWeights(adapters, 3);
    const adapter = adapters.blocks[0]!.attn;
    const compiled = await device.compile(
      (scale: Tensor, time: Tensor, label: Tensor, h: Tensor) => {
        const added = adapter.apply(adapter.prepare({ scale, time, label }), h);
        return added.add(h.mul(0));
      },
      {
        inputs: [{ shape: [1] }, { shape: [1, 8] }, { shape: [1, 8] }, { shape: [1, 4, 8] }] as const,
        weights,
      },
    );
    const numbers = (count: number, seed: number) =>
      Array.from({ length: count }, (_, i) => Math.sin(seed + 2 * i));
    const out = toNumbers(
      await compiled(
        ndarray([2]),
        ndarray(numbers(8, 1), [1, 8]),
        ndarray(numbers(8, 2), [1, 8]),
        ndarray(numbers(32, 3), [1, 4, 8]),
      ),
    );
    const tokens = [0, 1, 2, 3].map((t) => out.slice(8 * t, 8 * t + 8));
    const alike = tokens.every((token) => token.every((value, i) => value === tokens[0]![i]));
    assert.equal(alike, same, kind);
    await compiled.dispose();
  }
});

test('m = 1 leaves nearby scales alike, the release’s 1000 does not', async () => {
  const relativeChange = async (scaleFactor: number) => {
    const adapters = new GuidanceAdapters({ kind: 'offset', hiddenSize: 64, scaleFactor }, size);
    const adapter = adapters.blocks[0]!.attn;
    const weights = randomWeights(adapters, 3, 0.2);
    const compiled = await device.compile(
      (scale: Tensor, time: Tensor) => adapter.prepare({ scale, time, label: time }),
      { inputs: [{ shape: [2] }, { shape: [2, 8] }] as const, weights },
    );
    const [a, b] = [2, 3.7].map(async (omega) => {
      const out = toNumbers(
        await compiled(ndarray([omega, omega + 0.05]), ndarray(new Float32Array(16), [2, 8])),
      );
      const [here, there] = [out.slice(0, 8), out.slice(8)];
      const norm = (values: number[]) => Math.hypot(...values);
      return norm(there.map((value, i) => value - here[i]!)) / norm(here);
    });
    const worst = Math.max(await a!, await b!);
    await compiled.dispose();
    return worst;
  };
  const [ours, theirs] = [await relativeChange(1), await relativeChange(1000)];
  assert.ok(ours < 0.25 && theirs > 3 * ours, `${ours} and ${theirs}`);
});

test('what does not fit is refused', () => {
  const adapters = adaptersOf('offset');
  const other = new DiT({
    hiddenSize: 16,
    depth: 3,
    numHeads: 2,
    patchSize: 2,
    inputSize: 4,
    inChannels: 1,
    classes: 3,
  });
  assert.throws(() => student(other, adapters), {
    name: 'AdapterError',
    message: 'these adapters are for 2 blocks of width 8, the model has 3 blocks of width 16',
  });
  const missing = undefined as unknown as Tensor;
  const some = {} as Tensor;
  assert.throws(
    () => adapters.prepare({ scale: missing, time: some, label: some }),
    /need the guidance scale/,
  );
  assert.throws(() => adapters.prepare({ scale: some, time: missing, label: some }), /need the time/);
  assert.throws(() => adaptersOf('attention', 5), /width 5 .* is not even/);
});
