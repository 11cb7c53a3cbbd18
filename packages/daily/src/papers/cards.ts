import { type Selectable, sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { PaperLink, Tables } from '../database/schema.ts';
import { parseArxivId } from './identifiers.ts';

/** A paper as every list shows it. */
export interface PaperCard {
  readonly id: string;
  readonly version: number | null;
  readonly title: string;
  readonly authors: readonly string[];
  readonly abstract: string | null;
  /** Our own sentences, on papers of our editions. */
  readonly summary: string | null;
  readonly publishedAt: Date;
  /** `month` where the day is not known yet. */
  readonly publishedPrecision: 'day' | 'month';
  readonly categories: readonly string[];
  readonly keywords: readonly string[];
  readonly codeUrl: string | null;
  readonly codeStars: number | null;
  readonly projectUrl: string | null;
  readonly withdrawn: boolean;
  /** Votes here and upvotes where the paper came from. */
  readonly upvotes: number;
  readonly comments: number;
  /** On papers of our editions. */
  readonly work: { readonly id: string; readonly name: string; readonly state: 'works' | 'not yet' } | null;
}

export const cardColumns = [
  'papers.id',
  'papers.version',
  'papers.title',
  'papers.authors',
  'papers.abstract',
  'papers.summary',
  'papers.publishedAt',
  'papers.publishedPrecision',
  'papers.categories',
  'papers.keywords',
  'papers.codeUrl',
  'papers.codeStars',
  'papers.projectUrl',
  'papers.withdrawn',
  'papers.votes',
  'papers.sourceUpvotes',
  'papers.sourceComments',
  'papers.workId',
  'papers.workName',
  'papers.workState',
] as const;

type Column<C> = C extends `papers.${infer Name}` ? Name : never;
export type CardRow = Pick<
  Selectable<Tables['papers']>,
  Column<(typeof cardColumns)[number]> & keyof Tables['papers']
>;

export function toCard({
  votes,
  sourceUpvotes,
  sourceComments,
  workId,
  workName,
  workState,
  ...row
}: CardRow): PaperCard {
  const { id, version, title, authors, abstract, summary, publishedAt, publishedPrecision } = row;
  const { categories, keywords, codeUrl, codeStars, projectUrl, withdrawn } = row;
  const facts = { categories, keywords, codeUrl, codeStars, projectUrl, withdrawn };
  return {
    ...{ id, version, title, authors, abstract, summary, publishedAt, publishedPrecision },
    ...facts,
    upvotes: votes + sourceUpvotes,
    comments: sourceComments,
    work:
      workId !== null && workName !== null && workState !== null
        ? { id: workId, name: workName, state: workState }
        : null,
  };
}

export interface PaperDetails extends PaperCard {
  readonly updatedAt: Date | null;
  readonly links: readonly PaperLink[];
  readonly doi: string | null;
  readonly journal: string | null;
  readonly comment: string | null;
  readonly mismatch: string | null;
  readonly subject: string | null;
  /** Days on whose pages the paper stands, newest first. */
  readonly dates: readonly string[];
}

const detailColumns = ['updatedAt', 'links', 'doi', 'journal', 'comment', 'mismatch', 'subject'] as const;

/** One paper by its identifier without version, or undefined. */
export async function findPaper(db: Db, id: string): Promise<PaperDetails | undefined> {
  if (!parseArxivId(id)) return undefined;
  const row = await db
    .selectFrom('papers')
    .select([...cardColumns, ...detailColumns])
    .select((eb) =>
      sql<string[]>`array(${eb
        .selectFrom('editionPapers')
        .select(sql<string>`date::text`.as('date'))
        .whereRef('paperId', '=', 'papers.id')
        .orderBy('editionPapers.date', 'desc')
        .limit(20)})`.as('dates'),
    )
    .where('id', '=', id)
    .executeTakeFirst();
  if (!row) return undefined;
  const { updatedAt, links, doi, journal, comment, mismatch, subject, dates } = row;
  return {
    ...toCard(row),
    ...{ updatedAt, links, doi, journal, comment, mismatch, subject, dates },
  };
}

/** One paper of our editions by the word behind `wp run`. */
export async function findWork(db: Db, workId: string): Promise<PaperDetails | undefined> {
  const row = await db.selectFrom('papers').select('id').where('workId', '=', workId).executeTakeFirst();
  return row && findPaper(db, row.id);
}

/** Papers in the order of their identifiers; unknown ones are left out. */
export async function findCards(db: Db, ids: readonly string[]): Promise<readonly PaperCard[]> {
  if (ids.length === 0) return [];
  const rows = await db.selectFrom('papers').select(cardColumns).where('id', 'in', ids).execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row ? [toCard(row)] : [];
  });
}

export interface Marks {
  readonly voted: boolean;
  readonly inLibrary: boolean;
  readonly read: boolean;
}

/** What a reader has done with these papers, by identifier: one query for a whole list. */
export async function readerMarks(
  db: Db,
  userId: string,
  ids: readonly string[],
): Promise<Readonly<Record<string, Marks>>> {
  if (ids.length === 0) return {};
  const rows = await db
    .selectFrom('papers')
    .leftJoin('votes', (join) =>
      join.onRef('votes.paperId', '=', 'papers.id').on('votes.userId', '=', userId),
    )
    .leftJoin('library', (join) =>
      join.onRef('library.paperId', '=', 'papers.id').on('library.userId', '=', userId),
    )
    .select(['papers.id', 'votes.createdAt as votedAt', 'library.addedAt', 'library.readAt'])
    .where('papers.id', 'in', ids)
    .execute();
  return Object.fromEntries(
    rows.map(({ id, votedAt, addedAt, readAt }) => [
      id,
      { voted: votedAt !== null, inLibrary: addedAt !== null, read: readAt !== null },
    ]),
  );
}
