import { sql, type Transaction } from 'kysely';
import type { Database, Db } from '../database/connect.ts';
import type { Frequency, IsoDate, Tables } from '../database/schema.ts';
import { localDate } from '../dates.ts';
import { type SearchQuery, search } from '../search/search.ts';
import { digestContent, toDigestPaper } from './digest-content.ts';
import type { AlertContent } from './letters.ts';
import { nextDue, type Timing } from './subscriptions.ts';

/** Subscriptions that one transaction moves on. */
const batchSize = 1_000;
/** A page that was down for long does not flood its readers: older digests than these are left out. */
const oldestDigest: Readonly<Record<Frequency, number>> = { daily: 3, weekly: 8 }; // days

/**
 * Writes down which digests are due to whom, and moves the subscriptions on to the next time, in one transaction: a
 * digest is planned exactly once, whoever is killed. Resolves to how many deliveries were planned.
 */
export async function planDigests(db: Db, timing: Timing, now = new Date()): Promise<number> {
  let planned = 0;
  for (;;) {
    const [count, due] = await db.transaction().execute((transaction) => planBatch(transaction, timing, now));
    planned += count;
    if (due < batchSize) return planned;
  }
}

async function planBatch(
  transaction: Transaction<Tables>,
  timing: Timing,
  now: Date,
): Promise<readonly [planned: number, due: number]> {
  const due = await transaction
    .selectFrom('subscriptions')
    .select(['id', 'frequency', 'timeZone', 'nextDueAt'])
    .where('state', '=', 'active')
    .where('nextDueAt', '<=', now)
    .orderBy('nextDueAt')
    .limit(batchSize)
    .forUpdate()
    .skipLocked()
    .execute();
  // Thousands of readers share a few time zones, and with them the moment that comes next.
  const groups = Map.groupBy(due, (row) => `${row.frequency} ${row.timeZone} ${row.nextDueAt?.getTime()}`);
  let planned = 0;
  for (const group of groups.values()) {
    const { frequency, timeZone, nextDueAt } = group[0]!;
    const ids = group.map(({ id }) => id);
    const dueAt = nextDueAt!;
    const isOld = now.getTime() - dueAt.getTime() > oldestDigest[frequency] * 86_400_000;
    if (!isOld) {
      const period = localDate(dueAt, timeZone);
      const digestId = await ensureDigest(transaction, frequency, period, now);
      const { numInsertedOrUpdatedRows = 0n } = await transaction
        .insertInto('deliveries')
        .columns(['key', 'email', 'subscriptionId', 'digestId'])
        .expression((eb) =>
          eb
            .selectFrom('subscriptions')
            .select([
              sql<string>`'digest ' || id || ${` ${frequency} ${period}`}`.as('key'),
              'email',
              'id',
              sql<string>`${digestId}::uuid`.as('digestId'),
            ])
            .where('id', 'in', ids),
        )
        .onConflict((conflict) => conflict.column('key').doNothing())
        .executeTakeFirst();
      planned += Number(numInsertedOrUpdatedRows);
    }
    const next = nextDue(frequency, timeZone, timing, dueAt);
    await transaction.updateTable('subscriptions').set({ nextDueAt: next }).where('id', 'in', ids).execute();
  }
  return [planned, due.length];
}

/** The digest of a period, with the papers as they were when the first reader was due. */
async function ensureDigest(
  transaction: Transaction<Tables>,
  frequency: Frequency,
  period: IsoDate,
  now: Date,
): Promise<string> {
  const find = () =>
    transaction
      .selectFrom('digests')
      .select('id')
      .where('frequency', '=', frequency)
      .where('period', '=', period)
      .executeTakeFirst();
  const known = await find();
  if (known) return known.id;
  const content = await digestContent(transaction, frequency, period, now);
  await transaction
    .insertInto('digests')
    .values({ frequency, period, content: JSON.stringify(content) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { id } = (await find())!;
  return id;
}

const papersPerAlert = 20;
/** At most one mail a day for a search, give or take when the job runs. */
const hoursBetweenAlerts = 20;

/** Looks for new papers of saved searches and writes down what is to be mailed. Resolves to how many mails. */
export async function planAlerts(database: Database, now = new Date()): Promise<number> {
  const { db } = database;
  let planned = 0;
  for (let last = '00000000-0000-0000-0000-000000000000'; ; ) {
    const searches = await db
      .selectFrom('savedSearches')
      .innerJoin('users', 'users.id', 'savedSearches.userId')
      .select([
        'savedSearches.id',
        'savedSearches.name',
        'savedSearches.query',
        'savedSearches.toldUntil',
        'users.email',
      ])
      .where('savedSearches.alert', '=', true)
      .where('savedSearches.toldUntil', '<', new Date(now.getTime() - hoursBetweenAlerts * 3_600_000))
      .where('savedSearches.id', '>', last)
      .orderBy('savedSearches.id')
      .limit(200)
      .execute();
    for (const saved of searches) planned += await planAlert(database, saved, now);
    if (searches.length < 200) return planned;
    last = searches.at(-1)!.id;
  }
}

interface Saved {
  readonly id: string;
  readonly name: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly toldUntil: Date;
  readonly email: string;
}

async function planAlert(database: Database, saved: Saved, now: Date): Promise<number> {
  const { id, name, query, toldUntil, email } = saved;
  const stored = { after: toldUntil, until: now };
  const found = await search(
    database,
    { ...(query as SearchQuery), sort: 'date' },
    { limit: papersPerAlert, stored },
  );
  // Corrected words are not what was saved.
  const papers = found.corrected === undefined ? found.items.map(toDigestPaper) : [];
  return database.db.transaction().execute(async (transaction) => {
    const moved = await transaction
      .updateTable('savedSearches')
      .set({ toldUntil: now })
      .where('id', '=', id)
      // A date has lost the microseconds that the database counts in.
      .where(sql`date_trunc('milliseconds', told_until)`, '=', toldUntil)
      .where('alert', '=', true)
      .executeTakeFirst();
    if (moved.numUpdatedRows === 0n || papers.length === 0) return 0;
    const content: AlertContent = { name, papers, hasMore: found.next !== undefined };
    await transaction
      .insertInto('deliveries')
      .values({
        key: `alert ${id} ${now.toISOString()}`,
        email,
        savedSearchId: id,
        content: JSON.stringify(content),
      })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .execute();
    return 1;
  });
}
