import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { keep, library, vote } from '@working-papers/daily/accounts/library';
import { savedSearches, saveSearch } from '@working-papers/daily/accounts/saved-searches';
import { backup } from '@working-papers/daily/archive/backup';
import { restore } from '@working-papers/daily/archive/restore';
import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { examine } from '@working-papers/daily/doctor';
import { openMailer } from '@working-papers/daily/mail/mailer';
import { findPaper } from '@working-papers/daily/papers/cards';
import { storePapers } from '@working-papers/daily/papers/records';
import { search } from '@working-papers/daily/search/search';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings } from '@working-papers/daily/settings';
import { openSources } from '@working-papers/daily/sources/sources';
import { editions } from '@working-papers/edition';
import { onEachDatabase, openEmbedded } from './databases.ts';

onEachDatabase('archive', (backend) => {
  const home = mkdtempSync(join(tmpdir(), 'wp-backup-'));
  const path = join(home, 'papers.jsonl.gz');
  let database: Database;
  let userId: string;
  before(async () => {
    database = await backend.open();
    const { db } = database;
    await seedEditions(db, editions);
    const papers = Array.from({ length: 700 }, (_, index) => ({
      id: `2609.${String(index).padStart(5, '0')}`,
      title: `Paper "${index}" \\ with 'quotes' and ünïcode 🦊`,
      authors: ['Ada "A" Lovelace', '{curly, comma}'],
      abstract: 'First.\n\nSecond.',
      publishedAt: new Date('2026-09-01T10:00:00.123Z'),
    }));
    await db.transaction().execute((transaction) => storePapers(transaction, papers, 'hf'));
    const reader = await db
      .insertInto('users')
      .values({ email: 'ada@example.org' })
      .returning('id')
      .executeTakeFirstOrThrow();
    userId = reader.id;
    await vote(db, userId, '2609.00003', true);
    await keep(db, userId, '2609.00004', { tags: ['a, "b"', 'c'], isRead: true });
    await saveSearch(db, userId, { name: 'x', query: { text: 'exits', works: true }, alert: true });
    await db
      .insertInto('ingestLog')
      .values({ source: 'hf', outcome: 'done', date: '2026-09-01', message: null })
      .execute();
  });
  after(() => rmSync(home, { recursive: true }));

  test('everything moves, into an embedded database and into a server, exactly', async () => {
    const counts = await backup(database.db, path);
    assert.equal(counts.papers, 711);
    const targets = [await openEmbedded()];
    if (backend.createUrl) targets.push(await openDatabase({ url: await backend.createUrl(), pool: 2 }));
    for (const target of targets) {
      const { db } = target;
      await seedEditions(db, editions);
      assert.deepEqual(await restore(db, path), counts);
      for (const id of ['2609.00003', '2310.09163']) {
        assert.deepEqual(await findPaper(db, id), await findPaper(database.db, id), target.kind);
      }
      assert.deepEqual(await library(db, userId), await library(database.db, userId));
      assert.deepEqual(await savedSearches(db, userId), await savedSearches(database.db, userId));
      assert.equal((await findPaper(db, '2609.00003'))?.upvotes, 1, 'counted once');
      const { papers } = await db.selectFrom('editions').select('papers').executeTakeFirstOrThrow();
      assert.equal(papers, 11);
      assert.equal(
        (await search(target, { text: 'lovelase' })).corrected,
        'lovelace',
        'words are counted anew',
      );
      assert.deepEqual(await seedEditions(db, editions), [], 'the edition is known');
      await db
        .insertInto('ingestLog')
        .values({ source: 'hf', outcome: 'done', date: null, message: null })
        .execute();
      await assert.rejects(restore(db, path), {
        name: 'UserError',
        message: /holds readers, papers of others: --replace/,
      });
      assert.deepEqual(await restore(db, path, { replace: true }), counts);
      await target.close();
    }
  });

  test('what is no whole backup changes nothing', async () => {
    await backup(database.db, path);
    const whole = gunzipSync(readFileSync(path)).toString('utf8').trimEnd().split('\n');
    const header = JSON.parse(whole[0]!);
    const missing = whole.findIndex((line) => line.includes('"2609.00500"'));
    const needed = whole.findIndex((line) => line.includes('"2310.09163"'));
    const cases: readonly (readonly [content: Buffer, message: RegExp])[] = [
      [readFileSync(path).subarray(0, 5000), /is no whole backup: unexpected end of file/],
      [gzipSync(whole.slice(0, -1).join('\n')), /its end is missing/],
      [gzipSync(whole.toSpliced(missing, 1).join('\n')), /expected 711 rows of papers, found 710/],
      [gzipSync(whole.toSpliced(needed, 1).join('\n')), /edition_papers: .*foreign key/],
      [gzipSync([...whole, '{}'].join('\n')), /something follows its end/],
      [gzipSync([whole[0], 'nonsense'].join('\n')), /a line is no JSON/],
      [
        gzipSync([whole[0], '{"table":"pg_authid","row":{}}'].join('\n')),
        /a row of an unknown table 'pg_authid'/,
      ],
      [gzipSync(JSON.stringify({ ...header, version: 2 })), /expected version 1, found 2/],
      [
        gzipSync(
          JSON.stringify({
            ...header,
            columns: { ...header.columns, users: ['id', 'email"); drop table papers; --'] },
          }),
        ),
        /users: this program knows no column/,
      ],
      [gzipSync('{}'), /it does not begin as one/],
      [Buffer.from('not gzip'), /is no whole backup: incorrect header check/],
    ];
    const bad = join(home, 'bad.gz');
    for (const [content, message] of cases) {
      writeFileSync(bad, content);
      await assert.rejects(restore(database.db, bad, { replace: true }), { name: 'UserError', message });
    }
    await assert.rejects(restore(database.db, join(home, 'none.gz'), { replace: true }), {
      message: /none\.gz': no such file or folder/,
    });
    assert.equal((await findPaper(database.db, '2609.00003'))?.upvotes, 1);
    assert.equal((await library(database.db, userId)).items.length, 1);
  });

  test('a backup that is interrupted leaves the earlier file and nothing else', async () => {
    await backup(database.db, path);
    const earlier = readFileSync(path);
    const controller = new AbortController();
    const interrupted = backup(database.db, path, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('interrupted')),
    });
    await assert.rejects(interrupted, /interrupted/);
    assert.ok(readFileSync(path).equals(earlier));
    assert.deepEqual(
      readdirSync(home).filter((name) => name.endsWith('.tmp')),
      [],
    );
    assert.equal((await findPaper(database.db, '2609.00003'))?.upvotes, 1, 'the database is free again');
  });

  test('the doctor has a line for everything, and one for what is wrong', async () => {
    const settings = readSettings({ WP_HOME: home });
    const daily = {
      ...{ settings, database },
      sources: openSources(database.db, settings),
      mailer: openMailer({ ...settings, smtpUrl: 'smtp://127.0.0.1:2' }),
      embedder: async () => ({ why: 'search by meaning is switched off' }),
      close: async () => {},
    };
    await database.db
      .insertInto('ingestLog')
      .values({ source: 'arxiv', outcome: 'failed', date: '2026-09-01', message: 'answered 500' })
      .execute();
    const findings = await examine(daily);
    const states = Object.fromEntries(findings.map(({ name, state }) => [name, state]));
    assert.deepEqual(states, {
      database: 'ok',
      'search by meaning': 'note',
      mail: 'fault',
      deliveries: 'ok',
      'Hugging Face': 'ok',
      arXiv: 'fault',
      disk: 'ok',
      clock: 'ok',
    });
    assert.match(findings[0]!.message, /711 papers, 1 readers$/);
    assert.ok(findings.every(({ message }) => !message.includes('\n')));
  });
});
