import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Database } from '@working-papers/daily/database/connect';
import { embeddingSize } from '@working-papers/daily/database/migrations';
import { type PaperRecord, storePapers } from '@working-papers/daily/papers/records';
import { relatedPapers } from '@working-papers/daily/papers/related';
import { type Embedder, loadEmbedder } from '@working-papers/daily/search/embedder';
import { embedPapers } from '@working-papers/daily/search/embeddings';
import { stemOf } from '@working-papers/daily/search/highlight';
import { type SearchQuery, search } from '@working-papers/daily/search/search';
import { seedEditions } from '@working-papers/daily/seed';
import { edition20260910, editions } from '@working-papers/edition';
import fc from 'fast-check';
import { sql } from 'kysely';
import { onEachDatabase } from './databases.ts';

const others: readonly PaperRecord[] = [
  {
    id: '2601.00001',
    title:
      'Training-inference mismatch in reinforcement learning: the mismatch between training and inference engines',
    authors: ['Zoë Müller'],
    abstract: 'Mismatch, mismatch and mismatch between training and inference, training and inference.',
    publishedAt: new Date('2026-01-02T10:00:00Z'),
    categories: ['cs.LG', 'cs.CL'],
    codeUrl: 'https://github.com/example/mismatch',
  },
  {
    id: '2601.00002',
    title: 'Diffusion transformers for weather',
    authors: ['Ada Lovelace', 'Alan Turing'],
    abstract: 'We forecast rain.',
    publishedAt: new Date('2026-01-03T10:00:00Z'),
    categories: ['physics.ao-ph'],
  },
  {
    id: '2601.00003',
    title: 'Forecasting rain',
    authors: ['Grace Hopper'],
    abstract: 'A comparison with diffusion models & <b>transformers</b> <script>alert(1)</script>.',
    publishedAt: new Date('2026-01-04T10:00:00Z'),
    categories: ['cs.LG'],
  },
  {
    id: '2601.00004',
    title: 'GPT-4 reads maps',
    authors: ['Diffusion Smith'],
    publishedAt: new Date('2026-01-05T10:00:00Z'),
    categories: ['cs.CV'],
  },
];

/** Two meanings that share no letter: enough to see that vectors are asked at all. */
const topics = [/\b(rain|weather|precipitation)/i, /\b(maps|atlas|cartography)/i];
const embedder: Embedder = {
  model: 'two-topics',
  embed: async (texts) =>
    texts.map((text) => {
      const vector = new Float32Array(embeddingSize);
      topics.forEach((topic, index) => {
        vector[index] = topic.test(text) ? 1 : 0;
      });
      vector[embeddingSize - 1] = 0.1;
      return vector;
    }),
};

