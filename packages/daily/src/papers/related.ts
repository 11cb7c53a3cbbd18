import { sql } from 'kysely';
import type { Database } from '../database/connect.ts';
import { type CardRow, cardColumns, findCards, type PaperCard, toCard } from './cards.ts';

/** Documents that are ranked at most: more would cost time and change nothing on a list of ten. */
const mostCandidates = 600;

/**
 * Papers like this one: by meaning where both have been embedded, else by the rarest words of its title and keywords.
 */
export async function relatedPapers(
  { db, hasVectors }: Database,
  id: string,
  limit = 8,
): Promise<readonly PaperCard[]> {
  const near = hasVectors ? await byMeaning(db, id, limit) : [];
  return near.length > 0 ? findCards(db, near) : byWords(db, id, limit);
}

async function byMeaning(db: Database['db'], id: string, limit: number): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select other.paper_id as id
      from paper_embeddings other
     where other.paper_id <> ${id}
       and other.model = (select model from paper_embeddings where paper_id = ${id})
     order by other.embedding <=> (select embedding from paper_embeddings where paper_id = ${id})
     limit ${limit}`.execute(db);
  return rows.map((row) => row.id);
}

async function byWords(db: Database['db'], id: string, limit: number): Promise<readonly PaperCard[]> {
  const { rows: lexemes } = await sql<{ lexeme: string }>`
    with own as (
      select distinct unnest(tsvector_to_array(ts_filter(search, '{a,c}'))) as lexeme from papers where id = ${id}
    ), counted as (
      select own.lexeme, sum(words.papers) as papers
        from own join words on words.lexeme = own.lexeme
       group by own.lexeme
    )
    select lexeme from (
      select lexeme, papers, sum(papers) over (order by papers, lexeme) as together from counted where papers > 1
    ) rarest
    where together <= 4000
    order by papers, lexeme limit 8`.execute(db);
  if (lexemes.length === 0) return [];
  // Quoted, because a lexeme may hold what is an operator in a query.
  const query = lexemes
    .map(({ lexeme }) => `'${lexeme.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`)
    .join(' | ');
  const { rows } = await sql<CardRow>`
    with found as materialized (
      select id, search from papers
       where search @@ ${query}::tsquery and id <> ${id} and not withdrawn
       order by published_at desc limit ${sql.lit(mostCandidates)}
    ), nearest as (
      select id, ts_rank('{0.1, 0.1, 0.5, 1.0}', search, ${query}::tsquery) as nearness from found
       order by nearness desc, id desc limit ${limit}
    )
    select ${sql.join(cardColumns.map((column) => sql.ref(column)))}
      from nearest join papers on papers.id = nearest.id
     order by nearest.nearness desc, nearest.id desc`.execute(db);
  return rows.map(toCard);
}
