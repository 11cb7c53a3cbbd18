import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { saveSearch } from '@working-papers/daily/accounts/saved-searches';
import { logIn, requestLogin } from '@working-papers/daily/accounts/sessions';
import { sign } from '@working-papers/daily/accounts/tokens';
import { utcDate } from '@working-papers/daily/dates';
import { unsubscribeAddress } from '@working-papers/daily/mail/addresses';
import type { Letter, Mailer } from '@working-papers/daily/mail/mailer';
import { signingSecret } from '@working-papers/daily/mail/subscriptions';
import { readSettings } from '@working-papers/daily/settings';
import { type SourceServer, startSourceServer } from '../../daily/test/fixtures/source-server.ts';
import { sampleDay, samplePapers } from './sample.ts';
import { type ServedPage, servePage } from './serve.ts';

/* What a reader does who is signed in, by forms alone. */

let source: SourceServer;
let page: ServedPage;
let session = '';
/** Path and query of the link that ends the alert, as its letter has it. */
let ending = '';

before(async () => {
  source = await startSourceServer();
  page = await servePage({
    sample: true,
    env: { WP_ARXIV_URL: source.url, WP_ARXIV_SPACING: '0' },
    async prepare({ db }) {
      const settings = readSettings({});
      const letters: Letter[] = [];
      const mailer: Mailer = {
        kind: 'folder',
        send: async (letter) => void letters.push(letter),
        verify: async () => {},
        close() {},
      };
      await requestLogin(db, mailer, settings, { email: 'ada@example.org', visitor: 'x' });
      const [token = ''] = /(?<=token=)[\w-]+/.exec(letters[0]!.text) ?? [];
      const begun = await logIn(db, settings, { token, visitor: 'x' });
      assert.ok(begun);
      const secret = await signingSecret(db);
      session = `session=${begun.token}.${sign(secret, 'session', begun.token)}`;
      const { id } = await saveSearch(db, begun.reader.id, {
        query: { text: 'attention' },
        name: '',
        alert: true,
      });
      const address = unsubscribeAddress('http://page', secret, { kind: 'alert', id });
      ending = address.slice('http://page'.length);
    },
  });
});
after(async () => {
  await page?.[Symbol.asyncDispose]();
  await source?.close();
});

const get = async (path: string, cookie = session) =>
  (await fetch(page.origin + path, { headers: { accept: 'text/html', ...(cookie && { cookie }) } })).text();

const post = (path: string, fields: Readonly<Record<string, string>>) =>
  fetch(page.origin + path, {
    method: 'POST',
    redirect: 'manual',
    headers: { accept: 'text/html', cookie: session, origin: page.origin },
    body: new URLSearchParams(fields),
  });

/** A list's paper as the page has it, without the comments that Svelte leaves. */
function entry(html: string, title: string): string {
  const plain = html.replaceAll(/<!--.*?-->/g, '');
  const found = plain.split('<article').find((part) => part.includes(title));
  assert.ok(found, title);
  return found;
}

test('one votes in a list, comes back to the same place, and everybody sees it', async () => {
  const { title, id } = samplePapers[3]!;
  const list = `/date/${sampleDay}`;
  const asGuest = async () => Number(/(\d+)<span[^>]*> votes?</.exec(entry(await get(list, ''), title))?.[1]);
  const earlier = await asGuest();
  assert.equal(await asGuest(), earlier, 'a page that was kept');
  assert.doesNotMatch(entry(await get(list, ''), title), /<form/);

  const [, action = ''] = /action="([^"]+\?\/vote)"/.exec(entry(await get(list), title)) ?? [];
  assert.equal(action, `/papers/${id}?/vote`);
  const [, to = ''] = /name="to" value="([^"]+)"/.exec(entry(await get(list), title)) ?? [];
  const answer = await post(action, { to });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get('location'), to);
  assert.match(to, /^\/date\/2026-09-09#title-/);
  assert.ok((await get(list)).includes(`id="${to.split('#')[1]}"`));
  const after = entry(await get(list), title);
  assert.match(after, /\?\/unvote"/);
  assert.match(after, /aria-pressed="true"/);
  // The database's notice needs a moment.
  for (let wait = 0; wait < 20 && (await asGuest()) === earlier; wait++) await sleep(100);
  assert.equal(await asGuest(), earlier + 1, 'the kept page has been made anew');

  await post(`/papers/${id}?/unvote`, { to });
  for (let wait = 0; wait < 20 && (await asGuest()) !== earlier; wait++) await sleep(100);
  assert.equal(await asGuest(), earlier);
});