onEachDatabase('search', (backend) => {
  let database: Database;
  before(async () => {
    database = await backend.open();
    await seedEditions(database.db, editions);
    await database.db.transaction().execute((transaction) => storePapers(transaction, others, 'hf'));
  });
  const ids = async (query: SearchQuery) => (await search(database, query)).items.map(({ id }) => id);
  const own = edition20260910.papers.map(({ arxiv }) => arxiv);

  test("the edition's subject brings its eleven papers first, in their order", async () => {
    for (const text of [
      'training-inference mismatch',
      'Mismatch of training and inference',
      'training inference mismtach',
    ]) {
      const found = await ids({ text });
      assert.deepEqual(found.slice(0, 11), own, text);
      assert.equal(found[11], '2601.00001', 'another paper about it follows');
    }
    assert.notDeepEqual((await ids({ text: 'training' })).slice(0, 11), own, 'a word of it is not its name');
  });

  test('titles over authors over abstracts', async () => {
    assert.deepEqual(
      (await ids({ text: 'diffusion' })).filter((id) => id.startsWith('2601')),
      ['2601.00002', '2601.00004', '2601.00003'],
    );
  });

  test('phrases, exclusions, alternatives, accents, numbers behind hyphens, identifiers', async () => {
    assert.deepEqual(await ids({ text: '"diffusion transformers" -harmonizing' }), ['2601.00002']);
    assert.deepEqual(await ids({ text: 'rain -weather' }), ['2601.00003']);
    assert.deepEqual((await ids({ text: 'weather or maps' })).toSorted(), ['2601.00002', '2601.00004']);
    assert.deepEqual(await ids({ text: 'zoe muller' }), ['2601.00001']);
    assert.deepEqual(await ids({ text: 'gpt-4' }), ['2601.00004']);
    assert.equal((await ids({ text: 'https://arxiv.org/abs/2310.09163v2' }))[0], '2310.09163');
    assert.equal((await ids({ text: '2310.09163' }))[0], '2310.09163');
    assert.equal((await ids({ text: 'jei-dnn' }))[0], '2310.09163');
  });

  test('typing errors in titles and names are forgiven, and said', async () => {
    const wrong = await search(database, { text: 'foercasting wether' });
    assert.equal(wrong.corrected, 'forecasting weather');
    assert.equal(wrong.items[0]?.id, '2601.00002');
    const near = await search(database, { text: 'difusion transfomers' });
    assert.equal(near.corrected, 'diffusion transformers');
    assert.deepEqual(
      near.items
        .slice(0, 2)
        .map(({ id }) => id)
        .toSorted(),
      ['2410.01723', '2601.00002'],
    );
    assert.equal((await search(database, { text: 'lovelase' })).items[0]?.id, '2601.00002');
    assert.equal((await search(database, { text: 'diffusion' })).corrected, undefined);
  });

  test('two letters that changed places are one error, even in a short word', async () => {
    const { corrected, items } = await search(database, { text: 'forecasting rian' });
    assert.equal(corrected, 'forecasting rain');
    assert.equal(items[0]?.id, '2601.00003');
  });

  test('abbreviations, spellings and hyphens find each other', async () => {
    assert.equal((await ids({ text: 'llms' }))[0], '2502.17421', 'language models, a keyword');
    assert.equal((await ids({ text: 'ASR' }))[0], '2304.07611');
    assert.ok((await ids({ text: 'colourization' })).includes('2504.06895'));
    assert.deepEqual(await ids({ text: 'multiobject tracking' }), ['2308.06635']);
    assert.deepEqual(await ids({ text: 'constructor toString' }), []);
  });

  test('papers with most of the words follow those with all, and it is said where there is none of these', async () => {
    const some = await search(database, { text: 'forecasting rain with telescopes' });
    assert.equal(some.isLoose, true);
    assert.equal(some.items[0]?.id, '2601.00003', 'both in its title');
    assert.deepEqual(
      some.items[0].highlights.title.filter(({ isHit }) => isHit).map(({ text }) => text),
      ['Forecasting', 'rain'],
    );
    const all = await search(database, { text: 'forecast rain weather' });
    assert.equal(all.isLoose, false);
    assert.deepEqual(
      all.items.map(({ id }) => id),
      ['2601.00002', '2601.00003'],
    );
    // What must hold holds; a list by date stays with papers that have all words.
    assert.deepEqual(await ids({ text: 'forecasting telescopes -comparison' }), ['2601.00002']);
    assert.deepEqual(await ids({ text: '"forecast rain" telescopes' }), ['2601.00003', '2601.00002']);
    assert.deepEqual(await ids({ text: 'forecasting rain telescopes', sort: 'date' }), []);
  });

  test('a word that is still being typed is completed', async () => {
    const { items } = await search(database, { text: 'grace hopp' }, { isTyping: true });
    assert.deepEqual(
      items.map(({ id }) => id),
      ['2601.00003'],
    );
  });

  test('filters: days, categories, papers that run, papers with code; alone as well', async () => {
    assert.deepEqual(await ids({ from: '2026-01-03', to: '2026-01-04' }), ['2601.00003', '2601.00002']);
    assert.deepEqual(await ids({ category: 'cs.LG' }), ['2601.00003', '2601.00001']);
    assert.deepEqual(await ids({ category: 'cs' }), ['2601.00004', '2601.00003', '2601.00001']);
    assert.deepEqual(await ids({ text: 'rain', category: 'cs' }), ['2601.00003']);
    const working = edition20260910.papers.filter(({ state }) => state === 'works').map(({ arxiv }) => arxiv);
    assert.deepEqual(await ids({ works: true, text: 'training inference mismatch' }), working);
    assert.ok((await ids({ hasCode: true })).includes('2601.00001'));
    assert.ok(!(await ids({ hasCode: true })).includes('2601.00002'));
    assert.deepEqual(await ids({ text: 'rain', sort: 'date' }), ['2601.00003', '2601.00002']);
  });

  test('what was searched for is marked, and text stays text', async () => {
    const { items } = await search(database, { text: 'transformer comparison' });
    const { highlights } = items.find(({ id }) => id === '2601.00003')!;
    assert.deepEqual(
      highlights.text.filter(({ isHit }) => isHit).map(({ text }) => text),
      ['comparison', 'transformers'],
    );
    assert.match(highlights.text.map(({ text }) => text).join(''), /models & <b>transformers/);
  });

  test('stems are those of the database', async () => {
    const { rows } = await sql<{ word: string; lexeme: string }>`
      select word, lexeme from words where lexeme is not null and word ~ '^[a-z]+$'`.execute(database.db);
    assert.ok(rows.length > 150);
    for (const { word, lexeme } of rows) assert.equal(stemOf(word), lexeme, word);
  });

  test('every page once, none twice', async () => {
    const all = await ids({ text: 'training' });
    assert.ok(all.length >= 11);
    for (const text of ['training', '']) {
      const whole = await ids({ text });
      const walked: string[] = [];
      for (let cursor: string | undefined = ''; cursor !== undefined; ) {
        const page: Awaited<ReturnType<typeof search>> = await search(
          database,
          { text },
          { limit: 4, cursor },
        );
        walked.push(...page.items.map(({ id }) => id));
        cursor = page.next;
      }
      assert.deepEqual(walked, whole);
    }
  });

  test('whatever is typed is answered', async () => {
    const hostile = [
      "'; drop table papers; --",
      '\\',
      '!!!',
      '((',
      'a & | b',
      ':*',
      '%_%',
      'a\0b',
      '🦊',
      "it's <-> \\'",
      '\u0002x\u0003',
    ];
    for (const text of hostile) await search(database, { text }, { isTyping: true });
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 40 }), async (text) => {
        await search(database, { text: text.isWellFormed() ? text : text.toWellFormed() });
      }),
      { numRuns: 40 },
    );
    assert.equal((await search(database, { text: 'rain' })).items.length, 2);
  });

  test('a wrong filter is refused by name', async () => {
    await assert.rejects(search(database, { from: '2026-02-30' }), { message: /^from: expected a day/ });
    await assert.rejects(search(database, { category: "cs' or '1'='1" }), {
      message: /^category: expected one as cs.LG/,
    });
    await assert.rejects(search(database, {}, { limit: 1000 }), { message: /^limit: expected/ });
  });

  test('search by meaning joins in where the database has pgvector, and stays out where not', async () => {
    const made = await embedPapers(database, embedder);
    const result = await search(database, { text: 'precipitation' }, { embedder });
    assert.equal(result.byMeaning, database.hasVectors);
    if (backend.kind === 'pglite') assert.ok(database.hasVectors, 'the embedded database brings it along');
    if (!database.hasVectors) {
      assert.equal(made, 0);
      assert.deepEqual(result.items, []);
      return;
    }
    assert.equal(made, 15);
    assert.equal(await embedPapers(database, embedder), 0, 'nothing twice');
    assert.deepEqual(
      result.items
        .slice(0, 2)
        .map(({ id }) => id)
        .toSorted(),
      ['2601.00002', '2601.00003'],
    );
    const both = await search(database, { text: 'maps' }, { embedder });
    assert.equal(both.items[0]?.id, '2601.00004');
    assert.equal((await relatedPapers(database, '2601.00002'))[0]?.id, '2601.00003');
    await database.db
      .updateTable('papers')
      .set({ title: 'An atlas' })
      .where('id', '=', '2601.00003')
      .execute();
    assert.equal(await embedPapers(database, embedder), 1, 'a text that changed is embedded anew');
    const only = await search(database, { text: 'cartography', category: 'cs.LG' }, { embedder });
    assert.equal(only.items[0]?.id, '2601.00003');
  });
});

