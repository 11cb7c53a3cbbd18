import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deleteAccount, exportAccount, setTimeZone } from '@working-papers/daily/accounts/account';
import { readAddress } from '@working-papers/daily/accounts/addresses';
import { discard, keep, library, libraryTags, vote } from '@working-papers/daily/accounts/library';
import { forgetFullBuckets, limits, takeFrom } from '@working-papers/daily/accounts/limits';
import { recommendations } from '@working-papers/daily/accounts/recommendations';
import {
  deleteSearch,
  savedSearches,
  saveSearch,
  setAlert,
} from '@working-papers/daily/accounts/saved-searches';
import {
  forgetExpired,
  logIn,
  logOut,
  logOutEverywhere,
  readSession,
  requestLogin,
} from '@working-papers/daily/accounts/sessions';
import { isSigned, sign } from '@working-papers/daily/accounts/tokens';
import type { Database } from '@working-papers/daily/database/connect';
import { type Mailer, openMailer } from '@working-papers/daily/mail/mailer';
import { findPaper } from '@working-papers/daily/papers/cards';
import { storePapers } from '@working-papers/daily/papers/records';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings } from '@working-papers/daily/settings';
import { editions } from '@working-papers/edition';
import { sql } from 'kysely';
import { onEachDatabase } from './databases.ts';
import { type MailServer, startMailServer } from './fixtures/mail-server.ts';

