import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readUnsubscribe, unsubscribeAddress } from '@working-papers/daily/mail/addresses';
import { alertMail, digestMail, loginMail, shortened } from '@working-papers/daily/mail/letters';
import { openMailer } from '@working-papers/daily/mail/mailer';
import { nextDue } from '@working-papers/daily/mail/subscriptions';
import { startMailServer } from './fixtures/mail-server.ts';
import { settings } from './fixtures/mail-settings.ts';

const paper = {
  id: '2609.00001',
  title: 'On <script>alert(1)</script> & "exits"\r\nBcc: everybody@example.org',
  authors: ['Ada <b>', 'Bob', 'Cai', 'Dee', 'Eve'],
  upvotes: 3,
  excerpt: 'We <i>exit</i>.',
  works: true,
};
const ended = {
  messageId: '<1@papers.example>',
  unsubscribe: 'https://papers.example/unsubscribe?kind=alert&id=1&proof=x',
};

test('what strangers write stays text in HTML, and never becomes a header', async (t) => {
  const server = await startMailServer();
  const mailer = openMailer({ ...settings, smtpUrl: server.url });
  t.after(async () => {
    mailer.close();
    await server.close();
  });
  const content = { frequency: 'daily', period: '2026-09-10', window: 1, papers: [paper] } as const;
  await mailer.send(digestMail(settings, 'ada@example.org', content, ended));
  await mailer.send(
    alertMail(
      settings,
      'ada@example.org',
      { name: 'x\r\nBcc: e@e.org', papers: [paper], hasMore: false },
      ended,
    ),
  );
  for (const { raw, mail, to, from } of server.accepted) {
    assert.deepEqual(to, ['ada@example.org']);
    assert.equal(from, 'bounces@papers.example');
    assert.equal(mail.from?.text, '"Papers" <papers@papers.example>');
    assert.doesNotMatch(raw.split('\r\n\r\n')[0]!, /^bcc:/im);
    assert.doesNotMatch(mail.html as string, /<script|<b>|<i>/);
    assert.match(mail.html as string, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
    assert.match(mail.text!, /On <script>alert\(1\)<\/script> & "exits"/);
    assert.match(
      raw.replaceAll(/\r\n\s+/g, ' '),
      /^List-Unsubscribe: <https:\/\/papers\.example\/unsubscribe\?kind=alert&id=1&proof=x>/m,
    );
    assert.match(raw, /^List-Unsubscribe-Post: List-Unsubscribe=One-Click/m);
    assert.equal(mail.messageId, '<1@papers.example>');
  }
});

test('without a mail server letters are files, the same letter once', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'wp-mail-'));
  t.after(() => rmSync(home, { recursive: true }));
  const mailer = openMailer({ ...settings, mailFolder: join(home, 'mail') });
  assert.equal(mailer.kind, 'folder');
  await mailer.send(loginMail(settings, 'ada@example.org', 'TOKEN'));
  const letter = alertMail(
    settings,
    'bob@example.org',
    { name: 'Exits', papers: [paper], hasMore: true },
    ended,
  );
  await mailer.send(letter);
  await mailer.send(letter);
  const files = readdirSync(join(home, 'mail'));
  assert.equal(files.length, 2);
  const eml = readFileSync(join(home, 'mail', '1@papers.example.eml'), 'utf8');
  assert.match(eml, /^To: bob@example\.org\r$/m);
  assert.match(eml, /^Subject: Exits: more than 1 new paper\r$/m);
});

test('a server that is not there is told as such', async () => {
  const mailer = openMailer({ ...settings, smtpUrl: 'smtp://127.0.0.1:2' });
  await assert.rejects(mailer.verify(), { name: 'MailError', reason: 'server' });
  mailer.close();
});

test('titles are shortened between words, never within a character', () => {
  assert.equal(shortened('one two three', 20), 'one two three');
  assert.equal(shortened('one two three', 10), 'one two…');
  assert.ok(shortened('🦊'.repeat(20), 8).isWellFormed());
});

test('when the next digest is due', () => {
  const timing = { digestHour: 7, digestWeekday: 1 };
  const due = (frequency: 'daily' | 'weekly', zone: string, after: string) =>
    nextDue(frequency, zone, timing, new Date(after)).toISOString();
  assert.equal(due('daily', 'Europe/Berlin', '2026-09-10T04:59:00Z'), '2026-09-10T05:00:00.000Z');
  assert.equal(due('daily', 'Europe/Berlin', '2026-09-10T05:00:00Z'), '2026-09-11T05:00:00.000Z');
  assert.equal(due('weekly', 'UTC', '2026-09-10T12:00:00Z'), '2026-09-14T07:00:00.000Z');
  assert.equal(due('weekly', 'America/Los_Angeles', '2026-09-14T13:00:00Z'), '2026-09-14T14:00:00.000Z');
  assert.equal(
    due('daily', 'Europe/Berlin', '2026-10-24T05:00:00Z'),
    '2026-10-25T06:00:00.000Z',
    'winter time',
  );
});

test('links to unsubscribe are read strictly', () => {
  const address = unsubscribeAddress('https://papers.example', 's', { kind: 'alert', id: 'x' });
  const read = (change: (parameters: URLSearchParams) => void, secret = 's') => {
    const { searchParams } = new URL(address);
    change(searchParams);
    return readUnsubscribe(secret, searchParams);
  };
  assert.deepEqual(
    read(() => {}),
    { kind: 'alert', id: 'x' },
  );
  assert.equal(
    read((parameters) => parameters.set('kind', 'subscription')),
    undefined,
  );
  assert.equal(
    read((parameters) => parameters.set('kind', 'account')),
    undefined,
  );
  assert.equal(
    read((parameters) => parameters.delete('proof')),
    undefined,
  );
  assert.equal(
    read(() => {}, 'other'),
    undefined,
  );
});
