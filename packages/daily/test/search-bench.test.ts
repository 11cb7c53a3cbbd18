import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edition20260910 } from '@working-papers/edition';
import { meanOf, measure } from '../bench/search/measures.ts';
import { judgedQueries } from '../bench/search/queries.ts';
import { judgedRecords, recordCount } from '../bench/search/records.ts';

test('sixty different queries in two halves, each with answers among the records or in the edition', () => {
  const records = judgedRecords();
  const ids = new Set(records.map(({ record }) => record.id));
  assert.equal(ids.size, recordCount);
  const edition = new Set(edition20260910.papers.map(({ arxiv }) => arxiv));
  for (const id of edition) assert.ok(!ids.has(id!), `${id} is one of the edition's`);

  const queries = judgedQueries(records);
  assert.equal(new Set(queries.map(({ text }) => text)).size, 60);
  assert.equal(queries.filter(({ half }) => half === 'tune').length, 30);
  for (const { text, answers } of queries) {
    assert.ok(answers.length > 0 && answers.length < 20, `${text}: ${answers.length} answers`);
    for (const id of answers) assert.ok(ids.has(id) || edition.has(id), `${text}: ${id}`);
  }
});

test('recall, reciprocal rank and gain as the book has them', () => {
  assert.deepEqual(measure(['a', 'x', 'b'], ['a', 'b']), {
    recallAt10: 1,
    reciprocalRank: 1,
    ndcgAt10: (1 + 1 / 2) / (1 + 1 / Math.log2(3)),
  });
  const none = measure(['x', 'y'], ['a']);
  assert.deepEqual(none, { recallAt10: 0, reciprocalRank: 0, ndcgAt10: 0 });
  // More answers than places: ten of them are all that can be found.
  const many = Array.from({ length: 12 }, (_, index) => String(index));
  assert.equal(measure(many, many).recallAt10, 1);
  assert.equal(measure([...'xxxxxxxxxx', 'a'], ['a']).recallAt10, 0, 'the eleventh counts no more');
  assert.deepEqual(meanOf([none, measure(['x', 'a'], ['a'])]), {
    recallAt10: 0.5,
    reciprocalRank: 0.25,
    ndcgAt10: 0.3155,
  });
});