onEachDatabase('accounts', (backend) => {
  let database: Database;
  let server: MailServer;
  let mailer: Mailer;
  const settings = readSettings({ WP_BASE_URL: 'https://papers.example', WP_LOGIN_MINUTES: '15' });
  before(async () => {
    database = await backend.open();
    await seedEditions(database.db, editions);
    server = await startMailServer();
    mailer = openMailer({ ...settings, smtpUrl: server.url });
  });
  after(async () => {
    mailer.close();
    await server.close();
  });
  let visitors = 0;
  const visitor = () => `visitor ${visitors++}`;
  const tokenOf = (text: string) => /https:\/\/papers\.example\/login\?token=([\w-]{43})/.exec(text)![1]!;
  const signIn = async (email: string) => {
    await requestLogin(database.db, mailer, settings, { email, visitor: visitor() });
    const token = tokenOf(server.accepted.at(-1)!.mail.text!);
    return (await logIn(database.db, settings, { token, visitor: visitor() }))!;
  };

  test('a link signs in once, and its session is known by its token alone', async () => {
    const { db } = database;
    await requestLogin(db, mailer, settings, { email: ' Ada@Example.ORG ', visitor: visitor() });
    const letter = server.accepted.at(-1)!;
    assert.deepEqual(letter.to, ['ada@example.org']);
    const token = tokenOf(letter.mail.text!);
    assert.equal(tokenOf(letter.mail.html as string), token);
    const stored = await db.selectFrom('loginTokens').selectAll().execute();
    assert.ok(!JSON.stringify(stored).includes(token), 'the database has its hash');

    const tries = await Promise.all([1, 2, 3].map(() => logIn(db, settings, { token, visitor: visitor() })));
    const sessions = tries.filter((session) => session !== undefined);
    assert.equal(sessions.length, 1, 'of three at once one comes in');
    const [session] = sessions;
    const reader = await readSession(db, settings, session!.token);
    assert.deepEqual(reader, { id: session!.reader.id, email: 'ada@example.org', timeZone: 'UTC' });
    assert.equal(await readSession(db, settings, `${session!.token.slice(0, -1)}!`), undefined);
    assert.equal(await readSession(db, settings, ''), undefined);
    await logOut(db, session!.token);
    assert.equal(await readSession(db, settings, session!.token), undefined);
  });

  test('links and sessions end', async () => {
    const { db } = database;
    await requestLogin(db, mailer, settings, { email: 'late@example.org', visitor: visitor() });
    const token = tokenOf(server.accepted.at(-1)!.mail.text!);
    await db.updateTable('loginTokens').set({ expiresAt: sql`now()` }).execute();
    assert.equal(await logIn(db, settings, { token, visitor: visitor() }), undefined);
    assert.equal(await logIn(db, settings, { token: 'unknown', visitor: visitor() }), undefined);
    const count = await db.selectFrom('users').select('id').where('email', '=', 'late@example.org').execute();
    assert.equal(count.length, 0, 'an account is made by its link and not by its form');

    const session = await signIn('ada@example.org');
    await db.updateTable('sessions').set({ seenAt: sql`now() - interval '2 days'` }).execute();
    const before = (await db.selectFrom('sessions').select('expiresAt').executeTakeFirstOrThrow()).expiresAt;
    assert.ok(await readSession(db, settings, session.token));
    const prolonged = (await db.selectFrom('sessions').select('expiresAt').executeTakeFirstOrThrow())
      .expiresAt;
    assert.ok(prolonged >= before);
    await db.updateTable('sessions').set({ expiresAt: sql`now()` }).execute();
    assert.equal(await readSession(db, settings, session.token), undefined);
    await forgetExpired(db);
    assert.deepEqual(await db.selectFrom('sessions').selectAll().execute(), []);
    const again = await signIn('ada@example.org');
    await logOutEverywhere(db, again.reader.id);
    assert.equal(await readSession(db, settings, again.token), undefined);
  });

  test('limits hold for all processes together, and pass with time', async () => {
    const { db } = database;
    const { burst } = limits.loginAddress;
    const attempts = Array.from({ length: burst + 4 }, () => takeFrom(db, 'loginAddress', 'x@example.org'));
    const outcomes = await Promise.allSettled(attempts);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, burst);
    const refused = outcomes.find((outcome) => outcome.status === 'rejected');
    assert.equal(refused?.reason.name, 'RateLimitError');
    assert.ok(refused?.reason.retryAfter > 0 && refused.reason.retryAfter <= limits.loginAddress.every);
    await takeFrom(db, 'loginAddress', 'y@example.org');
    await db
      .updateTable('rateLimits')
      .set({ fullAt: sql<Date>`full_at - interval '300 seconds'` })
      .where('key', 'like', '%x@example.org')
      .execute();
    await takeFrom(db, 'loginAddress', 'x@example.org');
    await assert.rejects(takeFrom(db, 'loginAddress', 'x@example.org'), { name: 'RateLimitError' });
    await db.updateTable('rateLimits').set({ fullAt: sql<Date>`now() - interval '1 second'` }).execute();
    await forgetFullBuckets(db);
    assert.deepEqual(await db.selectFrom('rateLimits').selectAll().execute(), []);
  });

  test('one vote a paper, taken back, never for what is not there', async () => {
    const { db } = database;
    const { reader } = await signIn('voter@example.org');
    assert.equal(await vote(db, reader.id, '2310.09163', true), 1);
    assert.equal(await vote(db, reader.id, '2310.09163', true), 1);
    assert.equal((await findPaper(db, '2310.09163'))?.upvotes, 1);
    assert.equal(await vote(db, reader.id, '2310.09163', false), 0);
    assert.equal(await vote(db, reader.id, '2310.09163', false), 0);
    assert.equal(await vote(db, reader.id, '9999.99999', true), undefined);
  });

  test('a library with tags and read marks, page by page', async () => {
    const { db } = database;
    const { reader } = await signIn('librarian@example.org');
    assert.equal(
      await keep(db, reader.id, '2310.09163', { tags: [' Early  Exit ', 'early exit', 'ünïcode'] }),
      true,
    );
    assert.equal(await keep(db, reader.id, '2310.09163'), true, 'again changes nothing');
    assert.equal(await keep(db, reader.id, '2405.14867', { tags: ['early exit'], isRead: true }), true);
    assert.equal(await keep(db, reader.id, '2410.01723'), true);
    assert.equal(await keep(db, reader.id, '9999.99999'), false);
    await assert.rejects(keep(db, reader.id, '2410.01723', { tags: ['x'.repeat(41)] }), {
      name: 'UserError',
    });

    const all = await library(db, reader.id);
    assert.deepEqual(all.items.map(({ paper }) => paper.id).toSorted(), [
      '2310.09163',
      '2405.14867',
      '2410.01723',
    ]);
    const jeiDnn = all.items.find(({ paper }) => paper.id === '2310.09163')!;
    assert.deepEqual([jeiDnn.tags, jeiDnn.readAt], [['early exit', 'ünïcode'], null]);
    const ids = async (options: object) =>
      (await library(db, reader.id, options)).items.map(({ paper }) => paper.id);
    assert.deepEqual((await ids({ tag: 'early exit' })).toSorted(), ['2310.09163', '2405.14867']);
    assert.deepEqual(await ids({ isRead: true }), ['2405.14867']);
    assert.deepEqual(await libraryTags(db, reader.id), [
      { tag: 'early exit', papers: 2 },
      { tag: 'ünïcode', papers: 1 },
    ]);
    const walked: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page: Awaited<ReturnType<typeof library>> = await library(db, reader.id, { limit: 1, cursor });
      walked.push(...page.items.map(({ paper }) => paper.id));
      cursor = page.next;
    }
    assert.deepEqual(walked, await ids({}));
    await keep(db, reader.id, '2405.14867', { isRead: false });
    assert.deepEqual(await ids({ isRead: true }), []);
    await discard(db, reader.id, '2410.01723');
    assert.equal((await ids({})).length, 2);
  });

  test("recommendations share the words of one's library and leave out what one knows", async () => {
    const { db } = database;
    const { reader } = await signIn('fan@example.org');
    assert.deepEqual(await recommendations(db, reader.id), []);
    const record = (id: string, title: string) => ({
      id,
      title,
      authors: ['A'],
      publishedAt: new Date('2026-09-01'),
    });
    await db
      .transaction()
      .execute((transaction) =>
        storePapers(
          transaction,
          [
            record('2609.00001', 'Zeolite crystallography with networks'),
            record('2609.00002', 'Crystallography of zeolite catalysts'),
            record('2609.00003', 'Sourdough fermentation'),
          ],
          'hf',
        ),
      );
    await keep(db, reader.id, '2609.00001');
    const found = await recommendations(db, reader.id);
    assert.equal(found[0]?.id, '2609.00002');
    assert.ok(!found.some(({ id }) => id === '2609.00001' || id === '2609.00003'));
    await vote(db, reader.id, '2609.00002', true);
    assert.ok(!(await recommendations(db, reader.id)).some(({ id }) => id === '2609.00002'));
  });

  test("saved searches are a reader's own", async () => {
    const { db } = database;
    const { reader } = await signIn('searcher@example.org');
    const { reader: other } = await signIn('other@example.org');
    const hostile = { text: 'diffusion', admin: true } as object;
    const saved = await saveSearch(db, reader.id, { name: '', query: hostile, alert: false });
    assert.deepEqual([saved.name, saved.query], ['diffusion', { text: 'diffusion' }]);
    await assert.rejects(saveSearch(db, reader.id, { name: 'x', query: {}, alert: true }), {
      name: 'UserError',
    });
    await assert.rejects(saveSearch(db, reader.id, { name: 'x', query: { from: 'now' }, alert: true }), {
      message: /^from: /,
    });
    assert.equal(await setAlert(db, other.id, saved.id, true), false);
    assert.equal(await deleteSearch(db, other.id, saved.id), false);
    assert.equal(await setAlert(db, reader.id, "' or true", true), false);
    assert.equal(await setAlert(db, reader.id, saved.id, true), true);
    assert.deepEqual(
      (await savedSearches(db, reader.id)).map(({ id, alert }) => [id, alert]),
      [[saved.id, true]],
    );
    assert.equal(await deleteSearch(db, reader.id, saved.id), true);
  });

  test('everything about a reader is exported, and then deleted without a trace', async () => {
    const { db } = database;
    const { reader } = await signIn('leaver@example.org');
    await setTimeZone(db, reader.id, 'Asia/Tokyo');
    await assert.rejects(setTimeZone(db, reader.id, 'Mars/Base'), { message: /^time zone: expected one as/ });
    await keep(db, reader.id, '2310.09163', { tags: ['a'] });
    await vote(db, reader.id, '2310.09163', true);
    await saveSearch(db, reader.id, { name: 'mine', query: { text: 'exits' }, alert: true });
    const data = await exportAccount(db, reader.id);
    assert.equal(data?.account.email, 'leaver@example.org');
    assert.equal(data?.account.timeZone, 'Asia/Tokyo');
    assert.deepEqual(
      data?.votes.map(({ paperId }) => paperId),
      ['2310.09163'],
    );
    assert.deepEqual(
      data?.library.map(({ paperId, tags }) => [paperId, tags]),
      [['2310.09163', ['a']]],
    );
    assert.equal(data?.savedSearches[0]?.name, 'mine');
    assert.doesNotMatch(JSON.stringify(data), /hash/i);

    assert.equal(await deleteAccount(db, reader.id), true);
    assert.equal(await deleteAccount(db, reader.id), false);
    assert.equal(await exportAccount(db, reader.id), undefined);
    for (const table of [
      'users',
      'loginTokens',
      'sessions',
      'votes',
      'library',
      'savedSearches',
      'deliveries',
    ] as const) {
      const rows = JSON.stringify(await db.selectFrom(table).selectAll().execute());
      assert.ok(!rows.includes('leaver@') && !rows.includes(reader.id), table);
    }
    assert.equal((await findPaper(db, '2310.09163'))?.upvotes, 0);
  });
});

