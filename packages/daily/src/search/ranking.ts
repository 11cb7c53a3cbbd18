import { type RawBuilder, sql } from 'kysely';
import { type Page, readCursor, toPage } from '../cursor.ts';
import type { Db } from '../database/connect.ts';
import { type CardRow, cardColumns, toCard } from '../papers/cards.ts';
import { findArxivId } from '../papers/identifiers.ts';
import { highlighter, marksOf } from './highlight.ts';
import type { Loose } from './loose.ts';
import { type ParsedQuery, wantedWords } from './query.ts';
import type { SearchHit, SearchQuery } from './search.ts';
import { type Alternatives, type TsQuery, toTsQuery } from './tsquery.ts';

/** Ranked at most, of each kind of candidates: the best are among them, and a common word costs no more than a rare. */
const mostCandidates = 400;
const nearestInMeaning = 100;
/** Of reciprocal rank fusion: Cormack, Clarke, Büttcher, SIGIR 2009. */
const rrf = 60;
/** Of a query's worth, what a paper must have that has not all of its words. */
const leastShare = 0.3;

/** A query as a model's vector. */
export interface Vector {
  readonly model: string;
  readonly text: string;
}

export interface Ranking {
  readonly query: SearchQuery;
  readonly filters: RawBuilder<boolean>;
  readonly parsed: ParsedQuery;
  readonly text: string;
  readonly alternatives: Alternatives;
  /** Given, papers follow that have most of the words. */
  readonly loose?: Loose | undefined;
  readonly vector: Vector | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

/** A page of what was found, and how many papers have all of the words. */
export async function ranked(db: Db, ranking: Ranking): Promise<Page<SearchHit> & { strict: number }> {
  const { query, filters, parsed, text, alternatives, loose, vector, limit, cursor } = ranking;
  const after = readCursor(cursor, [0, '']);
  // Written out wherever it is used: the planner then knows how rare its words are, and walks by date or by word.
  const tsquery = toTsQuery(parsed, alternatives);
  const marks = marksOf(parsed, alternatives);
  const words = wantedWords(parsed).map((word) => alternatives.get(word)?.[0] ?? word);
  const exact = findArxivId(text)?.id ?? '';
  const { sort = 'relevance' } = query;
  const order =
    sort === 'date' ? sql`published_at` : sql`ts_rank('{0.1, 0.25, 0.5, 1.0}', search, ${tsquery})`;
  // A subject's words, all of them, are its name: then its papers are meant, whatever else speaks of it.
  const { rows } = await sql<CardRow & { score: number; strict: number; lexemes: string[] }>`
    with strict as (
      select id, row_number() over (order by ${order} desc, published_at desc, id desc) as place
        from (${candidates(tsquery, sql`search @@ ${tsquery} and ${filters}`)}) candidates
    ), loose as (
      ${loose ? most(loose, filters) : nothing}
    ), lexical as (
      select id, place from strict
      union all
      select id, place + (select count(*) from strict) from loose where id not in (select id from strict)
    ), meaning as (
      ${vector ? nearest(vector, filters) : nothing}
    ), named as (
      select shown.paper_id as id, min(shown.position) as place
        from editions join edition_papers shown on shown.date = editions.date and shown.origin = 'edition'
        join papers on papers.id = shown.paper_id
       where editions.subject is not null
         and cardinality(tsvector_to_array(to_tsvector('paper_words', editions.subject))) > 0
         and tsvector_to_array(to_tsvector('paper_words', editions.subject))
             <@ tsvector_to_array(to_tsvector('paper_words', ${words.join(' ')}))
         and ${filters}
       group by shown.paper_id
    ), fused as (
      select id, round((
          coalesce(1.0 / (${sql.lit(rrf)} + max(lexical.place)), 0)
          + coalesce(1.0 / (${sql.lit(rrf)} + max(meaning.place)), 0)
          + ${sort === 'date' ? sql`0` : sql`coalesce(100000 - max(named.place), 0)`}
          + case when id = ${exact} then 200000 else 0 end
        )::numeric, 9)::float8 as score
        from lexical full join meaning using (id) full join named using (id)
             full join (select id from papers where id = ${exact} and ${filters}) exact using (id)
       group by id
    ), page as materialized (
      select id, score from fused
       where ${after ? sql`(score, id) < (${after[0]}::float8, ${after[1]})` : sql`true`}
       order by score desc, id desc limit ${limit + 1}
    )
    select ${sql.join(cardColumns.map((column) => sql.ref(column)))}, page.score,
           (select count(*)::int from strict) as strict,
           tsvector_to_array(to_tsvector('paper_words', ${marks.words.join(' ')})) as lexemes
      from page join papers on papers.id = page.id
     order by page.score desc, page.id desc`.execute(db);
  const highlight = highlighter(marks, rows[0]?.lexemes ?? []);
  const page = toPage(
    rows,
    limit,
    ({ score, id }) => [score, id],
    ({ score: _, strict: __, lexemes: ___, ...row }): SearchHit => ({
      ...toCard(row),
      highlights: {
        title: highlight.whole(row.title),
        text: highlight.passage(row.abstract ?? row.summary ?? ''),
      },
    }),
  );
  return { ...page, strict: rows[0]?.strict ?? 0 };
}

const nothing = sql`select null::text as id, 0::bigint as place where false`;

/** Papers by `condition`, those whose title has the words among them however old they are. */
function candidates(titleWords: TsQuery, condition: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    (select id, search, published_at from papers
      where title_words @@ ${titleWords} and ${condition}
      order by published_at desc limit ${sql.lit(mostCandidates)})
    union
    (select id, search, published_at from papers
      where ${condition}
      order by published_at desc limit ${sql.lit(mostCandidates)})`;
}

/** Papers that have most of the words, by what the words are worth. */
function most({ rare, must, share, score }: Loose, filters: RawBuilder<boolean>): RawBuilder<unknown> {
  const condition = sql`search @@ ${must ? sql`(${rare} && ${must})` : rare} and ${filters}`;
  return sql`
    select id, row_number() over (order by score desc, published_at desc, id desc) as place
      from (
        select id, published_at, ${score} as score
          from (${candidates(rare, condition)}) candidates
         where ${share} >= ${sql.lit(leastShare)}
      ) scored`;
}

function nearest({ model, text }: Vector, filters: RawBuilder<boolean>): RawBuilder<unknown> {
  return sql`
    select near.id, row_number() over (order by near.distance, near.id) as place
      from (
        select paper_id as id, embedding <=> ${text}::vector as distance
          from paper_embeddings where model = ${model}
         order by embedding <=> ${text}::vector limit ${sql.lit(nearestInMeaning)}
      ) near join papers on papers.id = near.id
     where ${filters}`;
}
