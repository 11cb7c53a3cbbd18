import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Linear } from '@working-papers/nn/layers';
import { initialize, stateDict } from '@working-papers/nn/module';
import { decodeSafetensors, encodeSafetensors } from '@working-papers/nn/safetensors';
import { cardMarkdown, packModel, unpackModel } from './model-file.ts';

const line = { kind: 'line', create: ({ width }: { width: number }) => new Linear(width, 2) };

function packed() {
  const options = { width: 3 };
  const model = line.create(options);
  const weights = initialize(model, 1);
  return { model, weights, options, card: { seed: '1' } };
}

test('what is packed comes back: options, weights and card', () => {
  const all = packed();
  const { tensors, metadata } = packModel(line, all);
  const read = unpackModel(
    line,
    decodeSafetensors(encodeSafetensors(tensors, { metadata })),
    'a.safetensors',
  );
  assert.deepEqual(read.options, { width: 3 });
  assert.deepEqual(read.card, { seed: '1' });
  assert.deepEqual(stateDict(read.model, read.weights), stateDict(all.model, all.weights));
});

test('a file of another kind, without options, or with tensors that do not fit is refused', () => {
  const { tensors, metadata } = packModel(line, packed());
  const other = { ...line, kind: 'curve' };
  assert.throws(
    () => unpackModel(other, { tensors, metadata }, 'a'),
    /a holds 'working-papers\/line', expected 'working-papers\/curve'/,
  );
  assert.throws(() => unpackModel(line, { tensors, metadata: {} }, 'a'), /a does not say what it holds/);
  const { format = '' } = metadata;
  assert.throws(() => unpackModel(line, { tensors, metadata: { format } }, 'a'), /'options' is missing/);
  assert.throws(
    () => unpackModel(line, { tensors, metadata: { format, options: '{' } }, 'a'),
    /'options' is not JSON/,
  );
  assert.throws(
    () => unpackModel(line, { tensors, metadata: { ...metadata, options: '{"width":4}' } }, 'a'),
    /weight.*\[2,3\].*\[2,4\]|weight.*\[2,4\].*\[2,3\]/s,
  );
});

test('a card as a table', () => {
  assert.equal(
    cardMarkdown('a.safetensors', 'A line.', { seed: '1', other: 'x' }),
    '# a.safetensors\n\nA line.\n\n| | |\n| --- | --- |\n| Seed | 1 |\n',
  );
});
