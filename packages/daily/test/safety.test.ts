// The server side under attack, where no other test has it; the README says which test stands for which clause.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { keep, library } from '@working-papers/daily/accounts/library';
import { saveSearch } from '@working-papers/daily/accounts/saved-searches';
import { logIn, readSession, requestLogin } from '@working-papers/daily/accounts/sessions';
import type { Database } from '@working-papers/daily/database/connect';
import { confirmMail, loginMail } from '@working-papers/daily/mail/letters';
import { type Letter, type Mailer, openMailer } from '@working-papers/daily/mail/mailer';
import { confirm, subscribe } from '@working-papers/daily/mail/subscriptions';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings } from '@working-papers/daily/settings';
import { openSources } from '@working-papers/daily/sources/sources';
import { submit } from '@working-papers/daily/sources/submit';
import { editions } from '@working-papers/edition';
import { sql } from 'kysely';
import { onEachDatabase } from './databases.ts';
import { startMailServer } from './fixtures/mail-server.ts';
import { startSourceServer } from './fixtures/source-server.ts';

const settings = readSettings({ WP_BASE_URL: 'https://papers.example' });

onEachDatabase('safety', (backend) => {
  let database: Database;
  const letters: Letter[] = [];
  const mailer: Mailer = {
    kind: 'folder',
    send: async (letter) => void letters.push(letter),
    verify: async () => {},
    close() {},
  };
  before(async () => {
    database = await backend.open();
    await seedEditions(database.db, editions);
  });
  const lastToken = () => /token=([\w-]{43})/.exec(letters.at(-1)!.text)![1]!;
  let visitors = 0;
  const visitor = () => `visitor ${visitors++}`;

  test('no token is in the database as its owner holds it: of links, of confirmations, of sessions', async () => {
    const { db } = database;
    await requestLogin(db, mailer, settings, { email: 'ada@example.org', visitor: visitor() });
    const login = lastToken();
    const session = (await logIn(db, settings, { token: login, visitor: visitor() }))!;
    const wish = { email: 'ada@example.org', frequency: 'daily', timeZone: 'UTC', visitor: visitor() };
    await subscribe(db, mailer, settings, wish);
    const tokens = [login, session.token, lastToken()];
    const { rows } = await sql<{ name: string }>`
      select table_name as name from information_schema.tables where table_schema = 'public'`.execute(db);
    assert.ok(rows.length > 15);
    for (const { name } of rows) {
      const all = await sql<{ row: string }>`select kept::text as row from ${sql.table(name)} kept`.execute(
        db,
      );
      for (const { row } of all.rows) for (const token of tokens) assert.ok(!row.includes(token), name);
    }
    assert.ok(await readSession(db, settings, session.token));
  });

  test('a confirmation is good for a week, for one yes, and not after a newer one', async () => {
    const { db } = database;
    const ask = async () => {
      await subscribe(db, mailer, settings, {
        ...{ email: 'bob@example.org', frequency: 'daily', timeZone: 'UTC', visitor: visitor() },
      });
      return lastToken();
    };
    const say = (token: string, now = new Date()) =>
      confirm(db, settings, { token, visitor: visitor() }, now);
    const first = await ask();
    assert.equal(await say(first, new Date(Date.now() + 7.1 * 86_400_000)), undefined, 'too late');
    const second = await ask();
    assert.equal(await say(first), undefined, 'replaced');
    const answers = await Promise.all([say(second), say(second), say(second)]);
    assert.equal(answers.filter((answer) => answer !== undefined).length, 1, 'of three at once');
  });

  test('what is submitted makes us ask arXiv and nobody else, and only for what is an identifier', async (t) => {
    const [arxiv, other] = [await startSourceServer(), await startSourceServer()];
    t.after(() => Promise.all([arxiv.close(), other.close()]));
    const given = { WP_ARXIV_URL: arxiv.url, WP_ARXIV_SPACING: '0', WP_SOURCE_RETRIES: '0' };
    const sources = openSources(database.db, readSettings(given), 1);
    const { host } = new URL(other.url);
    for (const text of [
      `${other.url}/abs/2609.20001`,
      `http://arxiv.org@${host}/abs/2609.20001`,
      `http://${host}#arxiv.org/abs/2609.20001`,
      `http://arxiv.org.${host}/abs/2609.20001`,
      `//${host}/abs/2609.20001`,
      'http://169.254.169.254/latest/meta-data/',
      'http://[::1]/abs/2609.20001',
      'file:///etc/passwd',
      'javascript:alert(1)//arxiv.org/abs/2609.20001',
      'https://arxiv.org/abs/../../etc/passwd',
      '2609.20001&id_list=2609.20002',
      "2609.20001' or true --",
      '2609.20001\r\nHost: example.org',
      '2609.20001\0',
      'x'.repeat(100_000),
    ]) {
      await assert.rejects(submit(database.db, sources, text), { name: 'UserError' }, text.slice(0, 100));
    }
    assert.deepEqual([arxiv.asked, other.asked], [[], []]);
    // One that is one: asked for where the settings say, and not followed to where arXiv would send us.
    arxiv.faults.push('elsewhere');
    await assert.rejects(submit(database.db, sources, `http://arxiv.org:80/abs/2609.20001?next=${host}`), {
      name: 'SourceError',
      message: /redirects to .* refused$/,
    });
    assert.deepEqual([arxiv.asked.length, other.asked.length], [1, 0]);
  });

  test('texts are parameters: what would end a statement is kept as it is', async () => {
    const { db } = database;
    const user = await db
      .insertInto('users')
      .values({ email: "o'neil@example.org" })
      .returning('id')
      .executeTakeFirstOrThrow();
    const hostile = [`'; drop table users; --`, '$1', '\\', '{"}', '"); --', '%_'];
    await keep(db, user.id, '2310.09163', { tags: hostile });
    const [entry] = (await library(db, user.id)).items;
    assert.deepEqual(entry?.tags.toSorted(), hostile.toSorted());
    for (const tag of hostile) assert.equal((await library(db, user.id, { tag })).items.length, 1, tag);
    for (const text of hostile) {
      const saved = await saveSearch(db, user.id, { name: text, query: { text: `x ${text}` }, alert: false });
      assert.equal(saved.name, text);
    }
  });
});

