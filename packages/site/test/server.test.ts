import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { edition20260910 } from '@working-papers/edition';
import { buildSite } from '../build.ts';
import { runServer, type ServedPage, servePage } from './serve.ts';

let page: ServedPage;
before(async () => {
  page = await servePage();
});
after(() => page[Symbol.asyncDispose]());

const get = (path: string, init?: RequestInit) => fetch(page.origin + path, init);

/** Titles hold no characters that HTML writes differently, but for the ampersand. */
const asHtml = (text: string) => text.replaceAll('&', '&amp;');

test('the front page and the edition’s own page hold all eleven papers as HTML', async () => {
  for (const path of ['/', '/date/2026-09-10']) {
    const response = await get(path);
    assert.equal(response.status, 200);
    const html = await response.text();
    assert.equal(html.match(/<article/g)?.length, 11);
    for (const paper of edition20260910.papers) {
      assert.ok(html.includes(asHtml(paper.title)), paper.title);
      assert.ok(html.includes(asHtml(paper.summary)), paper.name);
    }
  }
});

test('every paper has a page with its facts', async () => {
  for (const paper of edition20260910.papers) {
    const response = await get(`/papers/${paper.id}`);
    assert.equal(response.status, 200);
    const html = await response.text();
    assert.ok(html.includes(`https://arxiv.org/abs/${paper.arxiv}`));
    assert.ok(html.includes(paper.gap.training) && html.includes(paper.gap.inference));
    assert.equal(html.includes(`npx wp run ${paper.id}`), paper.state === 'works');
    assert.ok(html.includes(`<link rel="canonical" href="${page.origin}/papers/${paper.id}"`));
  }
});

test('unknown papers, dates and paths are 404 with a page that says so', async () => {
  for (const [path, words] of [
    ['/papers/no-such-paper', 'No edition has a paper “no-such-paper”.'],
    ['/date/1999-02-30', 'There is no day “1999-02-30”; one is written 2026-09-10.'],
    ['/week/2026-W54', 'There is no week “2026-W54”; one is written 2026-W37.'],
    ['/month/2026-13', 'There is no month “2026-13”; one is written 2026-09.'],
    ['/papers/2609.99999', 'arXiv:2609.99999 has not appeared here.'],
    ['/nowhere', 'There is no page here.'],
  ] as const) {
    const response = await get(path, { headers: { accept: 'text/html' } });
    assert.equal(response.status, 404);
    assert.ok((await response.text()).includes(words), path);
  }
  assert.equal((await get('/ort/no-such-file.wasm')).status, 404);
  assert.equal((await get('/ort/..%2fhandler.js')).status, 404);
});

test('healthz and readyz answer and are never cached', async () => {
  for (const [path, answer] of [
    ['/healthz', { status: 'ok' }],
    ['/readyz', { status: 'ok', database: 'pglite' }],
  ] as const) {
    const response = await get(path);
    assert.deepEqual(await response.json(), answer);
    assert.equal(response.headers.get('cache-control'), 'no-store');
  }
});

test('a paper has one address, and its other names lead there', async () => {
  for (const [from, to] of [
    ['2502.17421', '/papers/longspec'],
    ['arXiv:2502.17421v2', '/papers/longspec'],
    ['2609.99999v1', '/papers/2609.99999'],
  ] as const) {
    const response = await get(`/papers/${from}`, { redirect: 'manual' });
    assert.equal(response.status, 308, from);
    assert.equal(response.headers.get('location'), to);
  }
});

test('pages, scripts, fonts and WebAssembly all carry the isolation headers and a policy', async () => {
  const html = await (await get('/')).text();
  const script = /href="\.?(\/_app\/immutable\/[^"]+\.js)"/.exec(html)?.[1];
  const style = /href="\.?(\/_app\/immutable\/[^"]+\.css)"/.exec(html)?.[1];
  assert.ok(script && style);
  const ort = '/ort/ort-wasm-simd-threaded.mjs';
  for (const path of ['/', '/papers/jei-dnn', '/nowhere', '/healthz', '/favicon.svg', script, style, ort]) {
    const { headers, body } = await get(path);
    await body?.cancel();
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin', path);
    assert.equal(headers.get('cross-origin-embedder-policy'), 'require-corp', path);
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin', path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
    const policy = headers.get('content-security-policy');
    assert.match(policy ?? '', /script-src 'self' 'wasm-unsafe-eval'/, path);
    assert.doesNotMatch(policy ?? '', /'unsafe-eval'|script-src[^;]*'unsafe-inline'|\*/, path);
  }
  assert.match((await get(script)).headers.get('cache-control') ?? '', /max-age=31536000,\s*immutable/);
});

