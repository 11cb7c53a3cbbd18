import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daily } from '@working-papers/daily/daily';
import { utcDate } from '@working-papers/daily/dates';
import { jobs } from '@working-papers/daily/jobs/jobs';
import { startWorker } from '@working-papers/daily/jobs/worker';
import { createLog } from '@working-papers/daily/log';
import { openMailer } from '@working-papers/daily/mail/mailer';
import { findPaper } from '@working-papers/daily/papers/cards';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings } from '@working-papers/daily/settings';
import { openSources } from '@working-papers/daily/sources/sources';
import { editions } from '@working-papers/edition';
import { onEachDatabase } from './databases.ts';
import { startMailServer } from './fixtures/mail-server.ts';
import { startSourceServer } from './fixtures/source-server.ts';

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 600) assert.fail('waited for a minute in vain');
    await sleep(100);
  }
}

onEachDatabase('worker', (backend) => {
  test('takes papers in and mails them, two workers where there is a server, and stops when told to', async (t) => {
    const home = mkdtempSync(join(tmpdir(), 'wp-worker-'));
    t.after(() => rmSync(home, { recursive: true }));
    const database = await backend.open();
    await seedEditions(database.db, editions);
    const [source, smtp] = [await startSourceServer(), await startMailServer()];
    const settings = readSettings({
      WP_HOME: home,
      WP_HF_URL: source.url,
      WP_ARXIV_URL: source.url,
      WP_ARXIV_SPACING: '0',
      WP_SMTP_URL: smtp.url,
    });
    const daily: Daily = {
      ...{ settings, database },
      mailer: openMailer(settings),
      sources: openSources(database.db, settings, 1),
      embedder: async () => ({ why: 'none' }),
      close: async () => {},
    };
    const lines: string[] = [];
    const log = createLog({ json: true, write: (line) => lines.push(line) });
    const count = backend.kind === 'postgres' ? 2 : 1;
    const workers = [];
    for (let index = 0; index < count; index++) {
      workers.push(await startWorker(daily, { log, interval: 0.5, schedule: false }));
    }
    const today = utcDate(new Date());
    const entry = {
      id: '2609.00001',
      title: 'Exits',
      summary: 'S.',
      authors: [{ name: 'Ada' }],
      publishedAt: '2026-09-01T00:00:00Z',
    };
    source.lastOpenDay = today;
    source.days.set(today, [{ paper: entry }]);

    await daily.database.db
      .insertInto('subscriptions')
      .values({
        email: 'ada@example.org',
        frequency: 'daily',
        timeZone: 'UTC',
        state: 'active',
        nextDueAt: new Date(),
      })
      .execute();
    const voter = await database.db
      .insertInto('users')
      .values({ email: 'v@example.org' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await database.db.insertInto('votes').values({ userId: voter.id, paperId: '2310.09163' }).execute();

    await workers[0]!.run('ingest');
    await workers[0]!.run('digests');
    await until(() => smtp.accepted.length > 0);
    await until(async () => (await findPaper(database.db, '2609.00001')) !== undefined);
    assert.match(smtp.accepted[0]!.mail.subject ?? '', /JEI-DNN/);
    await until(() => lines.some((line) => JSON.parse(line).message === 'mails were sent'));
    await Promise.all(workers.map((worker) => worker.stop()));
    assert.equal(smtp.accepted.length, 1);
    daily.mailer.close();
    await Promise.all([smtp.close(), source.close()]);
  });
});

test('every job can be scheduled and ends before it is taken for dead', () => {
  for (const [name, { cron, expires }] of Object.entries(jobs)) {
    assert.equal(cron.split(' ').length, 5, name);
    assert.ok(expires >= 600 && expires <= 3_600, name);
  }
});

test('log lines stay single, for people and for programs', () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  createLog({ json: false, write }).warn('down', { source: 'hf', reason: 'a\nb', nothing: undefined });
  createLog({ json: true, write }).info('up', { count: 3 });
  assert.match(lines[0]!, /^\S+Z warn: down source=hf reason="a\\nb"$/);
  const { time, ...rest } = JSON.parse(lines[1]!);
  assert.deepEqual(rest, { level: 'info', message: 'up', count: 3 });
  assert.ok(Date.parse(time) > 0);
});
