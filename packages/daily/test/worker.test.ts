import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daily } from '@working-papers/daily/daily';
import type { Database } from '@working-papers/daily/database/connect';
import { utcDate } from '@working-papers/daily/dates';
import { jobs } from '@working-papers/daily/jobs/jobs';
import { startWorker } from '@working-papers/daily/jobs/worker';
import { createLog } from '@working-papers/daily/log';
import { openMailer } from '@working-papers/daily/mail/mailer';
import { serveMetrics } from '@working-papers/daily/metrics';
import { findPaper } from '@working-papers/daily/papers/cards';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings, type Settings } from '@working-papers/daily/settings';
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

/** As `openDaily` has it, on a database that is open already. */
function dailyOn(database: Database, settings: Settings): Daily {
  return {
    ...{ settings, database },
    mailer: openMailer(settings),
    sources: openSources(database.db, settings, 1),
    embedder: async () => ({ why: 'none' }),
    close: async () => {},
  };
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
    const daily = dailyOn(database, settings);
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

    const metrics = (await serveMetrics({ metricsPort: 0, metricsHost: '127.0.0.1' }))!;
    const told = await (await fetch(metrics.address)).text();
    await metrics.close();
    for (const line of [
      /^wp_job_seconds_count\{job="ingest",outcome="done"\} [1-9]/m,
      /^wp_mails_total\{outcome="sent"\} [1-9]/m,
      /^wp_ingest_days_total\{source="hf",outcome="done"\} [1-9]/m,
      /^wp_ingest_records_total\{source="hf",outcome="stored"\} [1-9]/m,
      // An embedded database has no connections.
      backend.kind === 'postgres'
        ? /^wp_database_connections\{state="idle"\} [1-9]/m
        : /^wp_database_connections\{state="idle"\} 0/m,
    ])
      assert.match(told, line);
  });

  test('told to stop while a letter is on its way, a worker waits for the answer and records it', async () => {
    const database = await backend.open();
    const begun = Promise.withResolvers<void>();
    const smtp = await startMailServer({
      async onAccept() {
        begun.resolve();
        await sleep(1_000);
      },
    });
    const settings = readSettings({ WP_SMTP_URL: smtp.url });
    const daily = dailyOn(database, settings);
    const { id: subscriptionId } = await database.db
      .insertInto('subscriptions')
      .values({ email: 'ada@example.org', frequency: 'daily', timeZone: 'UTC' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await database.db
      .updateTable('subscriptions')
      .set({ state: 'active', nextDueAt: new Date(Date.now() + 86_400_000) })
      .execute();
    const paper = {
      id: '2609.00001',
      title: 'Exits',
      authors: ['Ada'],
      upvotes: 1,
      excerpt: '',
      works: false,
    };
    const content = { frequency: 'daily', period: '2026-09-10', window: 1, papers: [paper] };
    await database.db
      .insertInto('deliveries')
      .values({ key: 'k', email: 'ada@example.org', subscriptionId, content: JSON.stringify(content) })
      .execute();
    const log = createLog({ json: true, write() {} });
    const worker = await startWorker(daily, { log, interval: 0.5, schedule: false });
    await begun.promise;
    await worker.stop();
    const { state } = await database.db.selectFrom('deliveries').select('state').executeTakeFirstOrThrow();
    assert.equal(state, 'sent');
    assert.equal(smtp.accepted.length, 1);
    daily.mailer.close();
    await smtp.close();
  });
});

test('a port for metrics that is taken is one line', async (t) => {
  const first = (await serveMetrics({ metricsPort: 0, metricsHost: '127.0.0.1' }))!;
  t.after(() => first.close());
  const { port } = new URL(first.address);
  const second = serveMetrics({ metricsPort: Number(port), metricsHost: '127.0.0.1' });
  await assert.rejects(second, {
    name: 'UserError',
    message: `WP_METRICS_PORT: port ${port} on 127.0.0.1 is taken`,
  });
  assert.equal(await serveMetrics({ metricsPort: undefined, metricsHost: '' }), undefined, 'none by default');
});

test('neither a reader’s address nor a token nor a password gets into the log, whoever says it', () => {
  const lines: string[] = [];
  const token = `${'aZ-_'.repeat(10)}xyz`;
  for (const json of [true, false]) {
    createLog({ json, write: (line) => lines.push(line) }).warn('refused', {
      reply: '550 5.1.1 <ada.l+papers@example.org>: no such user',
      link: `https://papers.example/login?token=${token}&to=/`,
      database: 'postgres://me:geheim@db.example/papers',
      stack: 'Error: x\n    at /srv/node_modules/@sveltejs/kit/index.js:1:2',
    });
  }
  for (const line of lines) {
    assert.doesNotMatch(line, /ada|example\.org|aZ-_|geheim/);
    assert.match(line, /<\(address\)>: no such user/);
    assert.match(line, /node_modules\/@sveltejs\/kit/);
  }
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
