/**
 * What readers wait for with many papers in the database: editions, papers and searches over HTTP from the built page,
 * on PostgreSQL and on PGlite. The page, the database and the readers share the machine.
 *
 *   scripts/with-postgres.sh npm run bench:load -w packages/daily
 *       [-- --on postgres|pglite --papers N --seconds N --readers N --think S,S --warm-up S --out FILE --profile FOLDER]
 *
 * WP_TEST_DATABASE_URL names an empty database, or one that this bench has filled. PGlite's folder stays in .cache,
 * filled once. What was measured on the other database stays in the results.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { UserError } from '@working-papers/paper';
import { writeFileWhole } from '@working-papers/paper/files';
import { runManifest } from '@working-papers/paper/manifest';
import { writeTable } from '@working-papers/paper/readme-table';
import { sql } from 'kysely';
import { fill } from './corpus.ts';
import { startPage } from './load/page.ts';
import { kinds, type Load, mix, readAll } from './load/readers.ts';

const databases = ['postgres', 'pglite'] as const;
type Kind = (typeof databases)[number];

const shown = join(import.meta.dirname, 'load', 'results.json');
const { values } = parseArgs({
  options: {
    on: { type: 'string' },
    papers: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '120' },
    readers: { type: 'string', default: '50' },
    think: { type: 'string', default: '0,1' },
    'warm-up': { type: 'string', default: '15' },
    out: { type: 'string' },
    profile: { type: 'string' },
  },
});

type Name = 'papers' | 'seconds' | 'readers' | 'think' | 'warm-up';
function number(name: Name, least: number, text = values[name]): number {
  const value = Number(text);
  if (!(value >= least)) throw new UserError(`--${name}: expected a number from ${least}, found '${text}'`);
  return value;
}

const settings = {
  papers: number('papers', 500),
  seconds: number('seconds', 1),
  readers: number('readers', 1),
  /** Mean pauses between an answer and the next question; the whole time is measured with each. */
  thinkSeconds: values.think.split(',').map((text) => number('think', 0, text)),
  warmUpSeconds: number('warm-up', 0),
  loop: 'closed: a reader asks again when the answer is there and the pause is over',
  mix,
};
const wanted = databases.filter((kind) => values.on === undefined || values.on === kind);
if (wanted.length === 0) throw new UserError(`--on: expected postgres or pglite, found '${values.on}'`);

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());

async function fillOnce(database: Database): Promise<void> {
  const { count } = await database.db
    .selectFrom('papers')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('workId', 'is', null)
    .executeTakeFirstOrThrow();
  if (count >= settings.papers) return;
  if (count > 0) throw new UserError(`the database has ${count} papers already: name an empty one`);
  let told = 0;
  await fill(database.db, settings.papers, (done) => {
    if (done - told < 10_000) return;
    told = done;
    console.error(`${done} papers filed`);
  });
  // As PostgreSQL does by itself after a while.
  await sql`vacuum analyze`.execute(database.db);
}

/** A database with the papers in it, as the page's environment names it. */
async function prepare(kind: Kind): Promise<Readonly<Record<string, string>>> {
  if (kind === 'pglite') {
    const home = resolve(import.meta.dirname, '..', '.cache', 'load', `pglite-${settings.papers}`);
    const database = await openDatabase({ folder: join(home, 'database') });
    await fillOnce(database).finally(() => database.close());
    return { WP_HOME: home, DATABASE_URL: '' };
  }
  const home = resolve(import.meta.dirname, '..', '.cache', 'load', 'postgres');
  const url = process.env.WP_TEST_DATABASE_URL;
  if (!url)
    throw new UserError('WP_TEST_DATABASE_URL: expected a server; scripts/with-postgres.sh makes one');
  const database = await openDatabase({ url });
  await fillOnce(database).finally(() => database.close());
  return { WP_HOME: home, DATABASE_URL: url };
}

const round = (value: number) => Math.round(value * 10) / 10;

function summary(times: readonly number[]) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN);
  return { answers: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function report({ times, faults, bytes, seconds }: Load) {
  const all = kinds.flatMap((kind) => times[kind]);
  return {
    all: summary(all),
    ...{ edition: summary(times.edition), paper: summary(times.paper), search: summary(times.search) },
    errors: Object.values(faults).reduce((a, b) => a + b, 0),
    faults,
    answersPerSecond: round(all.length / seconds),
    megabytesPerSecond: round(bytes / seconds / 1e6),
  };
}

const outdated = (kind: Kind) =>
  `${kind} was measured with other settings: name another --out, or measure both`;

interface Measured {
  readonly settings: typeof settings;
  /** With each pause. */
  readonly runs: readonly (ReturnType<typeof report> & { readonly thinkSeconds: number })[];
}
type Results = { -readonly [K in Kind]?: Measured };

async function measure(kind: Kind): Promise<Measured> {
  const environment = await prepare(kind);
  await using page = await startPage(environment, values.profile && resolve(values.profile));
  const { papers, readers, seconds, thinkSeconds, warmUpSeconds } = settings;
  const load = { origin: page.origin, papers, readers, signal: interrupted.signal };
  await readAll({ ...load, seconds: warmUpSeconds, thinkSeconds: 0, seed: 1 });
  const runs: Measured['runs'][number][] = [];
  for (const pause of thinkSeconds) {
    const seed = 1_000_003 * (runs.length + 1);
    runs.push({
      thinkSeconds: pause,
      ...report(await readAll({ ...load, seconds, thinkSeconds: pause, seed })),
    });
  }
  return { settings, runs };
}

const out = resolve(values.out ?? shown);
const results: Results = existsSync(out) ? (JSON.parse(readFileSync(out, 'utf8')) as Results) : {};
for (const kind of databases) {
  const then = results[kind]?.settings;
  if (wanted.includes(kind) || then === undefined) continue;
  if (JSON.stringify(then) !== JSON.stringify(settings)) throw new UserError(outdated(kind));
}
for (const kind of wanted) {
  const measured = await measure(kind);
  if (interrupted.signal.aborted) break;
  results[kind] = { ...runManifest({ from: import.meta.url }), ...measured };
  await writeFileWhole(out, `${JSON.stringify(results, null, 1)}\n`);
  for (const run of measured.runs) console.log(kind, JSON.stringify(run));
}
if (out === shown) {
  const rows = databases.flatMap((kind) =>
    (results[kind]?.runs ?? []).map(({ thinkSeconds, all, errors, answersPerSecond, ...run }) => [
      kind === 'postgres' ? 'PostgreSQL' : 'PGlite',
      thinkSeconds === 0 ? 'none' : `${thinkSeconds} s`,
      ...[all.p50, all.p95, all.p99].map(String),
      ...kinds.map((one) => String(run[one].p95)),
      ...[answersPerSecond, errors].map(String),
    ]),
  );
  const p95 = kinds.map((kind) => `p95 ${kind}`);
  await writeTable(
    join(import.meta.dirname, '..', 'README.md'),
    'load',
    ['', 'pause', 'p50', 'p95', 'p99', ...p95, 'answers/s', 'errors'],
    rows,
  );
}