test('addresses: what could be more than one of them, or a header, is none', () => {
  assert.equal(readAddress(' Ada.Lovelace+papers@Mail.Example.org '), 'ada.lovelace+papers@mail.example.org');
  assert.equal(readAddress('jürgen@bücher.example'), 'jürgen@bücher.example');
  const none = [
    '',
    'ada',
    'ada@',
    '@example.org',
    'a@b@c.org',
    'ada@example.org, bob@example.org',
    'ada@example.org\nBcc: bob@example.org',
    'ada@example.org\r\n\r\nbody',
    '"Ada" <ada@example.org>',
    'ada @example.org',
    'ada@-example.org',
    'ada@example..org',
    '.ada@example.org',
    `${'a'.repeat(65)}@example.org`,
    'ada@[127.0.0.1]',
    'ada@example',
    'ada@example.org\u0000',
  ].filter((text) => text.trim() !== 'ada@example.org');
  for (const text of none)
    assert.throws(() => readAddress(text), { name: 'UserError' }, JSON.stringify(text));
});

test('a proof is good for one purpose and one text', () => {
  const proof = sign('secret', 'unsubscribe', 'id');
  assert.ok(isSigned('secret', 'unsubscribe', 'id', proof));
  for (const [secret, purpose, text, given] of [
    ['other', 'unsubscribe', 'id', proof],
    ['secret', 'login', 'id', proof],
    ['secret', 'unsubscribe', 'id2', proof],
    ['secret', 'unsubscribe', 'id', ''],
    ['secret', 'unsubscribe', 'id', `${proof}x`],
  ] as const) {
    assert.equal(isSigned(secret, purpose, text, given), false);
  }
});
