import assert from 'node:assert/strict';
import { test } from 'node:test';
import { highlighter, marksOf, stemOf } from '@working-papers/daily/search/highlight';
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

const stems = (words: string) => words.split(' ').map(stemOf);
const marked = (segments: readonly { text: string; isHit: boolean }[]) =>
  segments.map(({ text, isHit }) => (isHit ? `[${text}]` : text)).join('');

test('hits are marked by their stems, accents ignored, phrases only as a whole', () => {
  const query = parseQuery('Muller "exits early" LLM -training');
  const marks = marksOf(query, new Map([['muller', ['miller']]]));
  assert.deepEqual(marks.words, ['muller', 'miller', 'llm']);
  assert.deepEqual(marks.phrases, ['large language model', 'language model', 'exits early']);
  const { whole } = highlighter(marks, stems('muller miller llm'));
  assert.equal(
    marked(whole('Müllers exit: a network exits early, early & <b>: language models, a language, training')),
    '[Müllers] exit: a network [exits early], early & <b>: [language models], a language, training',
  );
  assert.deepEqual(whole(''), []);
});

test('a passage is a part of the text with most different hits, from the beginning of a sentence where one is near', () => {
  const filler = (count: number) => Array.from({ length: count }, (_, index) => `w${index}`).join(' ');
  const text = `Caching ${filler(60)}. A new sentence (caching) for diffusion ${filler(60)}.`;
  const { passage } = highlighter(
    marksOf(parseQuery('caching diffusion'), new Map()),
    stems('caching diffusion'),
  );
  const shown = marked(passage(text));
  assert.ok(shown.startsWith('A new sentence ([caching]) for [diffusion] w0 '), shown);
  assert.equal(shown.split(' ').length, 36);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.string(), (any, asked) => {
      const parsed = parseQuery(asked);
      const marks = marksOf(parsed, new Map());
      const some = highlighter(marks, marks.words.map(stemOf));
      assert.equal(
        some
          .whole(any)
          .map(({ text }) => text)
          .join(''),
        any,
      );
      assert.ok(
        any.includes(
          some
            .passage(any)
            .map(({ text }) => text)
            .join(''),
        ),
      );
    }),
  );
});
