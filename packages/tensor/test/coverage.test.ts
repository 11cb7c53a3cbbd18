import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operators } from '../src/index.ts';
import { families } from './cases/index.ts';
import './reference/index.ts';
import { registered } from './reference/registry.ts';

/** A name may be in several families: `logSumExp` is listed under `max`, which it is made of. */
function namesIn(table: 'gradientCases' | 'forwardCases'): string[] {
  const entries = Object.values(families).flatMap((family) => Object.entries(family[table]));
  return [...new Set(entries.filter(([, list]) => list.length > 0).map(([name]) => name))];
}

const all = [...operators().values()];

test('every differentiable operator has a gradient check, and no other is listed', () => {
  const differentiable = all.filter((operator) => operator.grad !== null).map((operator) => operator.name);
  assert.deepEqual(namesIn('gradientCases').sort(), differentiable.sort());
});

test('every operator has a forward check and a reference evaluator', () => {
  const names = all.map((operator) => operator.name).sort();
  const checked = new Set([...namesIn('gradientCases'), ...namesIn('forwardCases')]);
  assert.deepEqual([...checked].sort(), names);
  assert.deepEqual([...registered().keys()].sort(), names);
});

test('every operator says in one line what it computes', () => {
  for (const { name, doc } of all) assert.match(doc, /^[^\n]{8,160}$/, name);
});
