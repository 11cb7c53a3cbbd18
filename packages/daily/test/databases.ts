/**
 * Every suite runs on PGlite, and on the PostgreSQL server that WP_TEST_DATABASE_URL names, where every suite has a
 * database of its own. `scripts/with-postgres.sh` makes such a server.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe } from 'node:test';
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
  const admin = process.env.WP_TEST_DATABASE_URL;
  if (!admin) return undefined;
  const createUrl = async () => {
    const { url, drop } = await newDatabase(admin);
    later(drop);
    return url;
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

/** An empty database on a server, and how to get rid of it. */
export async function newDatabase(server: string): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `wp_test_${randomBytes(6).toString('hex')}`;
  await statement(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => statement(server, `drop database ${name} with (force)`) };
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