test('every inline script of a page bears the nonce of its policy, a new one each time', async () => {
  const nonces = new Set<string>();
  for (let request = 0; request < 2; request++) {
    const response = await get('/');
    const nonce = /'nonce-([^']+)'/.exec(response.headers.get('content-security-policy') ?? '')?.[1];
    assert.ok(nonce);
    nonces.add(nonce);
    const scripts = (await response.text()).match(/<script[^>]*>/g) ?? [];
    assert.ok(scripts.length >= 2);
    for (const script of scripts) assert.ok(script.includes(`nonce="${nonce}"`), script);
  }
  assert.equal(nonces.size, 2);
});

test('ONNX Runtime comes from the page’s own address, both builds, pressed, and is not sent twice', async () => {
  for (const [name, type] of [
    ['ort-wasm-simd-threaded.mjs', 'text/javascript'],
    ['ort-wasm-simd-threaded.wasm', 'application/wasm'],
    ['ort-wasm-simd-threaded.asyncify.mjs', 'text/javascript'],
    ['ort-wasm-simd-threaded.asyncify.wasm', 'application/wasm'],
  ] as const) {
    const head = await get(`/ort/${name}`, { method: 'HEAD' });
    assert.equal(head.status, 200, name);
    assert.equal(head.headers.get('content-type'), type);
    assert.equal(head.headers.get('content-encoding'), 'gzip');
    const etag = head.headers.get('etag');
    assert.ok(etag);
    const again = await get(`/ort/${name}`, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
  }
  const wasm = new Uint8Array(await (await get('/ort/ort-wasm-simd-threaded.wasm')).arrayBuffer());
  assert.deepEqual([...wasm.subarray(0, 4)], [0, ...Buffer.from('asm')]);
});

test('behind a proxy that speaks https the page’s addresses are https', async () => {
  const html = await (await get('/', { headers: { 'x-forwarded-proto': 'https' } })).text();
  assert.ok(html.includes(`<link rel="canonical" href="${page.origin.replace('http:', 'https:')}/"`));
  const odd = await (await get('/', { headers: { 'x-forwarded-proto': 'javascript' } })).text();
  assert.ok(odd.includes(`<link rel="canonical" href="${page.origin}/"`));
});

test('what has not changed is not built again', async () => {
  const built = async () => (await stat(join(await buildSite(), 'handler.js'))).mtimeMs;
  assert.equal(await built(), await built());
});

test('a busy port is refused with one line and exit code 2', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  assert.deepEqual(await runServer(['--port', String(port)]), {
    stdout: '',
    stderr: `Port ${port} on 127.0.0.1 is taken. Choose another one with --port.\n`,
    code: 2,
  });
});

test('told to stop, it answers what it was asked, closes the database and leaves', async () => {
  const other = await servePage();
  assert.ok(existsSync(join(other.home, 'database.lock')));
  const answers = Promise.all(
    ['/', '/trending', '/search?q=mismatch'].map((path) => fetch(other.origin + path)),
  );
  await fetch(`${other.origin}/healthz`);
  const [code, responses] = await Promise.all([other.stop(), answers]);
  assert.equal(code, 0);
  assert.deepEqual(
    responses.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.ok(!existsSync(join(other.home, 'database.lock')));
  await other[Symbol.asyncDispose]();
});

test('other bad beginnings are one line and exit code 2 as well', async () => {
  for (const [args, env, line] of [
    [['--port', 'http'], {}, '--port: expected a number from 0 to 65535, found "http".\n'],
    [['--port', '65536'], {}, '--port: expected a number from 0 to 65535, found "65536".\n'],
    [['--port', '0', '--host', '203.0.113.7'], {}, '--host: this machine has no address "203.0.113.7".\n'],
    [[], { WP_SITE_OUT: tmpdir() }, 'The page has not been built. Run "npm run build" first.\n'],
    [[], { WP_DIGEST_HOUR: '24' }, "WP_DIGEST_HOUR: expected a whole number from 0 to 23, found '24'\n"],
    [
      ['--port', '0'],
      { WP_HOME: page.home },
      new RegExp(`^the database in '${page.home}/database' is in use by process \\d+: .*\\n$`),
    ],
  ] as const) {
    const { stdout, stderr, code } = await runServer(args, env);
    assert.deepEqual({ stdout, code }, { stdout: '', code: 2 });
    if (typeof line === 'string') assert.equal(stderr, line);
    else assert.match(stderr, line);
  }
  const unknown = await runServer(['--prot', '80']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /^Unknown option '--prot'.*\n$/);
});

test('help goes to the output and is no error', async () => {
  const { stdout, code } = await runServer(['--help']);
  assert.equal(code, 0);
  assert.match(stdout, /--port NUMBER[\s\S]*--host ADDRESS/);
});
