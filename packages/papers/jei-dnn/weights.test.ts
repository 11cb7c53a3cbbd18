import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { decodeSafetensors, encodeSafetensors } from '@working-papers/nn/safetensors';
import { cardMarkdown } from './card.ts';
import { tinyWeights } from './test/tiny.ts';
import { loadModel, packWeights, unpackWeights } from './weights.ts';
import { readWeights } from './weights-file.ts';

test('what is packed comes back, each cost weight with its own exits', () => {
  const weights = tinyWeights();
  const { tensors, metadata } = packWeights(weights);
  const back = unpackWeights(decodeSafetensors(encodeSafetensors(tensors, { metadata })));
  assert.deepEqual(back, weights);
  const [low, high] = weights.trained.map(({ costWeight }) => loadModel(back, costWeight));
  const bias = ({ model, values }: NonNullable<typeof low>) => [
    ...values.get(model.gates[0]!.linear.bias!)!.data,
  ];
  assert.notDeepEqual(bias(low!), bias(high!));
});

test('half precision moves no weight by more than its last bit', () => {
  const weights = tinyWeights();
  const { tensors, metadata } = packWeights(weights);
  const back = unpackWeights(decodeSafetensors(encodeSafetensors(tensors, { metadata, float32As: 'F16' })));
  for (const [name, { data }] of weights.backbone) {
    const half = back.backbone.get(name)!.data;
    data.forEach((value, i) => {
      assert.ok(Math.abs(Number(half[i]) - Number(value)) <= Math.abs(Number(value)) / 2048 + 1e-7, name);
    });
  }
});

test('a cost weight below 0, or one that was not trained, is refused with those that were', () => {
  assert.throws(() => loadModel(tinyWeights(), -0.1), /cost weight -0\.1 is not 0 or more/);
  assert.throws(() => loadModel(tinyWeights(), Number.NaN), /is not 0 or more/);
  assert.throws(() => loadModel(tinyWeights(), 0.3), /0\.3 was not trained: these weights have 0\.1, 1$/);
});

test('a file that is something else says so by its field', () => {
  const { tensors, metadata } = packWeights(tinyWeights());
  const without = (key: string, value?: string) => {
    const changed: Record<string, string> = { ...metadata };
    delete changed[key];
    if (value !== undefined) changed[key] = value;
    return () => unpackWeights({ tensors, metadata: changed }, 'w.safetensors');
  };
  assert.throws(without('format'), /w\.safetensors: metadata 'format' is missing/);
  assert.throws(without('costWeights', '[1,0.5]'), /'costWeights' is '\[1,0\.5\]', expected ascending/);
  assert.throws(without('costWeights', '[-1,0.5]'), /'costWeights'/);
  assert.throws(without('classNames', '["a"]'), /'classNames'.*expected 5 names/);
  assert.throws(without('architecture', '{'), /'architecture' is '\{'/);
  assert.throws(without('imageSize', '3.5'), /'imageSize'/);
  assert.throws(without('rule', '"first"'), /'rule' is '"first"', expected "joint" or "independent"/);
  const odd = new Map(tensors).set('extra', tensors.get('backbone.linear.bias')!);
  assert.throws(() => unpackWeights({ tensors: odd, metadata }, 'w'), /w: tensor 'extra'/);
});

test('writing refuses exits that do not fit the model, by the name of the tensor', () => {
  const weights = tinyWeights();
  const [first, ...rest] = weights.trained;
  const tensors = new Map(first!.tensors);
  tensors.delete('gates.1.linear.bias');
  const broken = { ...weights, trained: [{ ...first!, tensors }, ...rest] };
  assert.throws(() => packWeights(broken), /1 missing: gates\.1\.linear\.bias/);
});

test('the card beside the weights that ship says what their file does', async () => {
  const card = new URL('./weights/README.md', import.meta.url);
  assert.equal(await readFile(card, 'utf8'), cardMarkdown(await readWeights(), 'jei-dnn.safetensors'));
});