test('a vote leads back to nowhere but this page', async () => {
  const id = samplePapers[3]!.id;
  for (const [to, location] of [
    ['/search?q=a+b&code=1#title-x', '/search?q=a+b&code=1#title-x'],
    ['https://example.org/', `/papers/${id}`],
    ['//example.org/', `/papers/${id}`],
    ['/\\example.org/', `/papers/${id}`],
    ['/.//example.org/', `/papers/${id}`],
    ['javascript:alert(1)', `/papers/${id}`],
    ['', `/papers/${id}`],
  ] as const) {
    assert.equal((await post(`/papers/${id}?/vote`, { to })).headers.get('location'), location, to);
  }
});

test('votes stand in every list: the edition, a week, trending, a search, and what is typed', async () => {
  await post('/papers/jei-dnn?/vote', { to: '/' });
  const own = entry(await get('/date/2026-09-10'), 'Jointly-Learned Exit');
  assert.match(own, /action="\/papers\/jei-dnn\?\/unvote"[\s\S]*1<span[^>]*> vote</);
  for (const path of ['/week/2026-W37', '/trending?window=30', '/search?q=calibrated']) {
    const html = await get(path);
    const forms = html.match(/\?\/(un)?vote"/g)?.length ?? 0;
    assert.ok(forms > 0 && forms === html.match(/<article/g)?.length, path);
    assert.doesNotMatch(await get(path, ''), /\?\/vote"/);
  }
  const typed = await (
    await fetch(`${page.origin}/search/results?q=calibrated`, { headers: { cookie: session } })
  ).json();
  assert.ok(typed.papers.every(({ voted }: { voted?: boolean }) => voted === false));
});

test('one click ends the alert of a saved search, without signing in', async () => {
  assert.match(await get('/library'), /Stop the alert/);
  const asked = await get(ending, '');
  assert.match(asked, /alert/i);
  const answer = await fetch(page.origin + ending, {
    method: 'POST',
    headers: { accept: 'text/html', origin: page.origin },
    body: new URLSearchParams({}),
  });
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /no more|ended|over/i);
  const library = await get('/library');
  assert.doesNotMatch(library, /Stop the alert/);
  assert.match(library, /Alert me/, 'the search itself stays');
});

test('a paper that is submitted stands on today’s page at once, and is there once however it is written', async () => {
  source.papers.set('2403.01234', {
    id: '2403.01234',
    version: 2,
    title: 'A Submitted Paper on Patient Readers',
    authors: ['Ada Lovelace'],
    summary: 'Readers who wait.',
    published: '2024-03-02T10:00:00Z',
    categories: ['cs.LG'],
  });
  const asked = source.asked.length;
  for (const paper of ['https://arxiv.org/pdf/2403.01234v1', 'arXiv:2403.01234', '2403.01234v2']) {
    const answer = await post('/submit', { paper });
    assert.equal(answer.status, 303, paper);
    assert.equal(answer.headers.get('location'), '/papers/2403.01234', paper);
  }
  assert.equal(source.asked.length, asked + 1, 'arXiv is asked once');
  assert.match(await get('/papers/2403.01234', ''), /A Submitted Paper on Patient Readers/);
  const today = await get(`/date/${utcDate(new Date())}`);
  assert.equal(today.split('<article').filter((part) => part.includes('Patient Readers')).length, 1);
  const unknown = await post('/submit', { paper: '2403.09999' });
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /2403\.09999/);
});
