import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Database } from '@working-papers/daily/database/connect';
import { parsePeriod } from '@working-papers/daily/dates';
import { bibtex } from '@working-papers/daily/papers/bibtex';
import { findPaper, findWork, readerMarks } from '@working-papers/daily/papers/cards';
import { editionPage, latestDate } from '@working-papers/daily/papers/editions';
import { type PaperRecord, recountWords, storeDay, storePapers } from '@working-papers/daily/papers/records';
import { relatedPapers } from '@working-papers/daily/papers/related';
import { trending } from '@working-papers/daily/papers/trending';
import { seedEditions } from '@working-papers/daily/seed';
import { edition20260910, editions } from '@working-papers/edition';
import { onEachDatabase } from './databases.ts';

const record = (id: string, more: Partial<PaperRecord> = {}): PaperRecord => ({
  id,
  title: `On ${id}`,
  authors: ['Ada Lovelace'],
  publishedAt: new Date('2026-09-01T00:00:00Z'),
  ...more,
});

onEachDatabase('papers', (backend) => {
  let database: Database;
  before(async () => {
    database = await backend.open();
    await seedEditions(database.db, editions);
  });

  test('the edition is there on first start, in its order, and only once', async () => {
    const { db } = database;
    assert.deepEqual(await seedEditions(db, editions), []);
    const page = await editionPage(db, 'day', parsePeriod('day', '2026-09-10')!);
    assert.equal(page.total, 11);
    assert.deepEqual(
      page.items.map(({ work }) => work?.id),
      edition20260910.papers.map(({ id }) => id),
    );
    assert.deepEqual(page.own, [
      { date: '2026-09-10', number: 1, subject: edition20260910.subject, question: edition20260910.question },
    ]);
    assert.equal(page.next, undefined);
    assert.equal(await latestDate(db, '2030-01-01'), '2026-09-10');
    assert.equal(await latestDate(db, '2026-09-09'), undefined);
    const jeiDnn = await findWork(db, 'jei-dnn');
    assert.deepEqual(jeiDnn?.work, { id: 'jei-dnn', name: 'JEI-DNN', state: 'works' });
    assert.equal(jeiDnn?.codeUrl, 'https://github.com/networkslab/dynn');
    assert.deepEqual(jeiDnn?.dates, ['2026-09-10']);
  });

  test('an edition whose facts change is written again, and a paper that left it leaves', async () => {
    const { db } = database;
    const [first, ...others] = edition20260910.papers;
    const changed = { ...edition20260910, date: '2026-09-11', number: 2, papers: [...others, first!] };
    assert.deepEqual(await seedEditions(db, [changed]), ['2026-09-11']);
    const shorter = { ...changed, subject: 'Another', papers: changed.papers.slice(9) };
    assert.deepEqual(await seedEditions(db, [shorter]), ['2026-09-11']);
    const page = await editionPage(db, 'day', parsePeriod('day', '2026-09-11')!);
    assert.deepEqual(
      page.items.map(({ work }) => work?.id),
      ['hunyuan-video-avatar', 'longspec'],
    );
    assert.equal(page.total, 2);
    await db.deleteFrom('editions').where('date', '=', '2026-09-11').execute();
    await db.updateTable('editions').set({ factsHash: 'old' }).execute();
    assert.deepEqual(await seedEditions(db, editions), ['2026-09-10']);
  });

  test('a better authority completes a paper, a lesser one changes nothing that is known', async () => {
    const { db } = database;
    const id = '2310.09163';
    const store = (paper: PaperRecord, authority: 'hf' | 'arxiv') =>
      db.transaction().execute((transaction) => storePapers(transaction, [paper], authority));
    const arxiv = record(id, {
      title: 'Jointly-Learned Exit and Inference',
      authors: ['Florence Regol', 'Joud Chataoui', 'Mark Coates'],
      abstract: 'Exits and gates.',
      version: 2,
      categories: ['cs.LG'],
      publishedAt: new Date('2023-10-13T14:57:58Z'),
      withdrawn: true,
    });
    assert.deepEqual(await store(arxiv, 'arxiv'), { stored: 0, changed: 1 });
    assert.deepEqual(
      await store(arxiv, 'arxiv'),
      { stored: 0, changed: 0 },
      'the same again changes nothing',
    );
    const older = { ...arxiv, version: 1, title: 'A first title' };
    assert.deepEqual(await store(older, 'arxiv'), { stored: 0, changed: 0 });
    const hf = record(id, {
      title: 'SHOUTED',
      abstract: 'Other.',
      upvotes: 12,
      codeStars: 40,
      keywords: ['early exit'],
    });
    assert.deepEqual(await store(hf, 'hf'), { stored: 0, changed: 1 });
    const paper = await findPaper(db, id);
    assert.equal(paper?.title, 'Jointly-Learned Exit and Inference');
    assert.equal(paper?.abstract, 'Exits and gates.');
    assert.equal(paper?.publishedPrecision, 'day');
    assert.equal(paper?.withdrawn, true);
    assert.equal(paper?.upvotes, 12);
    assert.equal(paper?.codeStars, 40);
    assert.equal(paper?.work?.id, 'jei-dnn', 'it is still ours');
    assert.ok(paper?.summary);
  });

  test("a source's day is added behind our own, walked page by page, and found from its neighbours", async () => {
    const { db } = database;
    const papers = Array.from({ length: 7 }, (_, index) => record(`2609.0000${index}`, { upvotes: index }));
    await db.transaction().execute(async (transaction) => {
      assert.deepEqual(await storePapers(transaction, papers, 'hf'), { stored: 7, changed: 0 });
      const entries = papers.map(({ id, upvotes = 0 }) => ({ paperId: id, upvotes }));
      await storeDay(transaction, '2026-09-10', 'hf', [
        { paperId: '2310.09163', upvotes: 3 },
        ...entries.slice(0, 1),
      ]);
      await storeDay(transaction, '2026-09-12', 'hf', []);
      await storeDay(transaction, '2026-09-14', 'hf', entries);
      await storeDay(transaction, '2026-09-14', 'hf', entries.toReversed());
    });
    const own = await editionPage(db, 'day', parsePeriod('day', '2026-09-10')!);
    assert.equal(own.total, 12);
    assert.equal(own.items.at(-1)?.id, '2609.00000', 'JEI-DNN keeps its place in the edition');
    assert.equal(own.following, '2026-09-14', 'past the empty day');
    const empty = await editionPage(db, 'day', parsePeriod('day', '2026-09-12')!);
    assert.deepEqual(
      [empty.total, empty.items, empty.previous, empty.following],
      [0, [], '2026-09-10', '2026-09-14'],
    );

    const walked: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page: Awaited<ReturnType<typeof editionPage>> = await editionPage(
        db,
        'day',
        parsePeriod('day', '2026-09-14')!,
        {
          limit: 3,
          cursor,
        },
      );
      walked.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    assert.deepEqual(walked, papers.map(({ id }) => id).toReversed(), 'in the order of the last answer');

    const week = await editionPage(db, 'week', parsePeriod('week', '2026-W37')!, { limit: 1 });
    assert.deepEqual([week.items[0]?.id, week.total, week.following], ['2310.09163', 12, '2026-W38']);
    const rest = await editionPage(db, 'month', parsePeriod('month', '2026-09')!, { limit: 100 });
    assert.equal(rest.total, 18);
    const upvotes = rest.items.map((paper) => paper.upvotes);
    assert.deepEqual(
      upvotes,
      upvotes.toSorted((a, b) => b - a),
    );
  });

  test('trending: votes and upvotes by age, code stars on top, pages that stay at one moment', async () => {
    const { db } = database;
    const now = new Date('2026-09-14T12:00:00Z');
    const first = await trending(db, { window: 7, now, limit: 3 });
    assert.deepEqual(
      first.items.map(({ id }) => id),
      ['2609.00006', '2609.00005', '2609.00004'],
    );
    const reader = await db
      .insertInto('users')
      .values({ email: 'reader@example.org' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db
      .insertInto('votes')
      .values([
        { userId: reader.id, paperId: '2609.00002', createdAt: '2026-09-14T11:00:00Z' },
        { userId: reader.id, paperId: '2609.00001', createdAt: '2026-09-13T00:00:00Z' },
      ])
      .execute();
    // 2 upvotes of this noon and one vote of an hour ago: 2 + 2^(-1/6) within a day, whose half-life is 6 hours.
    const day = await trending(db, { window: 1, now });
    const ids = day.items.map(({ id }) => id);
    assert.ok(ids.indexOf('2609.00002') < ids.indexOf('2609.00001'));
    assert.ok(ids.indexOf('2609.00003') < ids.indexOf('2609.00002'), '3 > 2.89');
    await db.updateTable('papers').set({ codeStars: 9999 }).where('id', '=', '2609.00002').execute();
    const starred = (await trending(db, { window: 1, now })).items.map(({ id }) => id);
    assert.ok(starred.indexOf('2609.00002') < starred.indexOf('2609.00003'), '2.89 · 1.4 > 3');

    const all = (await trending(db, { window: 30, now, limit: 100 })).items.map(({ id }) => id);
    assert.equal(all.length, 18);
    const walked: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page: Awaited<ReturnType<typeof trending>> = await trending(db, {
        window: 30,
        now,
        limit: 4,
        cursor,
      });
      walked.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    assert.deepEqual(walked, all);
    await assert.rejects(trending(db, { window: 2 }), {
      name: 'UserError',
      message: /one of 1, 7, 30 days, found 2/,
    });
    await assert.rejects(trending(db, { window: 1, cursor: 'bm8' }), {
      name: 'UserError',
      message: /^cursor: /,
    });

    const marks = await readerMarks(db, reader.id, ['2609.00002', '2609.00003', 'unknown']);
    assert.deepEqual(marks, {
      '2609.00002': { voted: true, inLibrary: false, read: false },
      '2609.00003': { voted: false, inLibrary: false, read: false },
    });
    assert.equal((await findPaper(db, '2609.00002'))?.upvotes, 3);
  });

  test('related papers share the rare words of a title', async () => {
    const { db } = database;
    const papers = [
      record('2608.00001', { title: 'Tokenizers for zeolite crystallography' }),
      record('2608.00002', { title: 'Crystallography of zeolites at scale' }),
      record('2608.00003', { title: 'Sourdough fermentation' }),
    ];
    await db.transaction().execute(async (transaction) => {
      await storePapers(transaction, papers, 'hf');
      await recountWords(transaction);
    });
    const related = await relatedPapers(database, '2608.00001');
    assert.equal(related[0]?.id, '2608.00002');
    assert.ok(related.every(({ id }) => id !== '2608.00001' && id !== '2608.00003'));
    assert.deepEqual(await relatedPapers(database, '2608.00003'), []);
    assert.deepEqual(await relatedPapers(database, 'unknown'), []);
  });
});

test('BibTeX as arXiv writes it; what would break the file is escaped', () => {
  const paper = {
    id: '2310.09163',
    title: 'Jointly-Learned Exit and Inference',
    authors: ['Florence Regol', 'Mark Coates'],
    publishedAt: new Date('2023-10-13'),
    categories: ['cs.LG'],
    doi: null,
    journal: null,
  };
  assert.equal(
    bibtex(paper),
    `@misc{regol2023jointly,
  title = {{Jointly-Learned Exit and Inference}},
  author = {Florence Regol and Mark Coates},
  year = {2023},
  eprint = {2310.09163},
  archivePrefix = {arXiv},
  primaryClass = {cs.LG},
  url = {https://arxiv.org/abs/2310.09163}
}`,
  );
  const hostile = bibtex({
    ...paper,
    title: 'A 50% gain } @misc{x, on $\\alpha_1$ & more_',
    authors: ['Özgür Ülker'],
  });
  assert.match(hostile, /@misc\{ulker2023gain,/);
  const formula = { ...paper, title: 'An $\\mathcal{O}(n)$ \\emph{bound}', authors: ['Kurt G\\"odel'] };
  assert.match(bibtex(formula), /@misc\{godel2023bound,/);
  assert.match(hostile, /title = \{\{A 50\\% gain {2}@misc\w+, on \$\\alpha_1\$ \\& more\\_\}\}/);
});
