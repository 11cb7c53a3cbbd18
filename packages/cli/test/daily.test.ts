// The commands of the daily page on an embedded database in a folder of their own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { editions } from '@working-papers/edition';
import { Interruption } from '../src/errors.ts';
import { runProgram } from '../src/program.ts';
import { wp as root } from '../src/wp.ts';

const home = mkdtempSync(join(tmpdir(), 'wp-daily-'));
const paper = {
  id: '2609.00001',
  title: 'Exits',
  summary: 'A summary.',
  authors: [{ name: 'Ada' }],
  publishedAt: '2026-09-01T00:00:00.000Z',
};
/** Answers one day and says 500 to all others. */
const source = createServer((request, response) => {
  // On a busy machine a line that is kept open ends just when the next command wants to use it.
  response.setHeader('Connection', 'close');
  const date = new URL(request.url ?? '', 'http://localhost').searchParams.get('date');
  if (date !== '2026-09-10') return void response.writeHead(500).end();
  response.end(JSON.stringify([{ paper }, { paper: { id: 'x' } }]));
});
before(async () => {
  source.listen(0, '127.0.0.1');
  await once(source, 'listening');
  const { port } = source.address() as AddressInfo;
  const environment = { WP_HOME: home, WP_HF_URL: `http://127.0.0.1:${port}`, WP_SOURCE_RETRIES: '0' };
  Object.assign(process.env, { DATABASE_URL: '', ...environment });
});
after(() => {
  source.closeAllConnections();
  source.close();
  rmSync(home, { recursive: true });
});

function collector() {
  const parts: string[] = [];
  return { write: (text: string) => parts.push(text), text: () => parts.join('') };
}

/** wp in this process, because the commands of a database need no process of their own and Node needs time to start. */
async function wp(args: readonly string[], signal = new AbortController().signal) {
  const [stdout, stderr] = [collector(), collector()];
  const world = { version: '0.0.0', streams: { stdout, stderr }, signal };
  const status = await runProgram(root(editions, {}), args, world);
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

test('a wrong setting or a wrong option stops with its name, before a database is made', async () => {
  const cases: readonly (readonly [args: string, stderr: string])[] = [
    ['doctor', "wp doctor: WP_DIGEST_HOUR: expected a whole number from 0 to 23, found '24'"],
    [
      'ingest --date 2026-09-10 --from 2026-09-01',
      'wp ingest: --date is one day, --from and --to are many: expected one of the two',
    ],
    ['ingest --source openai', "wp ingest: --source must be one of hf, arxiv, not 'openai'"],
    ['backup', 'wp backup: FILE is missing: where to, as papers.jsonl.gz'],
  ];
  process.env.WP_DIGEST_HOUR = '24';
  for (const [args, stderr] of cases) {
    const answer = await wp(args.split(' '));
    assert.deepEqual([answer.status, answer.stderr], [2, `${stderr}\n`]);
  }
  delete process.env.WP_DIGEST_HOUR;
  assert.deepEqual(readdirSync(home), []);
});

test('ingest, doctor, digest, backup and restore, one after the other on one database', async () => {
  const ingested = await wp(['ingest', '--date', '2026-09-10', '--json']);
  assert.equal(ingested.status, 0, ingested.stderr);
  const [day] = JSON.parse(ingested.stdout);
  assert.deepEqual([day.outcome, day.stored, day.rejected.length], ['partial', 1, 1]);
  const failed = await wp(['ingest', '--date', '2026-09-11']);
  assert.equal(failed.status, 2);
  assert.match(
    failed.stderr,
    /^wp ingest: 1 of 1 days failed: 127\.0\.0\.1:\d+\/api\/daily_papers: answered 500\n$/,
  );

  const doctor = await wp(['doctor', '--json']);
  assert.equal(doctor.status, 2, 'the last day of the source has failed');
  const findings = JSON.parse(doctor.stdout) as { name: string; state: string; message: string }[];
  assert.match(findings.find(({ name }) => name === 'database')!.message, /12 papers, 0 readers$/);
  assert.equal(findings.find(({ name }) => name === 'Hugging Face')!.state, 'fault');

  const digest = await wp(['digest', '--preview']);
  assert.equal(digest.status, 0);
  assert.match(digest.stdout, /^Subject: /);

  const file = join(home, 'papers.jsonl.gz');
  const backup = await wp(['backup', file, '--json']);
  assert.equal(JSON.parse(backup.stdout).counts.papers, 12);
  const again = await wp(['restore', file]);
  assert.deepEqual(
    [again.status, again.stderr],
    [2, 'wp restore: the database holds papers of others: --replace gives them up for the archive\n'],
  );
  const restored = await wp(['restore', file, '--replace']);
  assert.equal(restored.status, 0, restored.stderr);
  assert.match(restored.stdout, /papers\s+12/);
});

test('a worker runs until it is told to stop, and keeps others out of its database', async () => {
  const controller = new AbortController();
  const [stdout, stderr] = [collector(), collector()];
  process.env.WP_METRICS_PORT = '0';
  const world = { version: '0.0.0', streams: { stdout, stderr }, signal: controller.signal };
  const running = runProgram(root(editions, {}), ['worker'], world);
  while (!stdout.text().includes('the worker runs')) await sleep(20);
  assert.match(stdout.text(), /mails are written as files/);
  const other = await wp(['doctor']);
  assert.equal(other.status, 2);
  assert.match(other.stderr, new RegExp(`database' is in use by process ${process.pid}: `));
  delete process.env.WP_METRICS_PORT;
  const [, address = ''] = /metrics=(http:\S+)/.exec(stdout.text())!;
  assert.match(await (await fetch(address)).text(), /^nodejs_eventloop_lag_p99_seconds /m);
  controller.abort(new Interruption('SIGTERM'));
  assert.equal(await running, 143);
  assert.match(stdout.text(), /the worker stops/);
  assert.ok(!readdirSync(home).includes('database.lock'));
  await assert.rejects(fetch(address), 'its metrics went with it');
});
