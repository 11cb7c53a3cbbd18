import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { paperAddress, unsubscribeAddress } from '@working-papers/daily/mail/addresses';
import type { Letter } from '@working-papers/daily/mail/mailer';
import { confirm, signingSecret, subscribe } from '@working-papers/daily/mail/subscriptions';
import { readSettings } from '@working-papers/daily/settings';
import { type ServedPage, servePage } from './serve.ts';
import { tokenInLetter, visitorOf } from './visitor.ts';

let page: ServedPage;
/** Path and query of a link to unsubscribe, as a letter has it. */
let ending = '';

before(async () => {
  page = await servePage({
    sample: true,
    async prepare({ db }) {
      const settings = readSettings({});
      const letters: Letter[] = [];
      const mailer = { kind: 'folder', send: async (letter: Letter) => void letters.push(letter) } as const;
      const rest = { verify: async () => {}, close() {} };
      const wish = { email: 'grace@example.org', frequency: 'daily', timeZone: 'UTC', visitor: 'x' };
      await subscribe(db, { ...mailer, ...rest }, settings, wish);
      const [token] = /(?<=token=)[\w-]+/.exec(letters[0]!.text)!;
      await confirm(db, settings, { token, visitor: 'x' });
      const { id } = await db.selectFrom('subscriptions').select('id').executeTakeFirstOrThrow();
      const address = unsubscribeAddress('http://page', await signingSecret(db), {
        kind: 'subscription',
        id,
      });
      ending = address.slice('http://page'.length);
    },
  });
});
after(() => page[Symbol.asyncDispose]());

const visitor = () => visitorOf(page);
const tokenFor = (address: string) => tokenInLetter(page, address);

test('one signs in by a letter, once a link, and out again', async () => {
  const reader = visitor();
  assert.match(await reader.get('/library').then(() => reader.get('/login')), /Mail me a link/);
  const asked = await reader.post('/login?/send', { email: 'Ada@Example.org' });
  assert.match(await asked.text(), /A link is on its way/);
  const token = await tokenFor('ada@example.org');
  assert.match(await reader.get(`/login?token=${token}`), /One click more/);

  const entered = await reader.post('/login?/enter', { token, to: '//example.org' });
  assert.equal(entered.status, 303);
  assert.equal(entered.headers.get('location'), '/library', 'not to another site');
  assert.match(entered.headers.getSetCookie()[0]!, /^session=[\w-]{43}\.[\w-]{43};.*HttpOnly.*SameSite=Lax/i);
  const again = await visitor().post('/login?/enter', { token });
  assert.equal(again.status, 400);
  assert.match(await again.text(), /has been used or is too old/);

  // Votes: one a paper, whatever is clicked.
  const votes = async () =>
    Number(/<span[^>]*>(\d+) votes?</.exec(await reader.get('/papers/2609.10004'))?.[1]);
  const earlier = await votes();
  for (let click = 0; click < 2; click++) {
    assert.equal(
      (await reader.post('/papers/2609.10004?/vote')).headers.get('location'),
      '/papers/2609.10004',
    );
  }
  assert.equal(await votes(), earlier + 1);
  await reader.post('/papers/2609.10004?/unvote');
  assert.equal(await votes(), earlier);

  // The library.
  await reader.post('/papers/jei-dnn?/keep');
  await reader.post('/library?/tags', { id: '2310.09163', tags: 'Early Exit, to read', read: '1' });
  const library = await reader.get('/library?tag=early+exit');
  assert.match(library, /value="early exit, to read"/);
  assert.match(library, /Jointly-Learned Exit/);
  await reader.post('/library?/save', { query: '?q=attention&code=1', name: '', alert: '1' });
  assert.match(
    await reader.get('/library'),
    /href="[^"]*\/search\?q=attention&amp;code=1"[^>]*>(?:<!--.*?-->)*attention/,
  );

  const file = await reader.send('/account/export.json');
  assert.match(file.headers.get('content-disposition') ?? '', /^attachment/);
  const everything = (await file.json()) as Record<string, unknown[]> & { account: { email: string } };
  assert.equal(everything.account.email, 'ada@example.org');
  assert.deepEqual([everything.library?.length, everything.savedSearches?.length], [1, 1]);

  const refused = await reader.post('/account?/remove', { address: 'someone@else.org' });
  assert.equal(refused.status, 400);
  const removed = await reader.post('/account?/remove', { address: 'ada@example.org' });
  assert.equal(removed.headers.get('location'), '/');
  assert.equal((await reader.send('/library')).headers.get('location'), '/login?to=%2Flibrary');
});

test('nobody acts for a reader from another site', async () => {
  const reader = visitor();
  for (const path of ['/login?/send', '/subscribe', '/papers/2609.10004?/vote']) {
    assert.equal(
      (await reader.post(path, { email: 'a@example.org' }, { origin: 'https://example.org' })).status,
      403,
      path,
    );
  }
});

test('a wrong address is refused in one line, and too many letters to one address', async () => {
  const reader = visitor();
  const wrong = await reader.post('/login?/send', { email: 'a@b@c\r\nBcc: x@example.org' });
  assert.equal(wrong.status, 400);
  assert.match(await wrong.text(), /email: expected an address as ada@example\.org/);
  const codes: number[] = [];
  let last: Response | undefined;
  for (let letter = 0; letter < 4; letter++) {
    last = await reader.post('/login?/send', { email: 'often@example.org' });
    codes.push(last.status);
  }
  assert.deepEqual(codes, [200, 200, 200, 429]);
  assert.ok(Number(last?.headers.get('retry-after')) > 0);
});

test('one subscribes with a yes out of the letter', async () => {
  const reader = visitor();
  const form = { email: 'emmy@example.org', frequency: 'weekly', zone: 'Europe/Berlin' };
  assert.match(await (await reader.post('/subscribe', form)).text(), /A letter is on its way/);
  const token = await tokenFor('emmy@example.org');
  assert.match(await reader.get(`/subscribe/confirm?token=${token}`), /Yes, subscribe me/);
  assert.match(await (await reader.post('/subscribe/confirm', { token })).text(), /gets a letter every week/);
  assert.equal((await reader.post('/subscribe/confirm', { token })).status, 400);
  assert.equal((await reader.post('/subscribe', { ...form, zone: 'Mars/Olympus' })).status, 400);
});

test('one unsubscribes by the link alone: a page asks, and one POST of a mail program’s is enough', async () => {
  assert.match(await visitor().get(ending), /End(?:<!--.*?-->|\s)*the letters/);
  assert.equal((await fetch(page.origin + ending.replace('proof=', 'proof=x'))).status, 400);
  // As RFC 8058 has it: no origin, no cookie.
  const answer = await fetch(page.origin + ending, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  });
  assert.equal(answer.status, 200);
});

test('letters link to papers where they are', async () => {
  for (const id of ['2609.10004', 'math/0309136', '2310.09163']) {
    assert.equal((await fetch(paperAddress(page.origin, id))).status, 200, id);
  }
});
