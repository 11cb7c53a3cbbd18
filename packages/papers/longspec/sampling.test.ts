import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@working-papers/nn/random';
import { createSampler } from './sampling.ts';

const random = new Random(5);
const logits = random.normals(2048, 0, 2);

test('noise in the last digits of the logits, as of another call of the model, changes no token', () => {
  const sampler = createSampler({ temperature: 1, seed: 3 });
  const again = logits.map((logit) => logit + 1e-5 * random.uniform(-1, 1));
  for (let position = 0; position < 1000; position++)
    assert.equal(sampler.choose(again, position), sampler.choose(logits, position), `at ${position}`);
});

test('top-k and top-p leave out what they should, and the rest keeps its noise', () => {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
  const all = createSampler({ temperature: 1, seed: 3 });
  const few = createSampler({ temperature: 1, seed: 3, topK: 5 });
  const one = createSampler({ temperature: 1, seed: 3, topP: 1e-6 });
  const seen = new Set<number>();
  for (let position = 0; position < 200; position++) {
    const token = few.choose(logits, position);
    seen.add(token);
    const scores = all.scores(logits, position);
    const best = order.slice(0, 5).reduce((a, b) => (scores[b]! > scores[a]! ? b : a));
    assert.equal(token, best);
    assert.equal(one.choose(logits, position), order[0]);
  }
  assert.deepEqual([...seen].sort(), order.slice(0, 5).sort());
});

test('other seeds and other positions draw other tokens; a temperature near 0 draws the likeliest', () => {
  const drawn = (seed: number) =>
    Array.from({ length: 50 }, (_, position) =>
      createSampler({ temperature: 1, seed }).choose(logits, position),
    );
  assert.deepEqual(drawn(1), drawn(1));
  assert.notDeepEqual(drawn(1), drawn(2));
  assert.ok(new Set(drawn(1)).size > 25);
  const cold = createSampler({ temperature: 1e-4, seed: 1 });
  const greedy = createSampler();
  for (let position = 0; position < 50; position++)
    assert.equal(cold.choose(logits, position), greedy.choose(logits, position));
});
