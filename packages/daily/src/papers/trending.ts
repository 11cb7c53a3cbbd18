import { UserError } from '@working-papers/paper';
import { sql } from 'kysely';
import { checkLimit, cursorMoment, type Page, readCursor, toPage } from '../cursor.ts';
import type { Db } from '../database/connect.ts';
import { cardColumns, type PaperCard, toCard } from './cards.ts';

/** Days. */
export const trendingWindows = [1, 7, 30] as const;
export type TrendingWindow = (typeof trendingWindows)[number];

/** For the page: what `trending` computes, in one sentence each. */
export const trendingFormula = {
  formula: 'score = (Σ 2^(−age / h) + u · 2^(−a / h)) · (1 + log10(1 + stars) / 10)',
  words:
    'Every vote of the window counts 2^(−age / h), so that it is worth half after h, a quarter of the window: 6 hours, 42 hours or 7.5 days. ' +
    'Upvotes u from where a paper came from count as if they were cast at noon (UTC) of the day on whose page the paper stands, a ago. ' +
    'Stars of its code, where they are known, add up to about half: 10 % for 9, 30 % for 999, 50 % for 99,999.',
} as const;

export interface TrendingOptions {
  readonly window: number;
  readonly limit?: number;
  readonly cursor?: string | undefined;
  /** The moment at which the score is taken; later pages stay at the moment of the first. */
  readonly now?: Date;
}

/** Papers that were voted for, or stood on a day's page, within the window, by `trendingFormula`. */
export async function trending(db: Db, options: TrendingOptions): Promise<Page<PaperCard>> {
  const window = trendingWindows.find((days) => days === options.window);
  if (window === undefined) {
    throw new UserError(
      `window: expected one of ${trendingWindows.join(', ')} days, found ${options.window}`,
    );
  }
  const limit = checkLimit(options.limit);
  const after = readCursor(options.cursor, [0, '', '']);
  const now = after ? cursorMoment(after[2]) : (options.now ?? new Date());
  const hours = 24 * window;
  const since = new Date(now.getTime() - hours * 3_600_000);

  const weight = (time: ReturnType<typeof sql>) =>
    sql`power(2, -greatest(extract(epoch from ${now}::timestamptz - ${time}), 0)::float8 / ${sql.lit(900 * hours)})`;
  const noon = sql`((shown.date + time '12:00') at time zone 'UTC')`;
  const rows = await db
    .with('own', (cte) =>
      cte
        .selectFrom('votes')
        .select(['paperId', sql<number>`sum(${weight(sql`votes.created_at`)})`.as('sum')])
        .where('createdAt', '>', since)
        .where('createdAt', '<=', now)
        .groupBy('paperId'),
    )
    .with('shown', (cte) =>
      cte
        .selectFrom('editionPapers')
        .select(['paperId', sql<string>`max(date)`.as('date'), sql<number>`max(upvotes)`.as('upvotes')])
        .where('date', '>', sql<string>`(${since}::timestamptz at time zone 'UTC')::date`)
        .where('date', '<=', sql<string>`(${now}::timestamptz at time zone 'UTC')::date`)
        .groupBy('paperId'),
    )
    .with(
      'scored',
      () => sql<{ id: string; score: number }>`(
        select papers.id, round((
            (coalesce(own.sum, 0) + coalesce(shown.upvotes * ${weight(noon)}, 0))
            * (1 + log(1 + coalesce(papers.code_stars, 0)) / 10)
          )::numeric, 6)::float8 as score
          from own full join shown using (paper_id) join papers on papers.id = paper_id)`,
    )
    .selectFrom('scored')
    .innerJoin('papers', 'papers.id', 'scored.id')
    .select([...cardColumns, 'scored.score'])
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(scored.score, scored.id) < (${after![0]}::float8, ${after![1]})`),
    )
    .orderBy('scored.score', 'desc')
    .orderBy('scored.id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.score, row.id, now.toISOString()], toCard);
}
