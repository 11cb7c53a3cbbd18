import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operators } from '../src/index.ts';
import { readReadme, withOperators, withSpeed } from './readme.ts';

test('the README lists every operator as it documents itself', () => {
  const readme = readReadme();
  assert.ok(readme.includes(`| \`${[...operators().keys()].at(-1)}\` |`), 'there is a table');
  assert.equal(readme, withOperators(readme), 'out of date: npm run readme -w packages/tensor');
});

test('the README’s figures of speed are those of results.json', () => {
  const readme = readReadme();
  assert.ok(/\| GPT.*training step/.test(readme), 'there is a table');
  assert.equal(readme, withSpeed(readme), 'out of date: npm run readme -w packages/tensor');
});
