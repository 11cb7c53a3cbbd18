import { UserError } from '@working-papers/paper';
import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { cleanText } from '../search/query.ts';
import type { SearchQuery } from '../search/search.ts';
import { checkSearch } from '../search/search.ts';
import { cleanLine } from '../sources/clean.ts';

export interface SavedSearch {
  readonly id: string;
  readonly name: string;
  readonly query: SearchQuery;
  /** New papers that it finds are mailed. */
  readonly alert: boolean;
  readonly createdAt: Date;
}

const mostSearches = 50;

/** Throws a `UserError` for an empty search, a wrong one, or one too many. */
export async function saveSearch(
  db: Db,
  userId: string,
  { name, query, alert }: { name: string; query: SearchQuery; alert: boolean },
): Promise<SavedSearch> {
  const clean = storedForm(checkSearch(query));
  if (Object.keys(clean).length === 0)
    throw new UserError('query: expected words or a filter, found neither');
  const title = cleanLine(name, 100) || cleanLine(clean.text ?? '', 100) || 'Search';
  const { rows } = await sql<{ id: string; createdAt: Date }>`
    insert into saved_searches (user_id, name, query, alert)
    select ${userId}::uuid, ${title}, ${JSON.stringify(clean)}::jsonb, ${alert}
     where (select count(*) from saved_searches where user_id = ${userId}) < ${mostSearches}
    returning id, created_at`.execute(db);
  const [row] = rows;
  if (!row) throw new UserError(`searches: expected at most ${mostSearches} saved ones`);
  return { ...row, name: title, query: clean, alert };
}

/** Only what a search knows, so that nothing else comes back out of the database. */
function storedForm({ text, from, to, category, works, hasCode }: SearchQuery): SearchQuery {
  const words = cleanText(text ?? '');
  return {
    ...(words !== '' && { text: words }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(category !== undefined && { category }),
    ...(works === true && { works }),
    ...(hasCode === true && { hasCode }),
  };
}

export async function savedSearches(db: Db, userId: string): Promise<readonly SavedSearch[]> {
  const rows = await db
    .selectFrom('savedSearches')
    .select(['id', 'name', 'query', 'alert', 'createdAt'])
    .where('userId', '=', userId)
    .orderBy('createdAt')
    .execute();
  return rows.map(({ query, ...row }) => ({ ...row, query: query as SearchQuery }));
}

/** Alerts tell of papers that come in from now on, not of those that came while they were off. */
export async function setAlert(db: Db, userId: string, id: string, alert: boolean): Promise<boolean> {
  if (!isId(id)) return false;
  const { numUpdatedRows } = await db
    .updateTable('savedSearches')
    .set({ alert, ...(alert && { toldUntil: sql<Date>`case when alert then told_until else now() end` }) })
    .where('id', '=', id)
    .where('userId', '=', userId)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

export async function deleteSearch(db: Db, userId: string, id: string): Promise<boolean> {
  if (!isId(id)) return false;
  const { numDeletedRows } = await db
    .deleteFrom('savedSearches')
    .where('id', '=', id)
    .where('userId', '=', userId)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Anything else would be an error of the database's, since the column takes nothing but these. */
export const isId = (text: string) => /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text);
