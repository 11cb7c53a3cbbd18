import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operators } from '../src/index.ts';
import { readReadme, withOperators } from './readme.ts';

test('the README lists every operator as it documents itself', () => {
  const readme = readReadme();
  assert.ok(readme.includes(`| \`${[...operators().keys()].at(-1)}\` |`), 'there is a table');
  assert.equal(readme, withOperators(readme), 'out of date: npm run readme -w packages/tensor');
});
