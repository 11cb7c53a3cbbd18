import { sql } from 'kysely';
import { checkLimit, cursorDay, type Page, readCursor, toPage } from '../cursor.ts';
import type { Db } from '../database/connect.ts';
import type { IsoDate } from '../database/schema.ts';
import { type Period, type PeriodKind, periodOf } from '../dates.ts';
import { cardColumns, type PaperCard, toCard } from './cards.ts';

export interface EditionPage extends Page<PaperCard> {
  readonly kind: PeriodKind;
  readonly period: Period;
  /** Papers in all. 0: an empty day, which a page should say. */
  readonly total: number;
  /** Our own editions within the period, newest first. */
  readonly own: readonly { date: IsoDate; number: number; subject: string; question: string }[];
  /** Names of the nearest periods with papers, before and after. */
  readonly previous?: string;
  readonly following?: string;
}

export interface EditionOptions {
  readonly limit?: number;
  readonly cursor?: string | undefined;
}

/** The newest day with papers, at most `today`. Undefined while there is none. */
export async function latestDate(db: Db, today: IsoDate): Promise<IsoDate | undefined> {
  const row = await db
    .selectFrom('editions')
    .select('date')
    .where('papers', '>', 0)
    .where('date', '<=', today)
    .orderBy('date', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.date;
}

export interface EditionDay {
  readonly date: IsoDate;
  readonly papers: number;
  /** Of our own editions. */
  readonly own: { readonly number: number; readonly subject: string; readonly question: string } | null;
}

/** Days with papers, newest first, none after `today`. */
export async function editionDays(
  db: Db,
  today: IsoDate,
  { limit: asked, cursor }: EditionOptions = {},
): Promise<Page<EditionDay>> {
  const limit = checkLimit(asked);
  const keys = readCursor(cursor, ['']);
  const before = keys && cursorDay(keys[0]);
  const rows = await db
    .selectFrom('editions')
    .select(['date', 'papers', 'number', 'subject', 'question'])
    .where('papers', '>', 0)
    .where('date', '<=', today)
    .$if(before !== undefined, (query) => query.where('date', '<', before!))
    .orderBy('date', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(
    rows,
    limit,
    ({ date }) => [date],
    ({ date, papers, number, subject, question }) => ({
      ...{ date, papers },
      own: number !== null && subject !== null && question !== null ? { number, subject, question } : null,
    }),
  );
}

/**
 * A page of a day's papers in the day's order, or of a week's or month's by upvotes. A day that was never opened is an
 * empty one.
 */
export async function editionPage(
  db: Db,
  kind: PeriodKind,
  period: Period,
  { limit: asked, cursor }: EditionOptions = {},
): Promise<EditionPage> {
  const limit = checkLimit(asked);
  const { from, to } = period;
  const [page, days, before, after] = await Promise.all([
    kind === 'day' ? dayPage(db, from, limit, cursor) : topPage(db, period, limit, cursor),
    db
      .selectFrom('editions')
      .select(['date', 'papers', 'number', 'subject', 'question'])
      .where('date', '>=', from)
      .where('date', '<=', to)
      .orderBy('date', 'desc')
      .execute(),
    neighbour(db, 'desc', from),
    neighbour(db, 'asc', to),
  ]);
  return {
    kind,
    period,
    ...page,
    total: kind === 'day' ? (days[0]?.papers ?? 0) : await countDistinct(db, period),
    own: days.flatMap(({ date, number, subject, question }) =>
      number !== null && subject !== null && question !== null ? [{ date, number, subject, question }] : [],
    ),
    ...(before && { previous: periodOf(kind, before).name }),
    ...(after && { following: periodOf(kind, after).name }),
  };
}

async function dayPage(
  db: Db,
  date: IsoDate,
  limit: number,
  cursor: string | undefined,
): Promise<Page<PaperCard>> {
  const [position] = readCursor(cursor, [0]) ?? [-1];
  const rows = await db
    .selectFrom('editionPapers')
    .innerJoin('papers', 'papers.id', 'editionPapers.paperId')
    .select([...cardColumns, 'editionPapers.position'])
    .where('editionPapers.date', '=', date)
    .where('editionPapers.position', '>', position)
    .orderBy('editionPapers.position')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.position], toCard);
}

/** The papers that were on a page within the period, by upvotes. */
async function topPage(
  db: Db,
  { from, to }: Period,
  limit: number,
  cursor: string | undefined,
): Promise<Page<PaperCard>> {
  const after = readCursor(cursor, [0, '']);
  const score = sql<number>`papers.votes + papers.source_upvotes`;
  const rows = await db
    .selectFrom((eb) =>
      eb
        .selectFrom('editionPapers')
        .select('paperId')
        .distinct()
        .where('date', '>=', from)
        .where('date', '<=', to)
        .as('shown'),
    )
    .innerJoin('papers', 'papers.id', 'shown.paperId')
    .select([...cardColumns, score.as('score')])
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(${score}, papers.id) < (${after![0]}, ${after![1]})`),
    )
    .orderBy(score, 'desc')
    .orderBy('papers.id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.score, row.id], toCard);
}

async function countDistinct(db: Db, { from, to }: Period): Promise<number> {
  const { total } = await db
    .selectFrom('editionPapers')
    .select((eb) => eb.fn.count<number>('paperId').distinct().as('total'))
    .where('date', '>=', from)
    .where('date', '<=', to)
    .executeTakeFirstOrThrow();
  return total;
}

/** The nearest day with papers before (`desc`) or after (`asc`) this one. */
async function neighbour(db: Db, direction: 'asc' | 'desc', date: IsoDate): Promise<IsoDate | undefined> {
  const row = await db
    .selectFrom('editions')
    .select('date')
    .where('papers', '>', 0)
    .where('date', direction === 'asc' ? '>' : '<', date)
    .orderBy('date', direction)
    .limit(1)
    .executeTakeFirst();
  return row?.date;
}
