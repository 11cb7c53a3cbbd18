import { UserError } from '@working-papers/paper';
import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { IsoDate } from '../database/schema.ts';
import { addDays, daysBetween, isIsoDate, utcDate } from '../dates.ts';
import { storeDay, storePapers } from '../papers/records.ts';
import { papersById, papersOfDay } from './arxiv.ts';
import { SourceError } from './http.ts';
import { dailyPapers, isNotOpenYet } from './huggingface.ts';
import type { Records, Rejected } from './records.ts';
import type { Sources } from './sources.ts';

export type SourceName = 'hf' | 'arxiv';

export interface IngestOptions {
  readonly source: SourceName;
  /** Days, both included. */
  readonly from: IsoDate;
  readonly to: IsoDate;
  /** Asks and checks, and stores nothing. */
  readonly dryRun?: boolean;
  /** Days that were done long ago are asked for again. */
  readonly again?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onDay?: (day: IngestedDay) => void;
  /** Today, in UTC. */
  readonly today?: IsoDate;
}

export interface IngestedDay {
  readonly date: IsoDate;
  /** `skipped`: done in an earlier run and settled since. */
  readonly outcome: 'done' | 'unchanged' | 'partial' | 'failed' | 'skipped';
  readonly records: number;
  readonly stored: number;
  readonly changed: number;
  readonly rejected: readonly Rejected[];
  readonly message?: string;
}

/** After this many days upvotes hardly move, and a back-fill need not ask again. */
const settledAfter = 3;
/** A source that fails this often in a row is down: the rest of a back-fill can wait. */
const mostFailures = 3;

/**
 * Takes a range of days from a source, each stored whole or not at all. Killed and started again it goes on where it
 * was; days that fail are told, logged and tried again next time. Nothing that is stored is ever lost to an answer.
 */
export async function ingest(
  db: Db,
  sources: Sources,
  options: IngestOptions,
): Promise<readonly IngestedDay[]> {
  const { source, from, to, signal, onDay, today = utcDate(new Date()) } = options;
  for (const [name, date] of [
    ['from', from],
    ['to', to],
  ] as const) {
    if (!isIsoDate(date)) throw new UserError(`${name}: expected a day as 2026-09-10, found '${date}'`);
  }
  if (to < from) throw new UserError(`to: expected a day not before ${from}, found ${to}`);
  const known = await knownDays(db, source, from, to);
  const done: IngestedDay[] = [];
  let failures = 0;
  for (const date of daysBetween(from, to)) {
    signal?.throwIfAborted();
    const before = known.get(date);
    const isSettled = before?.state === 'done' && utcDate(before.fetchedAt) > addDays(date, settledAfter);
    const isRange = from !== to;
    const day =
      isSettled && isRange && !options.again
        ? skipped(date)
        : failures >= mostFailures
          ? failed(date, `not asked: ${failures} days in a row have failed`)
          : await ingestDay(db, sources, { ...options, today }, date, before);
    failures = day.outcome === 'failed' ? failures + 1 : 0;
    done.push(day);
    onDay?.(day);
  }
  return done;
}

const nothing = { records: 0, stored: 0, changed: 0, rejected: [] } as const;
const skipped = (date: IsoDate): IngestedDay => ({ date, outcome: 'skipped', ...nothing });
const failed = (date: IsoDate, message: string): IngestedDay => ({
  date,
  outcome: 'failed',
  ...nothing,
  message,
});

type KnownDays = Awaited<ReturnType<typeof knownDays>>;

async function knownDays(db: Db, source: SourceName, from: IsoDate, to: IsoDate) {
  const rows = await db
    .selectFrom('ingestDays')
    .select(['date', 'state', 'etag', 'lastModified', 'fetchedAt'])
    .where('source', '=', source)
    .where('date', '>=', from)
    .where('date', '<=', to)
    .execute();
  return new Map(rows.map((row) => [row.date, row]));
}

