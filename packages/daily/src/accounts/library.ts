import { UserError } from '@working-papers/paper';
import { sql } from 'kysely';
import { checkLimit, cursorMoment, type Page, readCursor, toPage } from '../cursor.ts';
import type { Db } from '../database/connect.ts';
import { cardColumns, type PaperCard, toCard } from '../papers/cards.ts';
import { parseArxivId } from '../papers/identifiers.ts';
import { cleanLine } from '../sources/clean.ts';

/** Votes for a paper, or takes the vote back. Resolves to the paper's upvotes; undefined where there is no paper. */
export async function vote(
  db: Db,
  userId: string,
  paperId: string,
  wanted: boolean,
): Promise<number | undefined> {
  if (!parseArxivId(paperId)) return undefined;
  if (wanted) {
    // From the paper, so that one that is not there is no error.
    await db
      .insertInto('votes')
      .columns(['userId', 'paperId'])
      .expression((eb) =>
        eb
          .selectFrom('papers')
          .select([sql<string>`${userId}::uuid`.as('userId'), 'id'])
          .where('id', '=', paperId),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  } else {
    await db.deleteFrom('votes').where('userId', '=', userId).where('paperId', '=', paperId).execute();
  }
  const row = await db
    .selectFrom('papers')
    .select(sql<number>`votes + source_upvotes`.as('upvotes'))
    .where('id', '=', paperId)
    .executeTakeFirst();
  return row?.upvotes;
}

export interface LibraryEntry {
  readonly paper: PaperCard;
  readonly tags: readonly string[];
  readonly addedAt: Date;
  /** Null: not read yet. */
  readonly readAt: Date | null;
}

const mostTags = 20;

/** Lower case, each once. Throws a `UserError` where there are too many or one is too long. */
export function readTags(tags: readonly string[]): readonly string[] {
  const clean = [...new Set(tags.map((tag) => cleanLine(tag, 100).toLowerCase()))].filter(
    (tag) => tag !== '',
  );
  if (clean.length > mostTags)
    throw new UserError(`tags: expected at most ${mostTags}, found ${clean.length}`);
  const long = clean.find((tag) => tag.length > 40);
  if (long !== undefined) throw new UserError(`tags: expected at most 40 characters, found '${long}'`);
  return clean.toSorted();
}

/** Puts a paper into the library or changes what stands there. Resolves to whether there is such a paper. */
export async function keep(
  db: Db,
  userId: string,
  paperId: string,
  { tags, isRead }: { tags?: readonly string[]; isRead?: boolean } = {},
): Promise<boolean> {
  if (!parseArxivId(paperId)) return false;
  const changes = {
    ...(tags && { tags: [...readTags(tags)] }),
    ...(isRead !== undefined && { readAt: isRead ? new Date() : null }),
  };
  const paper = await db.selectFrom('papers').select('id').where('id', '=', paperId).executeTakeFirst();
  if (!paper) return false;
  await db
    .insertInto('library')
    .values({ userId, paperId, ...changes })
    .onConflict((conflict) => {
      const known = conflict.columns(['userId', 'paperId']);
      return Object.keys(changes).length > 0 ? known.doUpdateSet(changes) : known.doNothing();
    })
    .execute();
  return true;
}

export async function discard(db: Db, userId: string, paperId: string): Promise<void> {
  await db.deleteFrom('library').where('userId', '=', userId).where('paperId', '=', paperId).execute();
}

export interface LibraryOptions {
  readonly tag?: string;
  readonly isRead?: boolean;
  readonly limit?: number;
  readonly cursor?: string | undefined;
}

/** What a reader keeps, the newest first. */
export async function library(
  db: Db,
  userId: string,
  options: LibraryOptions = {},
): Promise<Page<LibraryEntry>> {
  const limit = checkLimit(options.limit);
  const after = readCursor(options.cursor, ['', '']);
  const { isRead } = options;
  const tag = options.tag === undefined ? undefined : cleanLine(options.tag, 100).toLowerCase();
  const rows = await db
    .selectFrom('library')
    .innerJoin('papers', 'papers.id', 'library.paperId')
    .select([...cardColumns, 'library.tags', 'library.addedAt', 'library.readAt'])
    .where('library.userId', '=', userId)
    .$if(tag !== undefined, (query) => query.where(sql<boolean>`library.tags @> array[${tag}]::text[]`))
    .$if(isRead !== undefined, (query) => query.where('library.readAt', isRead ? 'is not' : 'is', null))
    .$if(after !== undefined, (query) =>
      query.where(
        sql<boolean>`(date_trunc('milliseconds', library.added_at), library.paper_id) < (${cursorMoment(after![0])}::timestamptz, ${after![1]})`,
      ),
    )
    .orderBy(sql`date_trunc('milliseconds', library.added_at)`, 'desc')
    .orderBy('library.paperId', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(
    rows,
    limit,
    ({ addedAt, id }) => [addedAt.toISOString(), id],
    ({ tags, addedAt, readAt, ...row }): LibraryEntry => ({ paper: toCard(row), tags, addedAt, readAt }),
  );
}

/** A reader's tags with how many papers carry each, the commonest first. */
export async function libraryTags(
  db: Db,
  userId: string,
): Promise<readonly { tag: string; papers: number }[]> {
  const { rows } = await sql<{ tag: string; papers: number }>`
    select tag, count(*)::int as papers from library, unnest(tags) as tag
     where user_id = ${userId} group by tag order by papers desc, tag`.execute(db);
  return rows;
}
