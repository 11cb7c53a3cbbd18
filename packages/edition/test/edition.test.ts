import assert from 'node:assert/strict';
import test from 'node:test';
import { edition20260910, editionOf, editions, findPaper, identifiersOf } from '@working-papers/edition';

const { papers } = edition20260910;

/** Sentences end at a full stop, question mark or exclamation mark that closes the text or precedes a capital. */
function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.?!])\s+(?=\p{Lu})/u);
}

test('the first edition holds eleven papers with ids of their own', () => {
  assert.equal(papers.length, 11);
  assert.equal(new Set(papers.map((paper) => paper.id)).size, 11);
  for (const paper of papers) assert.match(paper.id, /^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test('these papers work', () => {
  const working = papers.filter((paper) => paper.state === 'works');
  assert.deepEqual(
    working.map((paper) => paper.id),
    ['longspec', '3dmotformer', 'agd', 'jei-dnn'],
  );
});

for (const paper of papers) {
  test(`${paper.name}: two sentences, authors, identifiers and links are well formed`, () => {
    const sentences = sentencesOf(paper.summary);
    assert.equal(sentences.length, 2, sentences.join('\n'));
    for (const sentence of sentences) assert.match(sentence, /^\p{Lu}.*\.$/u);

    assert.ok(paper.authors.length > 0);
    for (const author of paper.authors) assert.equal(author, author.trim());
    assert.ok(paper.year >= 2018 && paper.year <= 2026);
    assert.ok(!paper.venue || paper.venue.includes(String(paper.year)), 'the venue names the year');

    const identifiers = identifiersOf(paper);
    assert.ok(identifiers.length > 0);
    for (const { scheme, value, url } of identifiers) {
      assert.match(value, scheme === 'arXiv' ? /^\d{4}\.\d{5}$/ : /^10\.\d{4,9}\/\S+$/);
      assert.equal(url, `${scheme === 'arXiv' ? 'https://arxiv.org/abs/' : 'https://doi.org/'}${value}`);
    }

    for (const { label, url } of paper.links) {
      assert.ok(label.length > 0);
      assert.equal(new URL(url).href.replace(/\/$/, ''), url, 'absolute, normalised, no trailing slash');
      assert.equal(new URL(url).protocol, 'https:');
    }

    for (const words of [paper.mismatch, paper.gap.training, paper.gap.inference]) {
      assert.ok(words.length > 0 && words.length <= 72, `too long for its line: ${words}`);
      assert.doesNotMatch(words, /\.$/);
    }
    assert.ok(paper.tags.length > 0);
    assert.equal(paper.input !== undefined, paper.state === 'works', 'what runs says what it takes');
  });
}

test('editions are found by date, papers by id', () => {
  assert.equal(editionOf('2026-09-10'), edition20260910);
  assert.equal(editionOf('2026-09-11'), undefined);
  assert.equal(findPaper('jei-dnn')?.paper.name, 'JEI-DNN');
  assert.equal(findPaper('jei-dnn')?.edition, edition20260910);
  assert.equal(findPaper('no-such-paper'), undefined);
});

test('editions stand newest first, with dates that exist', () => {
  const dates = editions.map((edition) => edition.date);
  assert.deepEqual(dates, dates.toSorted().reverse());
  for (const date of dates) assert.equal(new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10), date);
});
