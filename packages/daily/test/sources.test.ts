import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Database } from '@working-papers/daily/database/connect';
import { parsePeriod } from '@working-papers/daily/dates';
import { findPaper } from '@working-papers/daily/papers/cards';
import { editionPage } from '@working-papers/daily/papers/editions';
import { seedEditions } from '@working-papers/daily/seed';
import { papersById, parseFeed } from '@working-papers/daily/sources/arxiv';
import { parseDailyPapers } from '@working-papers/daily/sources/huggingface';
import { completeFromArxiv, ingest } from '@working-papers/daily/sources/ingest';
import { openSources, type Sources, waitForTurn } from '@working-papers/daily/sources/sources';
import { submit } from '@working-papers/daily/sources/submit';
import { editions } from '@working-papers/edition';
import fc from 'fast-check';
import { onEachDatabase } from './databases.ts';
import { arxivPaper, hfEntry, limits } from './fixtures/source-papers.ts';
import { type Fault, startSourceServer } from './fixtures/source-server.ts';

const server = await startSourceServer();
beforeEach(() => server.clear());
after(() => server.close());

test('Hugging Face: a bad record spoils no other, wrong extras are left out, texts are made safe', () => {
  const good = hfEntry('2609.00001', {
    title: 'On\u0000 \n exits\u0002',
    upvotes: 7,
    githubRepo: 'https://github.com/a/b',
    githubStars: 3,
    projectPage: 'javascript:alert(1)',
    ai_keywords: ['early exit', '  '],
  });
  const odd = hfEntry('2609.00002', { upvotes: '7', githubStars: -1, githubRepo: 17, ai_keywords: 'none' });
  const bad = [
    null,
    {},
    hfEntry('../../etc/passwd'),
    hfEntry('2609.00003', { title: '   ' }),
    hfEntry('2609.00004', { authors: [] }),
    hfEntry('2609.00005', { publishedAt: 'yesterday' }),
    hfEntry('2609.00006', { summary: null as unknown as string }),
    hfEntry('2609.00007', { authors: [{ name: 3 as unknown as string }] }),
  ];
  const { papers, rejected } = parseDailyPapers(JSON.stringify([good, ...bad, odd]));
  assert.deepEqual(
    papers.map(({ id }) => id),
    ['2609.00001', '2609.00002'],
  );
  const [first, second] = papers;
  assert.equal(first!.title, 'On exits');
  assert.equal(first!.projectUrl, undefined);
  assert.deepEqual(first!.keywords, ['early exit']);
  assert.deepEqual([second!.upvotes, second!.codeStars, second!.codeUrl], [undefined, undefined, undefined]);
  assert.deepEqual(
    rejected.map(({ at }) => at),
    bad.map((_, index) => `daily_papers[${index + 1}]`),
  );
  assert.match(rejected[2]!.message, /^paper\.id: expected an arXiv identifier/);
  assert.match(rejected[6]!.message, /^paper\.summary: /);
  assert.throws(() => parseDailyPapers('{"error":"x"}'), /expected a list, found object/);
});

test('Hugging Face: whatever JSON comes, it is read or told', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (items) => {
      const { papers, rejected } = parseDailyPapers(JSON.stringify(items));
      assert.equal(papers.length + rejected.length, items.length);
    }),
  );
});

test('arXiv: versions, old identifiers, LaTeX, withdrawn papers, and what is no feed', async () => {
  server.papers.set(
    'a',
    arxivPaper('2609.00001', { version: 3, title: 'Sampling from $p(x) < q(x)$\n  & others' }),
  );
  server.papers.set(
    'b',
    arxivPaper('hep-th/9901001', { comment: 'This paper has been withdrawn by the author' }),
  );
  server.papers.set('c', arxivPaper('2609.00002', { authors: [] }));
  const sources = { url: server.url, categories: ['cs.LG'], limits, turn: async () => {} };
  const { papers, rejected } = await papersById(sources, [
    '2609.00001',
    'hep-th/9901001',
    '2609.00002',
    '2609.99999',
  ]);
  const [latex, old] = papers;
  assert.equal(latex!.title, 'Sampling from $p(x) < q(x)$ & others');
  assert.deepEqual([latex!.id, latex!.version, latex!.withdrawn], ['2609.00001', 3, false]);
  assert.deepEqual([old!.id, old!.withdrawn], ['hep-th/9901001', true]);
  assert.deepEqual(rejected, [{ at: 'entry[2]', message: '2609.00002: author: expected at least one name' }]);

  assert.throws(() => parseFeed('<feed><entry>'), /^Error: no XML/);
  assert.throws(() => parseFeed('<html></html>'), /expected a feed/);
  const bomb = '<!DOCTYPE feed [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feed><title>&b;</title></feed>';
  assert.throws(() => parseFeed(bomb));
  const refusal = `<feed><entry><id>http://arxiv.org/api/errors#x</id><title>Error</title><summary>malformed id</summary></entry></feed>`;
  assert.throws(() => parseFeed(refusal), /arXiv says: malformed id/);
});

