/**
 * The schema's history, forward only: a migration that has been released is never edited. All that are missing run
 * in one transaction under a lock, so any number of processes may start at once.
 */

import { UserError } from '@working-papers/paper';
import { CompiledQuery, type Kysely, sql } from 'kysely';
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import { first } from './migrations/0001-first.ts';
import { tellChanges } from './migrations/0002-tell-changes.ts';
import { titleWords } from './migrations/0003-title-words.ts';

const provider: MigrationProvider = {
  getMigrations: async () => ({
    '0001-first': statements(first),
    '0002-tell-changes': statements(tellChanges),
    '0003-title-words': statements(titleWords),
  }),
};

function statements(list: readonly string[]): Migration {
  return {
    async up(db) {
      for (const statement of list) await db.executeQuery(CompiledQuery.raw(statement));
    },
  };
}

/** Brings the schema to this version. Throws a `UserError` where the database is of a newer one. */
export async function migrate<T>(db: Kysely<T>): Promise<readonly string[]> {
  const migrator = new Migrator({ db, provider });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error instanceof Error && /corrupted migrations/.test(error.message)) {
    throw new UserError(`the database is of a newer version than this program: ${error.message}`);
  }
  if (error) throw error;
  return results.map(({ migrationName }) => migrationName);
}

/** Numbers per vector: what all-MiniLM-L6-v2 and bge-small make. */
export const embeddingSize = 384;

/**
 * Makes the table of embeddings where the server has pgvector, at any start: it may be installed after the schema.
 * Resolves to whether it is there.
 */
export async function prepareVectors<T>(db: Kysely<T>): Promise<boolean> {
  const { rows } = await sql<{ installed: string | null }>`
    select installed_version as installed from pg_available_extensions where name = 'vector'`.execute(db);
  if (rows.length === 0) return false;
  try {
    return await db.transaction().execute(async (transaction) => {
      // The same two statements from two processes at once would collide in the catalogue.
      await sql`select pg_advisory_xact_lock(3853314791062309108)`.execute(transaction);
      await sql`create extension if not exists vector`.execute(transaction);
      await sql`
        create table if not exists paper_embeddings (
          paper_id text primary key references papers on delete cascade,
          model text not null,
          text_hash text not null,
          embedding vector(${sql.lit(embeddingSize)}) not null
        )`.execute(transaction);
      await sql`
        create index if not exists paper_embeddings_nearest
          on paper_embeddings using hnsw (embedding vector_cosine_ops)`.execute(transaction);
      return true;
    });
  } catch (error) {
    // Not ours to install: the extension needs a superuser on most servers.
    if ((error as { code?: string }).code === '42501') return false;
    throw error;
  }
}
