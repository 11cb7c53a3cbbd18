import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { fileError, UserError } from '@working-papers/paper';
import { sql, type Transaction } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { Tables } from '../database/schema.ts';
import { recountWords } from '../papers/records.ts';
import { columnsOf } from './backup.ts';
import {
  type ArchivedTable,
  type ArchiveEnd,
  type ArchiveHeader,
  archivedTables,
  archiveFormat,
  archiveVersion,
} from './tables.ts';

export interface RestoreOptions {
  /** What is in the database already is given up for the archive. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (rows: number) => void;
}

const rowsAtOnce = 500;

/**
 * Puts a backup into a database, in one transaction: whole or not at all, whichever kind of database it came from.
 * Throws a `UserError` where the file is no whole backup, or where the database holds more than our own editions and
 * `replace` does not say that it may go.
 */
export async function restore(
  db: Db,
  path: string,
  options: RestoreOptions = {},
): Promise<Readonly<Record<string, number>>> {
  return db.transaction().execute(async (transaction) => {
    if (!options.replace) await checkEmpty(transaction);
    const tables = sql.join(archivedTables.map((table) => sql.table(table)));
    await sql`truncate ${tables} cascade`.execute(transaction);
    const counts = await insertAll(transaction, path, options);
    await recountWords(transaction);
    return counts;
  });
}

async function checkEmpty(db: Db): Promise<void> {
  const { rows } = await sql<{ what: string }>`
    select 'readers' as what where exists (select from users)
    union all select 'subscriptions' where exists (select from subscriptions)
    union all select 'papers of others' where exists (select from papers where work_id is null)`.execute(db);
  if (rows.length === 0) return;
  const found = rows.map(({ what }) => what).join(', ');
  throw new UserError(`the database holds ${found}: --replace gives them up for the archive`);
}

async function insertAll(
  transaction: Transaction<Tables>,
  path: string,
  { signal, onProgress }: RestoreOptions,
): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = Object.fromEntries(archivedTables.map((table) => [table, 0]));
  const broken = (reason: string) => new UserError(`'${path}' is no whole backup: ${reason}`);
  let header: ArchiveHeader | undefined;
  let end: ArchiveEnd | undefined;
  let table: ArchivedTable | undefined;
  let batch: unknown[] = [];
  let rows = 0;
  const flush = async () => {
    if (table === undefined || header === undefined || batch.length === 0) return;
    try {
      await insertRows(transaction, table, header.columns[table]!, batch);
    } catch (error) {
      // Of the classes "data exception" and "integrity constraint violation": the rows are at fault.
      const { code = '', message } = error as { code?: string; message: string };
      throw /^2[23]/.test(code) ? broken(`${table}: ${message}`) : error;
    }
    counts[table] = (counts[table] ?? 0) + batch.length;
    rows += batch.length;
    onProgress?.(rows);
    batch = [];
  };
  for await (const line of linesOf(path, broken)) {
    signal?.throwIfAborted();
    if (end) throw broken('something follows its end');
    const value = parseLine(line, broken);
    if (!header) {
      header = await checkHeader(transaction, value, broken);
    } else if (value.end === true) {
      await flush();
      end = value as unknown as ArchiveEnd;
    } else {
      const next = archivedTables.find((name) => name === value.table);
      if (!next) throw broken(`a row of an unknown table '${String(value.table)}'`);
      if (next !== table || batch.length >= rowsAtOnce) await flush();
      table = next;
      batch.push(value.row);
    }
  }
  if (!header || !end) throw broken('its end is missing');
  for (const name of archivedTables) {
    const expected = end.counts?.[name] ?? 0;
    if (counts[name] !== expected)
      throw broken(`expected ${expected} rows of ${name}, found ${counts[name]}`);
  }
  return counts;
}

async function* linesOf(path: string, broken: (reason: string) => UserError): AsyncGenerator<string> {
  const file = createReadStream(path);
  const unpacked = file.pipe(createGunzip());
  file.on('error', (error) => unpacked.destroy(error));
  const lines = createInterface({ input: unpacked, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) yield line;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw /^Z_/.test(code) ? broken(message) : fileError(`cannot read '${path}'`, error);
  }
}

function parseLine(line: string, broken: (reason: string) => UserError): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Told below.
  }
  throw broken('a line is no JSON');
}

async function checkHeader(
  db: Db,
  value: Readonly<Record<string, unknown>>,
  broken: (reason: string) => UserError,
): Promise<ArchiveHeader> {
  const header = value as unknown as ArchiveHeader;
  if (header.format !== archiveFormat) throw broken(`it does not begin as one`);
  if (header.version !== archiveVersion) {
    throw broken(`expected version ${archiveVersion}, found ${header.version}`);
  }
  for (const table of archivedTables) {
    const known = await columnsOf(db, table);
    const columns = header.columns?.[table];
    const stranger = Array.isArray(columns)
      ? columns.find((column) => !known.includes(column))
      : 'no columns';
    if (stranger !== undefined) throw broken(`${table}: this program knows no column '${stranger}'`);
  }
  return header;
}

async function insertRows(
  transaction: Transaction<Tables>,
  table: ArchivedTable,
  columns: readonly string[],
  rows: readonly unknown[],
): Promise<void> {
  const list = sql.join(columns.map((column) => sql.ref(column)));
  await sql`
    insert into ${sql.table(table)} (${list})
    select ${list} from jsonb_populate_recordset(null::${sql.table(table)}, ${JSON.stringify(rows)}::jsonb)`.execute(
    transaction,
  );
}
