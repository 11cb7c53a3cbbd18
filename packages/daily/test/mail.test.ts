import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { saveSearch, setAlert } from '@working-papers/daily/accounts/saved-searches';
import type { Database } from '@working-papers/daily/database/connect';
import { readUnsubscribe } from '@working-papers/daily/mail/addresses';
import { deliver } from '@working-papers/daily/mail/delivery';
import { type Mailer, openMailer } from '@working-papers/daily/mail/mailer';
import { planAlerts, planDigests } from '@working-papers/daily/mail/planning';
import { confirm, signingSecret, subscribe, unsubscribe } from '@working-papers/daily/mail/subscriptions';
import { storeDay, storePapers } from '@working-papers/daily/papers/records';
import { sql } from 'kysely';
import { onEachDatabase } from './databases.ts';
import { type MailServer, startMailServer } from './fixtures/mail-server.ts';
import { settings } from './fixtures/mail-settings.ts';

onEachDatabase('mail', (backend) => {
  let database: Database;
  let server: MailServer;
  let mailer: Mailer;
  before(async () => {
    database = await backend.open();
    server = await startMailServer();
    mailer = openMailer({ ...settings, smtpUrl: server.url });
    await database.db.transaction().execute(async (transaction) => {
      const papers = ['2609.00001', '2609.00002'].map((id) => ({
        id,
        title: `Early exits ${id}`,
        authors: ['Ada'],
        abstract: 'Exits.',
        publishedAt: new Date('2026-09-09'),
      }));
      await storePapers(transaction, papers, 'hf');
      await storeDay(transaction, '2026-09-10', 'hf', [
        { paperId: '2609.00001', upvotes: 3 },
        { paperId: '2609.00002', upvotes: 9 },
      ]);
    });
  });
  beforeEach(async () => {
    await sql`delete from deliveries`.execute(database.db);
    await sql`delete from digests`.execute(database.db);
    await sql`delete from subscriptions`.execute(database.db);
    server.accepted.length = 0;
  });
  after(async () => {
    mailer.close();
    await server.close();
  });
  let visitors = 0;
  const visitor = () => `visitor ${visitors++}`;
  const start = new Date('2026-09-10T12:00:00Z');
  const dueTime = new Date('2026-09-11T07:00:30Z');
  const tokenOf = (text: string) => /confirm\?token=([\w-]{43})/.exec(text)![1]!;
  const ask = (email: string, frequency = 'daily', timeZone = 'UTC') =>
    subscribe(database.db, mailer, settings, { email, frequency, timeZone, visitor: visitor() });
  const confirmLast = () =>
    confirm(
      database.db,
      settings,
      { token: tokenOf(server.accepted.at(-1)!.mail.text!), visitor: visitor() },
      start,
    );
  const activate = (emails: readonly string[], more: object = {}) =>
    database.db
      .insertInto('subscriptions')
      .values(
        emails.map((email) => ({
          ...{ email, frequency: 'daily' as const, timeZone: 'UTC', state: 'active' as const },
          nextDueAt: new Date('2026-09-11T07:00:00Z'),
          ...more,
        })),
      )
      .execute();
  const states = async () =>
    (
      await database.db
        .selectFrom('deliveries')
        .select(['email', 'state', 'error'])
        .orderBy('email')
        .execute()
    ).map(({ email, state, error }) => [email, state, error] as const);

  test('double opt-in: nothing is sent before the link is followed, which works once', async () => {
    const { db } = database;
    await ask('Ada@Example.org', 'daily', 'Europe/Berlin');
    assert.equal(await planDigests(db, settings, new Date('2027-01-01')), 0);
    const token = tokenOf(server.accepted.at(-1)!.mail.text!);
    const stored = await db.selectFrom('subscriptions').selectAll().execute();
    assert.ok(!JSON.stringify(stored).includes(token));
    const confirmed = await confirmLast();
    assert.deepEqual(confirmed, {
      email: 'ada@example.org',
      frequency: 'daily',
      timeZone: 'Europe/Berlin',
      nextDueAt: new Date('2026-09-11T05:00:00Z'),
    });
    assert.equal(await confirmLast(), undefined, 'used up');
    await ask('ada@example.org', 'weekly', 'UTC');
    const { frequency, state } = await db.selectFrom('subscriptions').selectAll().executeTakeFirstOrThrow();
    assert.deepEqual([frequency, state], ['daily', 'active'], 'somebody else cannot change it');
    assert.equal((await confirmLast())?.frequency, 'weekly');
    await assert.rejects(ask('ada@example.org', 'hourly'), { message: /^frequency: / });
    await assert.rejects(ask('ada@example.org', 'daily', 'Nowhere'), { message: /^time zone: / });
  });

  test('a digest: once for everybody, with the papers that trend, and a link that ends it', async () => {
    const { db } = database;
    await activate(['ada@example.org', 'bob@example.org']);
    assert.equal(await planDigests(db, settings, new Date('2026-09-11T06:59:00Z')), 0, 'not yet');
    const counts = await Promise.all([1, 2, 3].map(() => planDigests(db, settings, dueTime)));
    assert.equal(
      counts.reduce((a, b) => a + b),
      2,
      'by three planners at once',
    );
    await Promise.all([1, 2, 3].map(() => deliver(db, mailer, settings)));
    assert.deepEqual(server.accepted.map(({ to }) => to[0]).toSorted(), [
      'ada@example.org',
      'bob@example.org',
    ]);
    const { mail, raw } = server.accepted[0]!;
    assert.equal(mail.subject, 'Early exits 2609.00002 and 1 more');
    assert.ok(mail.text!.indexOf('2609.00002') < mail.text!.indexOf('2609.00001'), 'the most voted first');
    assert.equal(await planDigests(db, settings, dueTime), 0);
    assert.deepEqual(await deliver(db, mailer, settings), { sent: 0, dropped: 0, failed: 0 });
    assert.equal(server.accepted.length, 2);

    const [, link = ''] = /List-Unsubscribe: <([^>]+)>/.exec(raw.replaceAll(/\r\n\s+/g, ' '))!;
    const secret = await signingSecret(db);
    const ending = readUnsubscribe(secret, new URL(link).searchParams);
    assert.equal(ending?.kind, 'subscription');
    const forged = new URL(link);
    forged.searchParams.set('id', '00000000-0000-0000-0000-000000000000');
    assert.equal(readUnsubscribe(secret, forged.searchParams), undefined);
    await unsubscribe(db, ending!);
    await unsubscribe(db, ending!);
    assert.equal(await planDigests(db, settings, new Date('2026-09-12T07:00:30Z')), 1, 'the other one only');
  });

  test('who unsubscribes in between gets nothing more; who is refused for good is dropped', async () => {
    const { db } = database;
    await activate(['ada@example.org', 'gone@example.org', 'busy@example.org', 'fine@example.org']);
    await planDigests(db, settings, dueTime);
    const { id } = await db
      .selectFrom('subscriptions')
      .select('id')
      .where('email', '=', 'ada@example.org')
      .executeTakeFirstOrThrow();
    await db.updateTable('subscriptions').set({ state: 'ended' }).where('id', '=', id).execute();
    server.refused.set('gone@example.org', 550).set('busy@example.org', 450);
    assert.deepEqual(await deliver(db, mailer, settings), { sent: 1, dropped: 2, failed: 1 });
    assert.deepEqual(
      (await states()).map(([email, state]) => `${email} ${state}`),
      [
        'ada@example.org dropped',
        'busy@example.org waiting',
        'fine@example.org sent',
        'gone@example.org dropped',
      ],
    );
    server.refused.clear();
    await db
      .updateTable('deliveries')
      .set({ dueAt: sql<Date>`now()` })
      .where('state', '=', 'waiting')
      .execute();
    assert.equal((await deliver(db, mailer, settings)).sent, 1);
    assert.deepEqual(server.accepted.map(({ to }) => to[0]).toSorted(), [
      'busy@example.org',
      'fine@example.org',
    ]);
  });

  test('no server: nothing is lost, nothing counted against a letter', async () => {
    const { db } = database;
    await activate(['ada@example.org', 'bob@example.org']);
    await planDigests(db, settings, dueTime);
    const nowhere = openMailer({ ...settings, smtpUrl: 'smtp://127.0.0.1:2' });
    const counts = await deliver(db, nowhere, settings, { concurrency: 1 });
    nowhere.close();
    assert.deepEqual([counts.sent, counts.dropped], [0, 0]);
    const rows = await db.selectFrom('deliveries').select(['state', 'attempts', 'claim']).execute();
    assert.deepEqual(rows, Array(2).fill({ state: 'waiting', attempts: 0, claim: null }));
    await db.updateTable('deliveries').set({ dueAt: sql<Date>`now()` }).execute();
    assert.equal((await deliver(db, mailer, settings)).sent, 2);
  });

  test('the ambiguous moment: accepted, but the answer is lost: sent again under the same Message-ID', async () => {
    const { db } = database;
    await activate(['ada@example.org']);
    await planDigests(db, settings, dueTime);
    server.breakAfterAccepting = 1;
    const first = await deliver(db, mailer, settings);
    assert.equal(first.sent, 0);
    await db.updateTable('deliveries').set({ dueAt: sql<Date>`now()` }).execute();
    assert.equal((await deliver(db, mailer, settings)).sent, 1);
    assert.equal(server.accepted.length, 2);
    assert.equal(new Set(server.accepted.map(({ messageId }) => messageId)).size, 1);
  });

  test("a dead worker's claims pass on when the lease ends; one that slept leaves them alone", async () => {
    const { db } = database;
    await activate(['ada@example.org']);
    await planDigests(db, settings, dueTime);
    await sql`update deliveries set state = 'sending', claim = gen_random_uuid(),
      lease_until = now() + interval '1 minute'`.execute(db);
    assert.equal((await deliver(db, mailer, settings)).sent, 0, 'somebody has it');
    await sql`update deliveries set lease_until = now() - interval '1 second'`.execute(db);
    assert.equal((await deliver(db, mailer, settings)).sent, 1);

    await activate(['bob@example.org']);
    await planDigests(db, settings, dueTime);
    const sleepy: Mailer = { ...mailer, send: async () => assert.fail('its lease has ended') };
    assert.deepEqual(await deliver(db, sleepy, settings, { lease: -1 }), {
      ...{ sent: 0, dropped: 0, failed: 0 },
    });
    assert.equal((await deliver(db, mailer, settings)).sent, 1);
  });

  test('told to stop, a worker finishes what it began and gives the rest back', async () => {
    const { db } = database;
    await activate(Array.from({ length: 8 }, (_, index) => `reader${index}@example.org`));
    await planDigests(db, settings, dueTime);
    const controller = new AbortController();
    const stopping: Mailer = {
      ...mailer,
      async send(letter) {
        controller.abort();
        await mailer.send(letter);
      },
    };
    const { sent } = await deliver(db, stopping, settings, { concurrency: 2, signal: controller.signal });
    assert.ok(sent >= 1 && sent <= 2);
    const open = (await states()).filter(([, state]) => state !== 'sent');
    assert.ok(open.every(([, state]) => state === 'waiting'));
    assert.equal((await deliver(db, mailer, settings)).sent, 8 - sent);
    assert.equal(new Set(server.accepted.map(({ to }) => to[0])).size, 8);
    assert.equal(server.accepted.length, 8);
  });

  test('after days without a worker: the last days, not a flood; every zone on its own day', async () => {
    const { db } = database;
    await activate(['ada@example.org']);
    await activate(['kiri@example.org'], {
      timeZone: 'Pacific/Kiritimati',
      nextDueAt: new Date('2026-09-10T17:00:00Z'),
    });
    await planDigests(db, settings, new Date('2026-09-20T12:00:00Z'));
    for (let again = 0; again < 12; again++)
      await planDigests(db, settings, new Date('2026-09-20T12:00:00Z'));
    const keys = await db
      .selectFrom('deliveries')
      .select('key')
      .where('email', '=', 'ada@example.org')
      .orderBy('key')
      .execute();
    assert.deepEqual(
      keys.map(({ key }) => key.slice(-10)),
      ['2026-09-18', '2026-09-19', '2026-09-20'],
    );
    const { nextDueAt } = await db
      .selectFrom('subscriptions')
      .select('nextDueAt')
      .where('email', '=', 'kiri@example.org')
      .executeTakeFirstOrThrow();
    assert.equal(nextDueAt?.toISOString(), '2026-09-20T17:00:00.000Z');
  });

  test('alerts tell of papers that came in since, once', async () => {
    const { db } = database;
    const reader = await db
      .insertInto('users')
      .values({ email: 'ada@example.org' })
      .returning('id')
      .executeTakeFirstOrThrow();
    const saved = await saveSearch(db, reader.id, { name: 'Exits', query: { text: 'exits' }, alert: true });
    const tomorrow = new Date(Date.now() + 86_400_000);
    assert.equal(await planAlerts(database, tomorrow), 0, 'papers that were here before are no news');
    const toldUntil = (time: string) =>
      sql`update saved_searches set told_until = now() - ${time}::interval`.execute(db);
    await db
      .transaction()
      .execute((transaction) =>
        storePapers(
          transaction,
          [{ id: '2609.00009', title: 'More exits', authors: ['Bob'], publishedAt: new Date('2026-09-01') }],
          'hf',
        ),
      );
    await toldUntil('1 day');
    await sql`update papers set stored_at = now() - interval '2 days' where title <> 'More exits'`.execute(
      db,
    );
    assert.equal(await planAlerts(database, new Date()), 0, 'a paper of this moment is for the next alert');
    await toldUntil('1 minute');
    const counts = await Promise.all([planAlerts(database, tomorrow), planAlerts(database, tomorrow)]);
    assert.equal(counts[0] + counts[1], 1);
    assert.equal((await deliver(db, mailer, settings)).sent, 1);
    const { mail, raw } = server.accepted[0]!;
    assert.equal(mail.subject, 'Exits: 1 new paper');
    assert.match(mail.text!, /More exits/);
    const [, link = ''] = /List-Unsubscribe: <([^>]+)>/.exec(raw.replaceAll(/\r\n\s+/g, ' '))!;
    await unsubscribe(db, readUnsubscribe(await signingSecret(db), new URL(link).searchParams)!);
    assert.equal(await setAlert(db, reader.id, saved.id, false), true);
    assert.equal(await planAlerts(database, new Date(Date.now() + 4 * 86_400_000)), 0);
  });
});
