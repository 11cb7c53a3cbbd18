import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { writeAtomically } from '@working-papers/nn/atomic';
import { sql, type Transaction } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { Tables } from '../database/schema.ts';
import { type ArchivedTable, archivedTables, archiveFormat, archiveVersion, madeColumns } from './tables.ts';

export interface BackupOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (rows: number) => void;
}

const rowsAtOnce = 500;

/**
 * Writes everything that cannot be made again into one file, gzipped lines of JSON, whole or not at all. It is one
 * moment of the database, while readers go on. Resolves to the rows of each table.
 */
export async function backup(
  db: Db,
  path: string,
  { signal, onProgress }: BackupOptions = {},
): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (transaction) => {
      const lines = Readable.from(archiveLines(transaction, counts, signal, onProgress));
      // An error of the lines reaches the reader of the gzip stream, which throws it into the writing of the file.
      const packed = createGzip();
      pipeline(lines, packed, () => {});
      await writeAtomically(path, packed as AsyncIterable<Uint8Array>);
    });
  return counts;
}

async function* archiveLines(
  transaction: Transaction<Tables>,
  counts: Record<string, number>,
  signal: AbortSignal | undefined,
  onProgress: BackupOptions['onProgress'],
): AsyncGenerator<string> {
  const columns: Record<string, readonly string[]> = {};
  for (const table of archivedTables) columns[table] = await columnsOf(transaction, table);
  const header = {
    format: archiveFormat,
    version: archiveVersion,
    madeAt: new Date().toISOString(),
    columns,
  };
  yield `${JSON.stringify(header)}\n`;
  let rows = 0;
  for (const table of archivedTables) {
    counts[table] = 0;
    const list = sql.join(columns[table]!.map((column) => sql.ref(column)));
    // The database writes the JSON: no type is changed on its way through a driver.
    await sql`declare rows_to_keep no scroll cursor for
      select to_jsonb(kept)::text as row from (select ${list} from ${sql.table(table)}) kept`.execute(
      transaction,
    );
    for (;;) {
      signal?.throwIfAborted();
      const batch = await sql<{ row: string }>`fetch ${sql.lit(rowsAtOnce)} from rows_to_keep`.execute(
        transaction,
      );
      if (batch.rows.length === 0) break;
      for (const { row } of batch.rows) yield `{"table":"${table}","row":${row}}\n`;
      counts[table] += batch.rows.length;
      rows += batch.rows.length;
      onProgress?.(rows);
    }
    await sql`close rows_to_keep`.execute(transaction);
  }
  yield `${JSON.stringify({ end: true, counts })}\n`;
}

/** In the table's order, without those that the database makes itself. */
export async function columnsOf(db: Db, table: ArchivedTable): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select attname::text as name from pg_attribute
     where attrelid = ${table}::regclass and attnum > 0 and not attisdropped
     order by attnum`.execute(db);
  const made = madeColumns[table] ?? [];
  return rows.map(({ name }) => name).filter((name) => !made.includes(name));
}