interface Fetched {
  readonly records: Records;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

async function ingestDay(
  db: Db,
  sources: Sources,
  options: IngestOptions & { readonly today: IsoDate },
  date: IsoDate,
  before: ReturnType<KnownDays['get']>,
): Promise<IngestedDay> {
  const { source, dryRun = false, signal } = options;
  let fetched: Fetched | undefined;
  try {
    fetched = await fetchDay(sources, options, date, before);
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    if (isNotOpenYet(error) && date >= options.today) {
      return { date, outcome: 'unchanged', ...nothing, message: 'the day is not open yet' };
    }
    const day = failed(date, error.message);
    if (!dryRun) await log(db, source, day, before ?? null);
    return day;
  }
  signal?.throwIfAborted();
  if (!fetched) {
    const day: IngestedDay = { date, outcome: 'unchanged', ...nothing };
    if (!dryRun) await log(db, source, day, before ?? null);
    return day;
  }
  const { papers, rejected } = fetched.records;
  const outcome = rejected.length > 0 ? 'partial' : 'done';
  const counted = { date, outcome, records: papers.length, rejected } as const;
  if (dryRun) return { ...counted, stored: 0, changed: 0 };
  const { records, ...conditions } = fetched;
  return db.transaction().execute(async (transaction) => {
    const stored = await storePapers(transaction, papers, source);
    const entries = papers.map(({ id, upvotes = 0 }) => ({ paperId: id, upvotes }));
    await storeDay(transaction, date, source, entries);
    const day = { ...counted, ...stored };
    // After a partial answer the next one is wanted whole, changed or not.
    await log(transaction, source, day, rejected.length > 0 ? null : conditions);
    return day;
  });
}

async function fetchDay(
  { hf, arxiv }: Sources,
  { source, signal, again }: IngestOptions,
  date: IsoDate,
  before: ReturnType<KnownDays['get']>,
): Promise<Fetched | undefined> {
  if (source === 'arxiv') {
    return { records: await papersOfDay(arxiv, date, signal), etag: null, lastModified: null };
  }
  const conditions = again || !before ? {} : { etag: before.etag, lastModified: before.lastModified };
  const answer = await dailyPapers(hf, date, { ...conditions, signal });
  if (!answer.changed) return undefined;
  return { records: answer.value, etag: answer.etag, lastModified: answer.lastModified };
}

type Conditions = { readonly etag: string | null; readonly lastModified: string | null } | null;

/** What `wp doctor` shows, and where a back-fill goes on. */
async function log(db: Db, source: SourceName, day: IngestedDay, conditions: Conditions): Promise<void> {
  const { date, outcome, records, stored, changed, rejected } = day;
  if (outcome === 'skipped') return;
  const [first] = rejected;
  const message = day.message ?? (first ? `${first.at}: ${first.message}` : null);
  await db
    .insertInto('ingestLog')
    .values({ source, date, outcome, records, stored, changed, rejected: rejected.length, message })
    .execute();
  const row = {
    state: outcome === 'unchanged' ? ('done' as const) : outcome,
    etag: conditions?.etag ?? null,
    lastModified: conditions?.lastModified ?? null,
    fetchedAt: new Date(),
    error: outcome === 'failed' ? (message ?? 'unknown') : null,
  };
  // A day that fails today may have been stored yesterday: its count stays.
  const counts = outcome === 'done' || outcome === 'partial' ? { records, rejected: rejected.length } : {};
  await db
    .insertInto('ingestDays')
    .values({ source, date, ...row, ...counts })
    .onConflict((conflict) => conflict.columns(['source', 'date']).doUpdateSet({ ...row, ...counts }))
    .execute();
}

export interface Completed {
  readonly asked: number;
  readonly changed: number;
  /** Unknown to arXiv, or not readable. */
  readonly missing: readonly string[];
}

/**
 * Fetches from arXiv what other sources do not know: versions, categories, abstracts, whether a paper was withdrawn.
 * Without `ids` it takes the newest papers that arXiv has not been asked about.
 */
export async function completeFromArxiv(
  db: Db,
  sources: Sources,
  { ids, limit = 200, signal }: { ids?: readonly string[]; limit?: number; signal?: AbortSignal } = {},
): Promise<Completed> {
  const wanted = ids ?? (await incomplete(db, limit));
  if (wanted.length === 0) return { asked: 0, changed: 0, missing: [] };
  const { papers } = await papersById(sources.arxiv, wanted, signal);
  const asked = new Set(wanted);
  const known = papers.filter(({ id }) => asked.has(id));
  const { stored, changed } = await db.transaction().execute(async (transaction) => {
    const counts = await storePapers(transaction, known, 'arxiv');
    const askedArxivAt = new Date();
    await transaction.updateTable('papers').set({ askedArxivAt }).where('id', 'in', wanted).execute();
    return counts;
  });
  const found = new Set(known.map(({ id }) => id));
  return { asked: wanted.length, changed: stored + changed, missing: wanted.filter((id) => !found.has(id)) };
}

/** Papers that arXiv does not know are asked for again after a while: a paper may be listed before arXiv has it. */
async function incomplete(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('papers')
    .select('id')
    .where('authority', '<>', 'arxiv')
    .where((eb) =>
      eb.or([eb('askedArxivAt', 'is', null), eb('askedArxivAt', '<', sql<Date>`now() - interval '3 days'`)]),
    )
    .orderBy('askedArxivAt', (order) => order.asc().nullsFirst())
    .orderBy('publishedAt', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}
