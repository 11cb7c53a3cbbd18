// What an operator sees of the page: metrics, log lines, and how it ends.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newDatabase } from '../../daily/test/databases.ts';
import { type ServedPage, servePage } from './serve.ts';

let page: ServedPage;
before(async () => {
  page = await servePage({ env: { WP_METRICS_PORT: '0', WP_LOG_JSON: 'on' } });
});
after(() => page[Symbol.asyncDispose]());

const lines = () =>
  page
    .printed()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const metricsAddress = () => String(lines().find(({ message }) => message === 'metrics are served')?.address);

let asked = 0;

async function answered(path: string): Promise<Record<string, unknown>> {
  const id = `test-${asked++}`;
  const response = await fetch(page.origin + path, { headers: { 'x-request-id': id } });
  await response.arrayBuffer();
  assert.equal(response.headers.get('x-request-id'), id);
  for (let tries = 0; tries < 100; tries++, await sleep(20)) {
    const line = lines().find(({ request }) => request === id);
    if (line) return line;
  }
  assert.fail(`no log line of ${path}`);
}

test('every answer is one JSON line: request, route, status and time, and not what was asked for', async () => {
  const secret = 'S'.repeat(43);
  for (const [path, route, status] of [
    ['/papers/jei-dnn', '/papers/[...id]', 200],
    [`/login?token=${secret}&email=ada@example.org`, '/login', 200],
    ['/favicon.svg', 'file', 200],
    ['/ort/nothing.wasm', 'none', 404],
    ['/ada@example.org', 'none', 404],
    ['/api/v1/search?q=exits', '/api/v1/search', 200],
  ] as const) {
    const { time, milliseconds, ...line } = await answered(path);
    assert.ok(Date.parse(String(time)) > 0 && Number(milliseconds) >= 0);
    const rest = { level: 'info', message: 'answered', method: 'GET' };
    assert.deepEqual({ ...line, request: '' }, { ...rest, request: '', route, status }, path);
  }
  assert.doesNotMatch(page.printed(), /ada@example|S{43}/);
});

test('a name of a request that could be a line of its own is replaced', async () => {
  const response = await fetch(page.origin, { headers: { 'x-request-id': '{"level":"error"}' } });
  await response.arrayBuffer();
  assert.match(response.headers.get('x-request-id') ?? '', /^[\da-f-]{36}$/);
});

test('metrics are on an address of their own, and nowhere on the page', async () => {
  await answered('/papers/agd');
  await answered('/no-such-page');
  // A method that nobody knows must not make a series of its own.
  await fetch(page.origin, { method: 'PROPFIND' }).then((response) => response.arrayBuffer());
  assert.equal((await fetch(`${page.origin}/metrics`)).status, 404);
  assert.equal(new URL(metricsAddress()).hostname, '127.0.0.1');
  assert.equal((await fetch(new URL('/', metricsAddress()))).status, 404);
  assert.equal((await fetch(metricsAddress(), { method: 'POST' })).status, 404);
  const response = await fetch(metricsAddress());
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const metrics = await response.text();
  assert.match(
    metrics,
    /wp_http_request_seconds_count\{method="GET",route="\/papers\/\[\.\.\.id\]",status="200"\} [1-9]/,
  );
  assert.match(
    metrics,
    /wp_http_request_seconds_bucket\{le="0\.15",method="GET",route="none",status="404"\} [1-9]/,
  );
  assert.match(metrics, /method="other"/);
  assert.doesNotMatch(metrics, /PROPFIND|no-such-page|agd/);
  assert.match(metrics, /^nodejs_eventloop_lag_seconds \d/m);
  assert.match(metrics, /^wp_database_connections\{state="busy"\} 0$/m);
});

const server = process.env.WP_TEST_DATABASE_URL;
test('on a PostgreSQL server it tells of its connections', { skip: !server && 'no server' }, async () => {
  const { url, drop } = await newDatabase(server!);
  const other = await servePage({ env: { DATABASE_URL: url, WP_METRICS_PORT: '0' } });
  const ready = await (await fetch(`${other.origin}/readyz`)).json();
  assert.deepEqual(ready, { status: 'ok', database: 'postgres' });
  const [, address = ''] = /address=(http:\S+)/.exec(other.printed())!;
  const metrics = await (await fetch(address)).text();
  assert.match(metrics, /^wp_database_connections\{state="idle"\} [1-9]/m);
  assert.equal(await other.stop(), 0);
  await assert.rejects(fetch(address), 'its metrics end with it');
  await other[Symbol.asyncDispose]();
  await drop();
});

test('told to stop, it takes nobody new in, finishes what it was asked, and ends', async () => {
  const other = await servePage();
  const { hostname, port } = new URL(other.origin);
  const agent = new Agent({ keepAlive: true });
  // A reader on a slow line, half of whose form has arrived.
  const form = `email=${encodeURIComponent('slow@example.org')}&frequency=daily&zone=UTC`;
  const slow = request(`${other.origin}/subscribe`, {
    method: 'POST',
    agent,
    headers: {
      origin: other.origin,
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': form.length,
    },
  });
  slow.write(form.slice(0, 10));
  const idle = connect(Number(port), hostname);
  await once(idle, 'connect');
  await sleep(300);
  const began = performance.now();
  const stopped = other.stop();
  await once(idle, 'close');
  idle.destroy();
  await assert.rejects(fetch(`${other.origin}/healthz`), 'nobody new');
  slow.end(form.slice(10));
  const [response] = (await once(slow, 'response')) as [import('node:http').IncomingMessage];
  assert.equal(response.statusCode, 200);
  assert.match(await text(response), /slow@example\.org/);
  assert.equal(await stopped, 0);
  assert.ok(performance.now() - began < 20_000, 'no line that is kept open holds it');
  assert.ok(!existsSync(join(other.home, 'database.lock')), 'the database was closed');
  agent.destroy();
  await other[Symbol.asyncDispose]();
});
