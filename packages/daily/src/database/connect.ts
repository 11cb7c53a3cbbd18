import { PGlite, type PGliteOptions } from '@electric-sql/pglite';
import { fuzzystrmatch } from '@electric-sql/pglite/contrib/fuzzystrmatch';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';
import { unaccent } from '@electric-sql/pglite/contrib/unaccent';
import { vector } from '@electric-sql/pglite-pgvector';
import { UserError } from '@working-papers/paper';
import { CamelCasePlugin, Kysely, PGliteDialect, PostgresDialect, sql } from 'kysely';
import { Pool } from 'pg';
import { fromPglite, type Db as JobsDb } from 'pg-boss';
import { watchPool } from '../metrics.ts';
import { type ChangeWatch, type ChangeWatcher, watchEmbedded, watchServer } from './changes.ts';
import { lockFolder } from './folder-lock.ts';
import { migrate, prepareVectors } from './migrations.ts';
import type { Tables } from './schema.ts';

export type Db = Kysely<Tables>;

export interface Database {
  readonly db: Db;
  readonly kind: 'pglite' | 'postgres';
  /** Whether the server has pgvector; without it search is lexical. */
  readonly hasVectors: boolean;
  /** The same connections, as pg-boss wants them. */
  readonly jobs: JobsDb;
  /** Tells when papers, editions or votes have changed, whichever process did it. */
  watchChanges(watcher: ChangeWatcher): ChangeWatch;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Of a PostgreSQL server. */
  readonly url?: string | undefined;
  /** Of the embedded database; one in memory where neither is given. */
  readonly folder?: string | undefined;
  /** Connections to a server. Default 10. */
  readonly pool?: number;
  /** The content of an embedded database that begins, as `dumpDataDir` made it. */
  readonly image?: Blob;
}

/** PostgreSQL's numbers of types: drivers make local midnights of dates, and texts of 64-bit integers. */
const dateType = 1082;
const bigintType = 20;

const keep = (value: string) => value;
const camelCase = () => [new CamelCasePlugin({ maintainNestedObjectKeys: true })];

/** Opens the database and brings its schema up to date. Throws a `UserError` where it cannot be reached. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const connected = options.url === undefined ? await openEmbedded(options) : await openServer(options);
  try {
    await migrate(connected.db);
    return { ...connected, hasVectors: await prepareVectors(connected.db) };
  } catch (error) {
    await connected.close();
    throw error;
  }
}

type Connected = Omit<Database, 'hasVectors'>;

async function openEmbedded({ folder, image }: DatabaseOptions): Promise<Connected> {
  const release = folder === undefined ? () => {} : lockFolder(folder);
  try {
    const given: PGliteOptions = {
      ...(folder !== undefined && { dataDir: folder }),
      ...(image && { loadDataDir: image }),
      extensions: { fuzzystrmatch, pg_trgm, unaccent, vector },
      parsers: { [dateType]: keep, [bigintType]: Number },
    };
    const pglite = await PGlite.create(given);
    const db = new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }), plugins: camelCase() });
    return {
      db,
      kind: 'pglite',
      jobs: fromPglite(pglite),
      watchChanges: (watcher) => watchEmbedded(pglite, watcher),
      async close() {
        if (!pglite.closed) await pglite.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

async function openServer({ url, pool: max = 10 }: DatabaseOptions): Promise<Connected> {
  const pool = new Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 10_000,
    application_name: 'working-papers',
    async onConnect(client) {
      client.setTypeParser(dateType, keep);
      client.setTypeParser(bigintType, Number);
      // Compiling a query takes longer than any of ours runs. Asked for here, because poolers refuse it at the door.
      await client.query('set jit = off');
    },
  });
  // Emitted for connections at rest; one in use rejects its own query.
  pool.on('error', () => {});
  const forget = watchPool(pool);
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), plugins: camelCase() });
  try {
    const { rows } = await sql<{ version: number }>`
      select current_setting('server_version_num')::int as version`.execute(db);
    const major = Math.floor(rows[0]!.version / 10_000);
    if (major < 15) throw new UserError(`DATABASE_URL: expected PostgreSQL 15 or newer, found ${major}`);
  } catch (error) {
    forget();
    await pool.end();
    throw error instanceof UserError ? error : unreachable(error);
  }
  return {
    db,
    kind: 'postgres',
    jobs: {
      async executeSql(text, values) {
        // pg-boss sends scripts; of those, pg has one result for each statement.
        const results = await pool.query(text, values as unknown[]);
        return { rows: [results].flat().flatMap((result) => result.rows) };
      },
    },
    watchChanges: (watcher) => watchServer(url!, watcher),
    async close() {
      forget();
      if (!pool.ended) await pool.end();
    },
  };
}

/** Without the address, which may hold a password. */
function unreachable(cause: unknown): UserError {
  const reasons = cause instanceof AggregateError ? cause.errors : [cause];
  const messages = reasons.map((reason) => (reason instanceof Error ? reason.message : String(reason)));
  return new UserError(`DATABASE_URL: the server does not answer: ${messages.join('; ')}`, { cause });
}

/** A text that no other database of this kind knows: made once, then shared by all processes. */
export async function sharedSecret(db: Db, name: string, make: () => string): Promise<string> {
  const find = () => db.selectFrom('secrets').select('value').where('name', '=', name).executeTakeFirst();
  const known = await find();
  if (known) return known.value;
  await db
    .insertInto('secrets')
    .values({ name, value: make() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return (await find())!.value;
}