onEachDatabase('ingest', (backend) => {
  let database: Database;
  let sources: Sources;
  before(async () => {
    database = await backend.open();
    await seedEditions(database.db, editions);
    const settings = {
      arxivCategories: ['cs.LG'],
      arxivSpacing: 0,
      sourceTimeout: 1,
      sourceRetries: 1,
      sourceMegabytes: 1,
    };
    sources = openSources(database.db, { ...settings, hfUrl: server.url, arxivUrl: server.url }, 1);
  });
  const oneDay = async (date: string, more: object = {}) =>
    (
      await ingest(database.db, sources, { source: 'hf', from: date, to: date, today: '2026-09-20', ...more })
    )[0]!;
  const idsOf = async (date: string) =>
    (await editionPage(database.db, 'day', parsePeriod('day', date)!)).items.map(({ id }) => id);

  test('a day comes in once, is asked for politely again, and changes where it changed', async () => {
    server.days.set('2026-09-02', [hfEntry('2609.00001', { upvotes: 5 }), hfEntry('2609.00002')]);
    const dry = await oneDay('2026-09-02', { dryRun: true });
    assert.deepEqual([dry.outcome, dry.records, await idsOf('2026-09-02')], ['done', 2, []]);
    const first = await oneDay('2026-09-02');
    assert.deepEqual([first.outcome, first.stored, first.changed], ['done', 2, 0]);
    assert.deepEqual(await idsOf('2026-09-02'), ['2609.00001', '2609.00002']);
    assert.equal((await oneDay('2026-09-02')).outcome, 'unchanged');
    assert.ok(server.asked.at(-1)!.headers['if-none-match']);
    server.days.set('2026-09-02', [
      hfEntry('2609.00002', { upvotes: 99 }),
      hfEntry('2609.00001', { upvotes: 5 }),
    ]);
    const second = await oneDay('2026-09-02');
    assert.deepEqual([second.outcome, second.stored, second.changed], ['done', 0, 1]);
    assert.deepEqual(await idsOf('2026-09-02'), ['2609.00002', '2609.00001']);
    assert.equal((await findPaper(database.db, '2609.00002'))?.upvotes, 99);
  });

  test('a bad record is told, the good ones are stored, and the day is wanted again', async () => {
    server.days.set('2026-09-03', [hfEntry('2609.00003'), { paper: { id: 'x' } }]);
    const day = await oneDay('2026-09-03');
    assert.deepEqual([day.outcome, day.stored, day.rejected.length], ['partial', 1, 1]);
    assert.deepEqual(await idsOf('2026-09-03'), ['2609.00003']);
    assert.equal((await oneDay('2026-09-03')).outcome, 'partial', 'and not "unchanged"');
  });

  test('an answer that is empty, broken or missing takes nothing away', async () => {
    server.days.set('2026-09-02', []);
    assert.equal((await oneDay('2026-09-02')).outcome, 'done');
    for (const fault of ['half', 'elsewhere', 'huge', 'rubbish'] as const) {
      server.faults.push(fault, fault);
      const day = await oneDay('2026-09-02', { again: true });
      assert.equal(day.outcome, 'failed', fault);
      server.faults.length = 0;
    }
    assert.deepEqual(await idsOf('2026-09-02'), ['2609.00002', '2609.00001']);
    const { state, error } = await database.db
      .selectFrom('ingestDays')
      .selectAll()
      .where('date', '=', '2026-09-02')
      .executeTakeFirstOrThrow();
    assert.equal(state, 'failed');
    assert.match(error ?? '', /no such answer as expected/);
  });

  test('a day that is not open yet is no fault; a weekend is an empty page', async () => {
    const day = await oneDay('2026-10-02', { today: '2026-10-01' });
    assert.deepEqual([day.outcome, day.message], ['unchanged', 'the day is not open yet']);
    assert.equal((await oneDay('2026-10-02', { today: '2026-10-09' })).outcome, 'failed');
    assert.equal((await oneDay('2026-09-05')).outcome, 'done');
    assert.deepEqual(await idsOf('2026-09-05'), []);
  });

  test('a back-fill goes on where it was, past days that fail, and gives up on a source that is down', async () => {
    const range = { source: 'hf', from: '2026-08-03', to: '2026-08-09', today: '2026-09-20' } as const;
    for (const day of [3, 4, 5, 6, 7]) {
      server.days.set(`2026-08-0${day}`, [hfEntry(`2608.0000${day}`)]);
    }
    server.faults.push('none', 'error 500', 'error 500');
    const controller = new AbortController();
    const seen: string[] = [];
    const interrupted = ingest(database.db, sources, {
      ...range,
      signal: controller.signal,
      onDay: ({ date, outcome }) => {
        seen.push(`${date} ${outcome}`);
        if (date === '2026-08-05') controller.abort(new Error('interrupted'));
      },
    });
    await assert.rejects(interrupted, /interrupted/);
    assert.deepEqual(seen, ['2026-08-03 done', '2026-08-04 failed', '2026-08-05 done']);
    server.asked.length = 0;
    const again = await ingest(database.db, sources, range);
    assert.deepEqual(
      again.map(({ outcome }) => outcome),
      ['skipped', 'done', 'skipped', 'done', 'done', 'done', 'done'],
    );
    assert.equal(server.asked.length, 5);

    server.faults.push(...Array.from({ length: 20 }, (): Fault => 'error 500'));
    const down = await ingest(database.db, sources, { ...range, from: '2026-07-01', to: '2026-07-10' });
    server.faults.length = 0;
    assert.ok(down.every(({ outcome }) => outcome === 'failed'));
    assert.match(down[9]!.message!, /not asked: \d+ days in a row have failed/);
    await assert.rejects(ingest(database.db, sources, { ...range, to: '2026-08-01' }), {
      name: 'UserError',
      message: 'to: expected a day not before 2026-08-03, found 2026-08-01',
    });
  });

  test('a day of arXiv, over several pages, and completing what others do not know', async () => {
    for (let index = 0; index < 250; index++) {
      const id = `2609.1${String(index).padStart(4, '0')}`;
      server.papers.set(
        id,
        arxivPaper(id, { published: '2026-09-15T10:00:00Z', categories: ['cs.LG', 'stat.ML'] }),
      );
    }
    const day = await oneDay('2026-09-15', { source: 'arxiv' });
    assert.deepEqual([day.outcome, day.stored], ['done', 250]);
    assert.equal(server.asked.length, 2);
    assert.deepEqual((await findPaper(database.db, '2609.10000'))?.categories, ['cs.LG', 'stat.ML']);

    server.papers.set(
      'x',
      arxivPaper('2310.09163', { version: 2, published: '2023-10-13T14:57:58Z', summary: 'Exits.' }),
    );
    const completed = await completeFromArxiv(database.db, sources, { limit: 5 });
    assert.equal(completed.asked, 5, 'none of which this server knows');
    assert.equal(completed.missing.length, 5);
    const next = await completeFromArxiv(database.db, sources);
    assert.ok(
      next.asked > 5 && !next.missing.includes('2310.09163'),
      'unknown ones do not come again and again',
    );
    const paper = await findPaper(database.db, '2310.09163');
    assert.deepEqual([paper?.abstract, paper?.version, paper?.work?.id], ['Exits.', 2, 'jei-dnn']);
    assert.equal((await completeFromArxiv(database.db, sources)).asked, 0);
  });

  test('a paper is submitted once, in whatever form', async () => {
    server.papers.set('y', arxivPaper('2609.20001', { title: 'Submitted' }));
    const today = '2026-09-16';
    const added = await submit(database.db, sources, 'https://arxiv.org/pdf/2609.20001v1.pdf', { today });
    assert.deepEqual(added, { outcome: 'added', id: '2609.20001' });
    for (const form of ['2609.20001', 'arXiv:2609.20001v7', 'https://huggingface.co/papers/2609.20001']) {
      assert.deepEqual(await submit(database.db, sources, form, { today }), {
        outcome: 'known',
        id: '2609.20001',
      });
    }
    assert.deepEqual(await idsOf(today), ['2609.20001']);
    const journal = await submit(database.db, sources, '1906.09756');
    assert.deepEqual(journal, { outcome: 'known', id: '1712.00726' }, "Cascade R-CNN's journal version");
    await assert.rejects(submit(database.db, sources, 'https://example.org/x'), {
      name: 'UserError',
      message: /expected an arXiv/,
    });
    await assert.rejects(submit(database.db, sources, '2609.99999'), {
      name: 'UserError',
      message: 'arXiv knows no paper 2609.99999',
    });
  });

  test('calls to arXiv keep their distance, whichever process makes them', async () => {
    const times = await Promise.all(
      [1, 2, 3].map(async () => {
        await waitForTurn(database.db, 'spaced', 100);
        return performance.now();
      }),
    );
    times.sort((a, b) => a - b);
    assert.ok(times[2]! - times[0]! > 150, `${times}`);
  });
});
