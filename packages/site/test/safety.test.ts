// The page under attack, clause by clause; packages/daily/README.md says which test stands for which.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { limits } from '@working-papers/daily/accounts/limits';
import { subscribe } from '@working-papers/daily/mail/subscriptions';
import { readSettings } from '@working-papers/daily/settings';
import { contentSecurity } from '#lib/security.ts';
import { type ServedPage, servePage } from './serve.ts';
import { signedInOn, visitorOf } from './visitor.ts';

const routes = join(import.meta.dirname, '..', 'src', 'routes');

/** Every form of the page, as it is posted to, found in the sources: a new one is attacked as well. */
const forms = globSync('**/+page.server.ts', { cwd: routes }).flatMap((file) => {
  const [, given] = /export const actions\b[^=]*= (\{[\s\S]*?^\}|\w+)/m.exec(read(file)) ?? [];
  if (given === undefined) return [];
  const block = given.startsWith('{')
    ? given
    : /paperActions = (\{[\s\S]*?^\})/m.exec(read(join('..', 'lib', 'server', 'paper-actions.ts')))![1]!;
  const path = `/${dirname(file)}`.replace(/\[\.\.\.id\]$/, '2609.10004');
  const names = [...block.matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name!);
  assert.ok(names.length > 0, file);
  return names.map((name) => (name === 'default' ? path : `${path}?/${name}`));
});

function read(file: string): string {
  return readFileSync(join(routes, file), 'utf8');
}

let page: ServedPage;
before(async () => {
  page = await servePage({
    sample: true,
    async prepare({ db }) {
      // Somebody with an account and a subscription that is asked for.
      await db.insertInto('users').values({ email: 'known@example.org' }).execute();
      const nobody = { kind: 'folder', send: async () => {}, verify: async () => {}, close() {} } as const;
      const wish = { email: 'known@example.org', frequency: 'daily', timeZone: 'UTC', visitor: 'x' };
      await subscribe(db, nobody, readSettings({}), wish);
      await db.deleteFrom('rateLimits').execute();
    },
  });
});
after(() => page[Symbol.asyncDispose]());

test('the cookie: signed, of one site, out of reach of scripts, over https alone where there is https', async () => {
  const { entered, cookie } = await signedInOn(page, 'ada@example.org', {
    'x-forwarded-proto': 'https',
    origin: page.origin.replace('http:', 'https:'),
  });
  const [set = ''] = entered.headers.getSetCookie();
  const attributes = set
    .split('; ')
    .slice(1)
    .map((attribute) => attribute.toLowerCase());
  assert.match(set, /^session=[\w-]{43}\.[\w-]{43};/);
  for (const attribute of ['path=/', 'httponly', 'samesite=lax', 'secure']) {
    assert.ok(attributes.includes(attribute), attribute);
  }
  assert.ok(attributes.some((attribute) => attribute.startsWith('expires=')));

  const library = async (given: string) =>
    (await fetch(`${page.origin}/library`, { headers: { cookie: given }, redirect: 'manual' })).status;
  assert.equal(await library(cookie), 200);
  const [token = '', signature = ''] = cookie.slice('session='.length).split('.');
  const other = `${token.startsWith('A') ? 'B' : 'A'}${token.slice(1)}`;
  for (const forged of [
    token,
    `${token}.`,
    `.${signature}`,
    `${other}.${signature}`,
    `${token}.${signature}x`,
    `${token}.${signature}.${signature}`,
    `${token}.${token}`,
    '__proto__.constructor',
    '%00.%00',
    'x'.repeat(4_000),
  ]) {
    assert.equal(await library(`session=${forged}`), 303, forged.slice(0, 100));
  }
});

test('no form is taken from another site, from nowhere, or under another type', async () => {
  const reader = await signedInOn(page, 'grace@example.org');
  assert.ok(forms.length >= 20 && forms.includes('/papers/2609.10004?/vote'), forms.join(' '));
  const { host, port } = new URL(page.origin);
  const origins = [
    'https://example.org',
    'null',
    undefined,
    page.origin.replace(/\d+$/, '1'),
    `http://${host}.example.org`,
    `http://127.0.0.1.example.org:${port}`,
  ];
  for (const form of forms) {
    for (const origin of origins) {
      // A mail program's, which acts for nobody and proves itself: the next test.
      if (form === '/unsubscribe' && origin === undefined) continue;
      const answer = await reader.post(
        form,
        { email: 'a@example.org', address: 'grace@example.org' },
        { origin },
      );
      assert.equal(answer.status, 403, `${form} from ${origin}`);
    }
    for (const type of ['text/plain', 'multipart/form-data; boundary=x']) {
      const init = { method: 'POST', body: 'address=grace@example.org', headers: { 'content-type': type } };
      const answer = await reader.send(form, { ...init, origin: 'https://example.org' });
      assert.equal(answer.status, 403, `${form} as ${type}`);
    }
    // Browsers ask before they send this to another site, and the page never says yes.
    const json = {
      method: 'POST',
      body: '{"address":"grace@example.org"}',
      headers: { 'content-type': 'application/json' },
    };
    const answer = await reader.send(form, { ...json, origin: 'https://example.org' });
    assert.ok(answer.status >= 400, `${form} as JSON: ${answer.status}`);
    assert.equal(answer.headers.get('access-control-allow-origin'), null);
  }
  assert.equal((await reader.send('/account')).status, 200, 'the account is there, and signed in');
  assert.doesNotMatch(await reader.get('/library'), /2609\.10004/);
});