test('no statement is put together from texts', () => {
  const sources = join(import.meta.dirname, '..', 'src');
  const files = globSync('**/*.ts', { cwd: sources });
  assert.ok(files.length > 40);
  for (const file of files) {
    const text = readFileSync(join(sources, file), 'utf8');
    // Migrations are lists of constant statements.
    if (/sql\.raw|CompiledQuery\.raw/.test(text)) assert.equal(file, join('database', 'migrations.ts'));
    // What names tables and columns is constant: archives alone look them up, in a list of their own.
    if (/sql\.(table|id)\(/.test(text)) assert.match(file, /^archive/, file);
    // pg-boss brings statements of its own; the pool itself is used for nothing else.
    if (/pool\.query\(/.test(text)) assert.equal(file, join('database', 'connect.ts'));
  }
});

test('no letter can be given a header, whichever of its parts is hostile', async (t) => {
  const server = await startMailServer();
  const mailer = openMailer({ ...settings, smtpUrl: server.url });
  t.after(async () => {
    mailer.close();
    await server.close();
  });
  const attack = 'x\r\nBcc: everybody@example.org\r\n\r\nbody';
  const site = { ...settings, siteName: attack };
  const token = 'T'.repeat(43);
  await mailer.send(loginMail(site, 'ada@example.org', token));
  await mailer.send(confirmMail(site, 'ada@example.org', token, 'daily'));
  const letter = loginMail(settings, 'ada@example.org', token);
  await mailer.send({
    ...letter,
    subject: attack,
    messageId: `<x@y>${attack}`,
    unsubscribe: `https://x/${attack}`,
  });
  assert.equal(server.accepted.length, 3);
  for (const { raw, to, mail } of server.accepted) {
    assert.deepEqual(to, ['ada@example.org']);
    assert.doesNotMatch(raw.split('\r\n\r\n')[0]!, /^bcc:/im);
    assert.equal(mail.bcc, undefined);
  }
  // An address with more than an address in it goes to nobody.
  for (const address of [
    'ada@example.org\r\nRCPT TO:<bob@example.org>',
    'ada@example.org, bob@example.org',
    '<ada@example.org> SIZE=1',
  ]) {
    const sent = mailer.send({ ...letter, to: address });
    await assert.rejects(sent, { name: 'MailError', reason: 'recipient' }, JSON.stringify(address));
  }
  assert.equal(server.accepted.length, 3);
});
