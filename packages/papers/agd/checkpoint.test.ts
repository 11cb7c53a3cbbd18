import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packModel, unpackModel } from '@working-papers/models/model-file';
import { stateDict } from '@working-papers/nn/module';
import { decodeSafetensors, encodeSafetensors } from '@working-papers/nn/safetensors';
import { decodeTorch, encodeTorch, type TorchValue } from '@working-papers/nn/torch-file';
import { ndarray } from '@working-papers/tensor';
import { adapterKind, readRelease, writeRelease } from './checkpoint.ts';
import { adapterKinds, GuidanceAdapters } from './model.ts';
import { randomWeights } from './test/tiny.ts';

const network = { depth: 2, width: 8, tokens: 4 };

test('saved and loaded: the same adapters, of every kind', () => {
  for (const kind of adapterKinds) {
    const options = { adapters: { kind, hiddenSize: 4 }, network };
    const model = new GuidanceAdapters(options.adapters, network);
    const weights = randomWeights(model, 1);
    const { tensors, metadata } = packModel(adapterKind, { model, weights, options, card: { seed: '1' } });
    const read = unpackModel(adapterKind, decodeSafetensors(encodeSafetensors(tensors, { metadata })));
    assert.deepEqual(read.options, options);
    assert.deepEqual(read.card, { seed: '1' });
    assert.deepEqual(stateDict(read.model, read.weights), stateDict(model, weights));
  }
});

type Checkpoint = Map<string, Map<string, TorchValue>>;

/** The `model` of a release's checkpoint, to be damaged. */
function checkpoint(kind: 'offset' | 'attention', options = {}): Checkpoint {
  const adapters = new GuidanceAdapters({ kind, hiddenSize: 4, ...options }, network);
  const root = decodeTorch(writeRelease(adapters, randomWeights(adapters, 1)));
  return (root as Map<string, TorchValue>).get('model') as Checkpoint;
}
const bytesOf = (model: TorchValue) => encodeTorch(new Map([['model', model]]));

test('the release has no adapters that grow with ω − 1', () => {
  const adapters = new GuidanceAdapters({ kind: 'offset', hiddenSize: 4, linear: true }, network);
  assert.throws(() => writeRelease(adapters, randomWeights(adapters, 1)), /grow with ω − 1 are ours/);
});

test('the release’s layout: written, read, kind and sizes read off the tensors', () => {
  for (const kind of ['offset', 'attention'] as const)
    for (const options of [{}, { useClass: false }, { useTimestep: false }]) {
      const adapters = new GuidanceAdapters({ kind, hiddenSize: 4, ...options }, network);
      const weights = randomWeights(adapters, 1);
      const read = readRelease(writeRelease(adapters, weights), {
        config: 'cfg_mult: 1000\narch: DiT-XL/2\n',
      });
      assert.deepEqual(stateDict(read.adapters, read.weights), stateDict(adapters, weights));
      assert.equal(read.adapters.options.scaleFactor, 1000);
      assert.equal(read.adapters.options.kind, kind);
      assert.deepEqual(read.adapters.network, { ...network, tokens: 256 });
    }
});

test('missing, unknown and mis-shaped tensors are listed; what is no checkpoint says so', () => {
  const damaged = (change: (model: Checkpoint) => void) => {
    const model = checkpoint('offset');
    change(model);
    return () => readRelease(bytesOf(model as unknown as TorchValue), { file: 'a.pt' });
  };
  const block = (model: Checkpoint) => model.get('blocks.1.attn')!;
  const cases: [() => unknown, RegExp][] = [
    [
      damaged((model) => block(model).delete('class_proj.bias')),
      /^a\.pt.*missing.*blocks\.1\.attn\.class_proj\.bias/s,
    ],
    [
      damaged((model) => block(model).set('extra', ndarray([1]))),
      /^a\.pt.*unexpected.*blocks\.1\.attn\.extra/s,
    ],
    [
      damaged((model) => block(model).set('timestep_proj.weight', ndarray(new Float32Array(36), [4, 9]))),
      /blocks\.1\.attn\.timestep_proj\.weight/,
    ],
    [damaged((model) => model.delete('blocks.0.attn')), /missing.*blocks\.0\.attn/s],
    [
      damaged((model) => {
        for (const tensors of model.values()) tensors.delete('guidance_scale_embedder.net.0.frequencies');
      }),
      /frequencies' is missing: without these buffers/,
    ],
    [damaged((model) => block(model).delete('guidance_scale_embedder.net.0.phases')), /phases/],
    [damaged((model) => model.set('mid_block', new Map())), /'mid_block' is no adapter of a DiT/],
    [damaged((model) => model.clear()), /^a\.pt: no adapters$/],
    [() => readRelease(encodeTorch([1]), { file: 'a.pt' }), /^a\.pt has no 'model' in it/],
    [() => readRelease(Uint8Array.of(1, 2), { file: 'a.pt' }), /^a\.pt: not a file of torch\.save/],
  ];
  for (const [read, message] of cases) assert.throws(read, { message });
});
