/**
 * Every suite runs on PGlite, and on PostgreSQL where there is one: the server that WP_TEST_DATABASE_URL names, or a
 * cluster of its own from the machine's binaries, gone when the test ends.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { fuzzystrmatch } from '@electric-sql/pglite/contrib/fuzzystrmatch';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';
import { unaccent } from '@electric-sql/pglite/contrib/unaccent';
import { vector } from '@electric-sql/pglite-pgvector';
import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { writeAtomically } from '@working-papers/nn/atomic';
import { Client } from 'pg';

export interface Backend {
  readonly kind: 'pglite' | 'postgres';
  /** A database of its own, with the schema and nothing in it, closed after the suite. */
  open(): Promise<Database>;
  /** The address of a new and empty database. Only of a server. */
  createUrl?(): Promise<string>;
}

/** Runs the same tests on each database. */
export function onEachDatabase(name: string, tests: (backend: Backend) => void): void {
  for (const make of [embedded, server]) {
    const cleanups: Cleanup[] = [];
    const backend = make((cleanup) => cleanups.push(cleanup));
    if (!backend) continue;
    describe(`${name} (${backend.kind})`, () => {
      // At the end of the suite and not of the test that happened to open it.
      after(async () => {
        for (const cleanup of cleanups.reverse()) await cleanup();
      });
      tests(backend);
    });
  }
}

type Cleanup = () => void | Promise<void>;
type Later = (cleanup: Cleanup) => void;

function embedded(later: Later): Backend {
  return {
    kind: 'pglite',
    async open() {
      const database = await openEmbedded();
      later(() => database.close());
      return database;
    },
  };
}

/** An embedded database with the schema and nothing in it; the caller closes it. */
export async function openEmbedded(): Promise<Database> {
  return openDatabase({ image: await emptyCluster() });
}

/** Initialising a cluster takes PGlite seconds, reading one that is initialised far less. */
async function emptyCluster(): Promise<Blob> {
  const path = join(import.meta.dirname, '..', '.cache', `pglite-${pgliteVersion()}.tar`);
  if (!existsSync(path)) {
    mkdirSync(join(path, '..'), { recursive: true });
    const fresh = await PGlite.create({ extensions: { fuzzystrmatch, pg_trgm, unaccent, vector } });
    const image = await fresh.dumpDataDir('none');
    await writeAtomically(path, [new Uint8Array(await image.arrayBuffer())]);
    await fresh.close();
  }
  return new Blob([readFileSync(path)]);
}

function pgliteVersion(): string {
  const manifest = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'));
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

function server(later: Later): Backend | undefined {
  const given = process.env.WP_TEST_DATABASE_URL;
  const binaries = given ? undefined : findBinaries();
  if (!given && !binaries) return undefined;
  let admin: Promise<string> | undefined;
  const createUrl = async () => {
    admin ??= given ? Promise.resolve(given) : startCluster(binaries!, later);
    const url = new URL(await admin);
    const name = `wp_test_${randomBytes(6).toString('hex')}`;
    await statement(await admin, `create database ${name}`);
    later(async () => {
      if (given) await statement(given, `drop database ${name} with (force)`);
    });
    url.pathname = `/${name}`;
    return url.href;
  };
  return {
    kind: 'postgres',
    createUrl,
    async open() {
      const database = await openDatabase({ url: await createUrl(), pool: 5 });
      later(() => database.close());
      return database;
    },
  };
}

async function statement(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

function findBinaries(): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...globSync('/usr/lib/postgresql/*/bin').toSorted().reverse(),
  ];
  return folders.find((folder) => existsSync(join(folder, 'postgres')) && existsSync(join(folder, 'initdb')));
}

/** On a socket in a new folder: no port to collide, nobody else to come in. */
async function startCluster(binaries: string, later: Later): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'wp-pg-'));
  const user = unprivileged();
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const environment = { cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' }, ...user };
  const init = spawnSync(
    join(binaries, 'initdb'),
    ['-D', data, '-A', 'trust', '-U', 'wp', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    { ...environment, encoding: 'utf8' },
  );
  if (init.status !== 0) throw new Error(`initdb: ${init.stderr}`);
  const flags = [
    'listen_addresses=',
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'shared_buffers=64MB',
  ];
  const child = spawn(join(binaries, 'postgres'), ['-D', data, ...flags.flatMap((value) => ['-c', value])], {
    ...environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  child.stderr.on('data', (chunk) => {
    words += chunk;
  });
  const stop = () => child.kill('SIGQUIT');
  process.on('exit', stop);
  later(async () => {
    process.off('exit', stop);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    stop();
    await gone;
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `postgres://wp@localhost/postgres?host=${encodeURIComponent(folder)}`;
  for (let attempt = 0; ; attempt++) {
    try {
      await statement(url, 'select 1');
      return url;
    } catch (error) {
      if (attempt > 200 || child.exitCode !== null) throw new Error(`postgres: ${words}`, { cause: error });
      await sleep(50);
    }
  }
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const row = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'postgres' || name === 'nobody');
  return row ? { uid: Number(row[2]), gid: Number(row[3]) } : undefined;
}
