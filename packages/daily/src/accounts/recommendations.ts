import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { findCards, type PaperCard } from '../papers/cards.ts';

/** For the page: how `recommendations` are computed. */
export const recommendationsWords =
  'From the titles and keywords of the last 50 papers that you keep or voted for, every word counts how many of them ' +
  'it is in, times the logarithm of how rare it is everywhere (tf-idf). The ten strongest words are searched for ' +
  'among the papers of the last 60 days; those that you know already are left out, and the rest is ranked by the ' +
  'words that it shares, title before keywords before abstract.';

const mostCandidates = 600;

/** Papers that go with what a reader keeps, by `recommendationsWords`. Empty while the library is. */
export async function recommendations(
  db: Db,
  userId: string,
  { limit = 20, now = new Date() }: { limit?: number; now?: Date } = {},
): Promise<readonly PaperCard[]> {
  const { rows: words } = await sql<{ lexeme: string }>`
    with known as (
      select paper_id from (
        select paper_id, added_at as at from library where user_id = ${userId}
        union all
        select paper_id, created_at from votes where user_id = ${userId}
      ) both_kinds
      group by paper_id order by max(at) desc limit 50
    ), own as (
      select lexeme, count(*) as times
        from known join papers on papers.id = known.paper_id,
             unnest(tsvector_to_array(ts_filter(papers.search, '{a,c}'))) as lexeme
       group by lexeme
    ), common as (
      select lexeme, sum(papers)::float8 as papers from words
       where lexeme in (select lexeme from own) group by lexeme
    )
    select own.lexeme
      from own join common using (lexeme)
     where length(own.lexeme) > 2
     order by own.times * ln((select greatest(max(papers), 2) + 1 from words) / common.papers) desc, own.lexeme
     limit 10`.execute(db);
  if (words.length === 0) return [];
  const query = words
    .map(({ lexeme }) => `'${lexeme.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`)
    .join(' | ');
  const { rows } = await sql<{ id: string }>`
    with found as materialized (
      select id, search from papers
       where search @@ ${query}::tsquery and not withdrawn
         and stored_at > ${now}::timestamptz - interval '60 days'
         and not exists (select from library where user_id = ${userId} and paper_id = papers.id)
         and not exists (select from votes where user_id = ${userId} and paper_id = papers.id)
       order by published_at desc limit ${sql.lit(mostCandidates)}
    )
    select id from found
     order by ts_rank('{0.05, 0.1, 0.5, 1.0}', search, ${query}::tsquery) desc, id desc
     limit ${limit}`.execute(db);
  return findCards(
    db,
    rows.map(({ id }) => id),
  );
}
