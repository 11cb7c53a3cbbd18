import assert from 'node:assert/strict';
import test from 'node:test';
import { longDate } from '#lib/dates.ts';
import { capitalised, enumerate, inWords } from '#lib/words.ts';

test('dates are those of the calendar, wherever the server stands', () => {
  assert.equal(longDate('2026-09-10'), 'Thursday, 10 September 2026');
  assert.equal(longDate('2024-02-29'), 'Thursday, 29 February 2024');
});

test('words for running text', () => {
  assert.equal(inWords(11), 'eleven');
  assert.equal(inWords(13), '13');
  assert.equal(capitalised(inWords(0)), 'No');
  assert.equal(enumerate(['Cai', 'Vasconcelos']), 'Cai and Vasconcelos');
  assert.equal(enumerate(['Regol', 'Chataoui', 'Coates']), 'Regol, Chataoui and Coates');
  assert.equal(enumerate(['Yang']), 'Yang');
});