test('the one POST without an origin ends what its address proves, for nobody who is signed in', async () => {
  const reader = await signedInOn(page, 'emmy@example.org');
  for (const path of [
    '/unsubscribe?',
    '/unsubscribe?kind=subscription&id=1&proof=x',
    '/unsubscribe/../account?/leave',
  ]) {
    const { status } = await reader.post(path, {}, { origin: undefined });
    assert.ok(status === 400 || status === 403 || status === 404, `${path}: ${status}`);
  }
  assert.equal((await reader.send('/account')).status, 200);
});

test('whether an address has an account or a subscription cannot be told from outside', async () => {
  const told = async (path: string, email: string, more: Readonly<Record<string, string>> = {}) => {
    const answer = await visitorOf(page).post(path, { email, ...more });
    const text = (await answer.text()).replaceAll(email, 'EMAIL').replaceAll(/nonce(="|-)[^"']+/g, '');
    const {
      'x-request-id': _,
      date: __,
      etag: ___,
      'content-security-policy': ____,
      'content-length': _____,
      ...headers
    } = Object.fromEntries(answer.headers);
    return { status: answer.status, headers, text };
  };
  // Of the same length, because the length of an answer is told as well.
  assert.deepEqual(
    await told('/login?/send', 'known@example.org'),
    await told('/login?/send', 'other@example.org'),
  );
  const wish = { frequency: 'daily', zone: 'UTC' };
  assert.deepEqual(
    await told('/subscribe', 'known@example.org', wish),
    await told('/subscribe', 'other@example.org', wish),
  );
  // A token that was used, one that never was, and one that is none.
  const { entered: _ } = await signedInOn(page, 'alan@example.org');
  const refused = async (token: string) => {
    const answer = await visitorOf(page).post('/login?/enter', { token });
    return [answer.status, /This link has been used or is too old/.test(await answer.text())];
  };
  for (const token of ['A'.repeat(43), '', "' or true --", 'x'.repeat(10_000)]) {
    assert.deepEqual(await refused(token), [400, true], token.slice(0, 50));
  }
});

test('nobody is sent to another site after signing in', async () => {
  for (const to of [
    'https://example.org',
    '//example.org',
    '/\\example.org',
    '/\t/example.org',
    '/\r\nSet-Cookie: a=b',
    'javascript:alert(1)',
    '/library?x=//example.org',
    '/@example.org',
  ]) {
    const html = await visitorOf(page).get(`/login?token=x&${new URLSearchParams({ to })}`);
    const [, value] = /name="to" value="([^"]*)"/.exec(html) ?? [];
    assert.equal(value, '/library', JSON.stringify(to));
  }
});

test('hostile questions break no page, no header and no statement', async () => {
  const hostile = [
    "'; drop table papers; --",
    "' or '1'='1",
    "\\'); select pg_sleep(9); --",
    '$1 $$ %s #{7*7} {{7*7}}',
    '\r\nSet-Cookie: owned=1\r\n\r\n<script>alert(1)</script>',
    '\u0000\u0001\uFFFF',
    '../../../../etc/passwd',
    '"><svg onload=alert(1)>',
    '(((((((((("',
    'a'.repeat(3_000),
  ];
  for (const text of hostile) {
    const value = encodeURIComponent(text);
    for (const path of [
      `/search?q=${value}`,
      `/search?q=exits&category=${value}&from=${value}`,
      `/search/results?q=${value}`,
      `/search/feed.xml?q=${value}`,
      `/api/v1/search?q=${value}&cursor=${value}`,
      `/api/v1/papers?cursor=${value}`,
      `/api/v1/papers/${value}`,
      `/api/daily_papers?date=${value}&limit=${value}`,
      `/trending?window=${value}&cursor=${value}`,
      `/papers/${value}`,
      `/date/${value}`,
      `/categories/${value}/feed.xml`,
      `/login?token=${value}&to=${value}`,
      `/subscribe/confirm?token=${value}`,
      `/unsubscribe?kind=${value}&id=${value}&proof=${value}`,
    ]) {
      const answer = await fetch(page.origin + path, {
        redirect: 'manual',
        headers: { accept: 'text/html' },
      });
      const body = await answer.text();
      assert.ok(answer.status < 500, `${path.slice(0, 200)}: ${answer.status}`);
      assert.doesNotMatch(answer.headers.getSetCookie().join(), /owned/);
      if (answer.headers.get('content-type')?.startsWith('text/html')) {
        assert.doesNotMatch(body, /<script>alert|<svg onload/, path.slice(0, 200));
      }
    }
  }
  const { papers } = (await (await fetch(`${page.origin}/api/v1/search?q=attention`)).json()) as {
    papers: unknown[];
  };
  assert.ok(papers.length > 0, 'the papers are there');
});

