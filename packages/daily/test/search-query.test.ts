import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toSegments } from '@working-papers/daily/search/highlight';
import { parseQuery, wantedWords } from '@working-papers/daily/search/query';
import { differences } from '@working-papers/daily/search/spelling';
import fc from 'fast-check';

const shown = (text: string) =>
  parseQuery(text)
    .map((group) =>
      group
        .map((term) => (term.isExcluded ? '-' : '') + (term.isPhrase ? `"${term.text}"` : term.text))
        .join(' '),
    )
    .join(' | ');

test('words, phrases, exclusions and alternatives', () => {
  assert.equal(shown('diffusion transformer'), 'diffusion transformer');
  assert.equal(shown('"speech recognition" -ctc'), '"speech recognition" -ctc');
  assert.equal(shown('-"early exit" image or video OR audio'), '-"early exit" image | video | audio');
  assert.equal(shown('training-inference mismatch'), 'training-inference mismatch');
  assert.equal(shown('"never closed'), '"never closed"');
});

test('what makes no sense is ignored', () => {
  for (const text of ['', '  ', '"" - & | !', 'or', '-only -without', ':*', '\0\u0001'])
    assert.deepEqual(parseQuery(text), [], text);
  assert.equal(shown('or cats or'), 'cats');
  assert.equal(parseQuery('a '.repeat(500)).flat().length, 24);
});

test('the words that are wanted, hyphens opened', () => {
  assert.deepEqual(wantedWords(parseQuery('Training-Inference mismatch -gap "in use" training')), [
    'training',
    'inference',
    'mismatch',
    'in',
    'use',
  ]);
});

test('any text is a query', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Array.isArray(parseQuery(text))));
});

test('letters between two words', () => {
  assert.equal(differences('', 'abc'), 3);
  assert.equal(differences('modles', 'models'), 1);
  assert.equal(differences('kitten', 'sitting'), 3);
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      assert.equal(differences(a, b), differences(b, a));
      assert.equal(differences(a, b) === 0, a === b);
      assert.ok(differences(a, b) <= Math.max([...a].length, [...b].length));
    }),
  );
});

test('headlines become segments that the page can escape', () => {
  assert.deepEqual(toSegments('on \u0002exits\u0003 & <b>'), [
    { text: 'on ', isHit: false },
    { text: 'exits', isHit: true },
    { text: ' & <b>', isHit: false },
  ]);
  assert.deepEqual(toSegments('\u0002a\u0003\u0002b\u0003'), [
    { text: 'a', isHit: true },
    { text: 'b', isHit: true },
  ]);
  assert.deepEqual(toSegments(''), []);
});