test('why there is no search by meaning, in one sentence', async () => {
  const options = { embeddings: 'download', embeddingModel: 'some/model', modelFolder: '/nowhere' } as const;
  const whyOf = async (more: object, load?: () => Promise<unknown>) =>
    (await loadEmbedder({ ...options, ...more }, load)) as { why: string };
  assert.match((await whyOf({ embeddings: 'off' })).why, /switched off \(WP_EMBEDDINGS\)$/);
  assert.match((await whyOf({ embeddings: 'local' })).why, /needs the files of some\/model in \/nowhere/);
  const missing = async () => Promise.reject(new Error('Cannot find package'));
  assert.match((await whyOf({}, missing)).why, /needs the package @huggingface\/transformers/);
  const broken = async () => ({
    env: {},
    pipeline: async () => Promise.reject(new Error('no such model\nat x')),
  });
  assert.match((await whyOf({}, broken)).why, /some\/model cannot be loaded: no such model$/);
});

test('a model of another size is refused, one of ours is used', async () => {
  const options = { embeddings: 'download', embeddingModel: 'some/model', modelFolder: '/nowhere' } as const;
  const packageOf = (size: number) => async () => ({
    env: {},
    pipeline: async () => async (texts: readonly string[]) => ({
      data: Float32Array.from({ length: texts.length * size }, (_, index) => index),
      dims: [texts.length, size],
    }),
  });
  const wrong = (await loadEmbedder(options, packageOf(768))) as { why: string };
  assert.match(wrong.why, /expected vectors of 384 numbers, found 768/);
  const { embedder: loaded } = await loadEmbedder(options, packageOf(embeddingSize));
  const vectors = await loaded!.embed(['a', 'b']);
  assert.deepEqual([vectors.length, vectors[1]!.length, vectors[1]![0]], [2, embeddingSize, embeddingSize]);
});
