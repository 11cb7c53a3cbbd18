import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stateDict } from '@working-papers/nn/module';
import { tensorsHash } from '@working-papers/nn/tensors-hash';
import { readFeatures, readTeacher } from '../src/cifar10-files.ts';

/* Whoever measures with these weights must know that they are the same ones. */

test('the teacher that ships', async () => {
  const { model, weights, card } = await readTeacher();
  assert.equal(model.network.blocks.length, 8);
  assert.match(card.command!, /^wp train cifar10-teacher/);
  assert.equal(tensorsHash(stateDict(model, weights)).slice(0, 16), '1dd7882ebebf8c28');
});

test('the network that judges, frozen', async () => {
  const { model, weights, card } = await readFeatures();
  const [, accuracy] = /accuracy ([\d.]+) %/.exec(card.figures!)!;
  assert.ok(Number(accuracy) >= 85, `${accuracy} % on the test pictures`);
  assert.equal(tensorsHash(stateDict(model, weights)).slice(0, 16), '975e3c80274f08be');
});
