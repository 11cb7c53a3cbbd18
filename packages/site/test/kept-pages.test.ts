import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeepOptions, keepPages } from '../src/lib/server/kept-pages.ts';

let made = 0;
function page({ type = 'text/html', cookie = '', status = 200, body = 'x'.repeat(100) } = {}): Response {
  made++;
  const headers = new Headers({
    'content-type': type,
    'content-security-policy': "script-src 'self' 'nonce-ABC+1='",
    etag: '"1"',
    ...(cookie && { 'set-cookie': cookie }),
  });
  return new Response(`${made} <script nonce="ABC+1=">${body}</script>`, { status, headers });
}
const make = (given?: Parameters<typeof page>[0]) => async () => page(given);

function watched(options?: KeepOptions) {
  const pages = keepPages(options);
  pages.setWatching(true);
  return pages;
}
const number = async (answer: Promise<Response>) => Number.parseInt(await (await answer).text(), 10);

test('a page is made once until something changes, and every answer has a nonce of its own', async () => {
  const pages = watched();
  const [one, two] = [await pages.answer('/', make()), await pages.answer('/', make())];
  const [first, second] = [await one.text(), await two.text()];
  const nonce = /nonce="([^"]+)"/.exec(first)?.[1] ?? '';
  assert.notEqual(nonce, 'ABC+1=');
  assert.match(nonce, /^[\w+/]{22}==$/);
  assert.ok(one.headers.get('content-security-policy')?.includes(`'nonce-${nonce}'`));
  assert.ok(!second.includes(nonce));
  assert.equal(one.headers.get('etag'), null);
  assert.equal(Number.parseInt(first, 10), Number.parseInt(second, 10));
  const before = Number.parseInt(first, 10);
  pages.forget();
  assert.equal(await number(pages.answer('/', make())), before + 1);
  assert.equal(await number(pages.answer('/other', make())), before + 2);
});

test('nothing is kept without word of changes, nor what is for one reader, nor what is no page', async () => {
  const blind = keepPages();
  const before = made;
  for (let again = 0; again < 2; again++) await blind.answer('/', make());
  assert.equal(made, before + 2);
  const pages = watched();
  for (const given of [{ cookie: 'session=x' }, { status: 404 }, { type: 'application/json' }]) {
    const then = made;
    for (let again = 0; again < 2; again++) await pages.answer('/', make(given));
    assert.equal(made, then + 2, JSON.stringify(given));
  }
  pages.setWatching(false);
  assert.notEqual(await number(pages.answer('/kept', make())), await number(pages.answer('/kept', make())));
});

test('those who ask at once share one page, unless something changes meanwhile', async () => {
  const pages = watched();
  const { promise: gate, resolve: openGate } = Promise.withResolvers<void>();
  const slow = async () => {
    await gate;
    return page();
  };
  const early = [pages.answer('/', slow), pages.answer('/', slow)];
  pages.forget();
  const late = pages.answer('/', slow);
  openGate();
  const [a, b, c] = await Promise.all([...early, late].map(number));
  assert.equal(a, b);
  assert.notEqual(a, c, 'begun after the change');
  assert.equal(await number(pages.answer('/', make())), c, 'and only that one is kept');
});

test('a page that cannot be made is tried again by whoever waited for it', async () => {
  const pages = watched();
  const failing = pages.answer('/', async () => Promise.reject(new Error('no database')));
  const waiting = pages.answer('/', make());
  await assert.rejects(failing, /no database/);
  assert.ok((await number(waiting)) > 0);
});

test('kept for a while, and no more than there is room for', async () => {
  let now = 0;
  const pages = watched({ seconds: 60, mostBytes: 1000, now: () => now });
  const first = await number(pages.answer('/a', make()));
  now = 59_999;
  assert.equal(await number(pages.answer('/a', make())), first);
  now = 60_000;
  assert.notEqual(await number(pages.answer('/a', make())), first);
  // About 270 bytes each: the fourth pushes out the one that was not asked for longest.
  for (const key of ['/b', '/c', '/d']) await pages.answer(key, make());
  const then = made;
  await pages.answer('/d', make());
  assert.equal(made, then);
  await pages.answer('/a', make());
  assert.equal(made, then + 1);
});