test('what authors write is no script, no style and no address of theirs, wherever it is shown', async () => {
  const policy = Object.fromEntries(
    Object.entries(contentSecurity).map(([name, sources]) => [
      name,
      sources.map((source) => source.replace(/:$/, '')),
    ]),
  );
  for (const path of [
    '/date/2026-09-07',
    '/papers/2609.20002',
    '/papers/2609.20001',
    '/search?q=hostile',
    '/trending',
    '/login',
    '/subscribe',
    '/nowhere',
    '/date/x',
  ]) {
    const answer = await fetch(page.origin + path, { headers: { accept: 'text/html' } });
    const html = await answer.text();
    const directives = Object.fromEntries(
      (answer.headers.get('content-security-policy') ?? '').split(';').map((directive) => {
        const [name = '', ...sources] = directive.trim().split(' ');
        return [name, sources.map((source) => source.replaceAll(/'|:$/g, ''))];
      }),
    );
    const [nonce] = directives['script-src']!.filter((source) => source.startsWith('nonce-'));
    assert.ok(nonce, path);
    for (const [name, sources] of Object.entries(policy)) {
      const given = directives[name]!.filter((source) => !source.startsWith('nonce-'));
      assert.deepEqual(given.toSorted(), sources.toSorted(), `${path}: ${name}`);
    }
    const tags =
      html.replaceAll(/<(script|style)\b([^>]*)>[\s\S]*?<\/\1>/g, '<$1$2>').match(/<[a-z][^>]*>/gi) ?? [];
    for (const tag of tags) {
      assert.doesNotMatch(tag, /\son\w+\s*=/i, `${path}: ${tag}`);
      assert.doesNotMatch(tag, /(?:href|src|action)="(?:javascript|data|vbscript):/i, `${path}: ${tag}`);
      if (/^<script/i.test(tag))
        assert.ok(tag.includes(`nonce="${nonce.slice('nonce-'.length)}"`), `${path}: ${tag}`);
    }
  }
  // KaTeX is not trusted with links, pictures and styles.
  const html = await visitorOf(page).get('/papers/2609.20002');
  for (const tag of html.match(/<[a-z][^>]*>/gi)!) {
    if (!/^<meta/i.test(tag)) assert.doesNotMatch(tag, /alert|position:\s*fixed|example\.org\/x/, tag);
  }
  // Programs get it as data, which no browser takes for a page.
  for (const path of [
    '/api/v1/papers/2609.20002',
    '/api/papers/2609.20002',
    '/search/results?q=hostile',
    '/date/2026-09-07/feed.xml',
  ]) {
    const { headers, status } = await fetch(page.origin + path);
    assert.equal(status, 200, path);
    assert.match(headers.get('content-type') ?? '', /^application\/(json|atom\+xml)/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
  }
});

test('nothing is administered here: programs read, forms write, and there are no others', async () => {
  for (const file of globSync('**/+server.ts', { cwd: routes })) {
    const exported = [...read(file).matchAll(/export (?:const|(?:async )?function) (\w+)/g)].map(
      ([, name]) => name!,
    );
    assert.deepEqual(exported, ['GET'], file);
  }
  for (const path of [
    '/api/v1/papers',
    '/api/v1/ingest',
    '/api/v1/papers/2609.10004',
    '/healthz',
    '/metrics',
    '/admin',
    '/worker',
    '/backup',
  ]) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const { status } = await fetch(page.origin + path, { method, headers: { origin: page.origin } });
      assert.ok(status === 404 || status === 405, `${method} ${path}: ${status}`);
    }
  }
});

test('every form has a limit', async () => {
  // Last, because whoever has used a limit up gets nothing more for a while.
  const reader = await signedInOn(page, 'kurt@example.org');
  const fields = {
    email: 'often@example.org',
    frequency: 'daily',
    zone: 'UTC',
    token: 'x',
    id: 'x',
    paper: 'x',
  };
  // A session ends as often as one likes; a mail program's POST comes from few addresses for many readers.
  const free = ['/account?/leave', '/unsubscribe'];
  const most = Math.max(...Object.values(limits).map(({ burst }) => burst)) + 140;
  /** The first refusal among six at once, and six more. */
  const useUp = async (form: string): Promise<Response> => {
    for (let sent = 0; sent < most; sent += 6) {
      const answers = await Promise.all(Array.from({ length: 6 }, () => reader.post(form, fields)));
      const refused = answers.find(({ status }) => status === 429);
      if (refused) return refused;
    }
    assert.fail(`${form} has no limit`);
  };
  for (const form of forms.filter((path) => !free.includes(path))) {
    // It would sign the reader out, so others use its limit up.
    const isLast = form === '/account?/leaveEverywhere';
    if (isLast) await useUp('/account?/zone');
    const refused = isLast ? await reader.post(form) : await useUp(form);
    assert.equal(refused.status, 429, form);
    assert.ok(Number(refused.headers.get('retry-after')) > 0, form);
  }
});
