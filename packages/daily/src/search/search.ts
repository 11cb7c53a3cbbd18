import { UserError } from '@working-papers/paper';
import { type RawBuilder, sql } from 'kysely';
import { checkLimit, cursorMoment, type Page, readCursor, toPage } from '../cursor.ts';
import type { Database, Db } from '../database/connect.ts';
import type { IsoDate } from '../database/schema.ts';
import { isIsoDate } from '../dates.ts';
import { type CardRow, cardColumns, type PaperCard, toCard } from '../papers/cards.ts';
import { findArxivId } from '../papers/identifiers.ts';
import type { Embedder } from './embedder.ts';
import { vectorText } from './embeddings.ts';
import { type Segment, textHeadline, titleHeadline, toSegments } from './highlight.ts';
import { cleanText, type ParsedQuery, parseQuery, wantedWords } from './query.ts';
import { completions, corrections } from './spelling.ts';
import { type Alternatives, toTsQuery } from './tsquery.ts';

/** A search as a saved search keeps it and as an address says it. */
export interface SearchQuery {
  readonly text?: string;
  /** Days of first publication, both included. */
  readonly from?: IsoDate;
  readonly to?: IsoDate;
  /** As arXiv names them; `cs` is every category of computer science. */
  readonly category?: string;
  /** Only papers that run here. */
  readonly works?: boolean;
  readonly hasCode?: boolean;
  readonly sort?: 'relevance' | 'date';
}

export interface SearchOptions {
  readonly limit?: number;
  readonly cursor?: string | undefined;
  /** The last word is perhaps not typed to its end. */
  readonly isTyping?: boolean;
  /** Without one, search is by words alone. */
  readonly embedder?: Embedder | undefined;
  /** Only papers that came in within this time, whenever they were published. */
  readonly stored?: { readonly after: Date; readonly until: Date };
}

export interface SearchHit extends PaperCard {
  readonly highlights: { readonly title: readonly Segment[]; readonly text: readonly Segment[] };
}

export interface SearchResult extends Page<SearchHit> {
  /** Words that stand in no paper were replaced by their neighbours: what was searched for. */
  readonly corrected?: string;
  readonly byMeaning: boolean;
}

/** Ranked at most, of each kind of candidates: the best are among them, and a common word costs no more than a rare. */
const mostCandidates = 400;
const nearestInMeaning = 100;
/** Of reciprocal rank fusion: Cormack, Clarke, Büttcher, SIGIR 2009. */
const rrf = 60;
/** Fewer hits than this, and words that stand nowhere are taken for typing errors. */
const fewHits = 3;

/** Checks a search that came from outside. Throws a `UserError` that names the field. */
export function checkSearch(query: SearchQuery): SearchQuery {
  for (const name of ['from', 'to'] as const) {
    const date = query[name];
    if (date !== undefined && !isIsoDate(date))
      throw new UserError(`${name}: expected a day as 2026-09-10, found '${date}'`);
  }
  const { category } = query;
  if (category !== undefined && !/^[a-z-]{1,20}(\.[A-Za-z-]{1,20})?$/.test(category)) {
    throw new UserError(`category: expected one as cs.LG, found '${category}'`);
  }
  return query;
}

/**
 * Papers by words, typing errors forgiven, and by meaning where there is an embedder; filtered; best first. A query
 * that names an edition's whole subject brings that edition's papers first, in its order.
 */
export async function search(
  database: Database,
  query: SearchQuery,
  options: SearchOptions = {},
): Promise<SearchResult> {
  checkSearch(query);
  const { db } = database;
  const limit = checkLimit(options.limit);
  const text = cleanText(query.text ?? '');
  const parsed = parseQuery(text);
  if (parsed.length === 0) {
    const page = await newest(db, conditions(query, options), limit, options.cursor);
    return { ...page, byMeaning: false };
  }

  const vector = await embedQuery(database, options.embedder, text, query);
  const run = (alternatives: Alternatives) =>
    ranked(db, {
      query,
      filters: conditions(query, options),
      parsed,
      text,
      alternatives,
      vector,
      limit,
      cursor: options.cursor,
    });
  const typed = options.isTyping ? await completions(db, parsed) : new Map<string, readonly string[]>();
  const page = await run(typed);
  // Also on later pages, so that they go on with what the first one has shown.
  if (page.lexical < fewHits) {
    const correction = await corrections(db, parsed);
    if (correction) {
      const { lexical: _, ...corrected } = await run(new Map([...typed, ...correction.alternatives]));
      return { ...corrected, corrected: correction.text, byMeaning: vector !== undefined };
    }
  }
  const { lexical: _, ...rest } = page;
  return { ...rest, byMeaning: vector !== undefined };
}

async function embedQuery(
  { hasVectors }: Database,
  embedder: Embedder | undefined,
  text: string,
  { sort }: SearchQuery,
): Promise<Vector | undefined> {
  if (!hasVectors || !embedder || sort === 'date') return undefined;
  const [vector] = await embedder.embed([text]);
  return vector && { model: embedder.model, text: vectorText(vector) };
}

interface Vector {
  readonly model: string;
  readonly text: string;
}

function conditions(
  { from, to, category, works, hasCode }: SearchQuery,
  { stored }: SearchOptions,
): RawBuilder<boolean> {
  const parts: RawBuilder<unknown>[] = [
    ...(stored ? [sql`papers.stored_at > ${stored.after} and papers.stored_at <= ${stored.until}`] : []),
    ...(from ? [sql`papers.published_at >= ${from}::date`] : []),
    ...(to ? [sql`papers.published_at < ${to}::date + 1`] : []),
    ...(category?.includes('.') ? [sql`papers.categories @> array[${category}]::text[]`] : []),
    ...(category && !category.includes('.')
      ? [
          sql`exists (select from unnest(papers.categories) c where c = ${category} or c like ${`${category}.%`})`,
        ]
      : []),
    ...(works ? [sql`papers.work_state = 'works'`] : []),
    ...(hasCode ? [sql`papers.code_url is not null`] : []),
  ];
  return parts.length === 0 ? sql`true` : sql`${sql.join(parts, sql` and `)}`;
}

/** Without words: the newest papers that pass the filters. */
async function newest(
  db: Db,
  filters: RawBuilder<boolean>,
  limit: number,
  cursor: string | undefined,
): Promise<Page<SearchHit>> {
  const after = readCursor(cursor, ['', '']);
  const rows = await db
    .selectFrom('papers')
    .select(cardColumns)
    .where(filters)
    .$if(after !== undefined, (rows) =>
      rows.where(sql<boolean>`(published_at, id) < (${cursorMoment(after![0])}::timestamptz, ${after![1]})`),
    )
    .orderBy('publishedAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, ({ publishedAt, id }) => [publishedAt.toISOString(), id], plainHit);
}

function plainHit(row: CardRow): SearchHit {
  const text = row.abstract ?? row.summary ?? '';
  const plain = (words: string) => (words === '' ? [] : [{ text: words, isHit: false }]);
  return { ...toCard(row), highlights: { title: plain(row.title), text: plain(text) } };
}

interface Ranking {
  readonly query: SearchQuery;
  readonly filters: RawBuilder<boolean>;
  readonly parsed: ParsedQuery;
  readonly text: string;
  readonly alternatives: Alternatives;
  readonly vector: Vector | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

async function ranked(db: Db, ranking: Ranking): Promise<Page<SearchHit> & { lexical: number }> {
  const { query, filters, parsed, text, alternatives, vector, limit, cursor } = ranking;
  const after = readCursor(cursor, [0, '']);
  // Written out wherever it is used: the planner then knows how rare its words are, and walks by date or by word.
  const tsquery = toTsQuery(parsed, alternatives);
  const words = wantedWords(parsed).map((word) => alternatives.get(word)?.[0] ?? word);
  const exact = findArxivId(text)?.id ?? '';
  const { sort = 'relevance' } = query;
  const order =
    sort === 'date' ? sql`published_at` : sql`ts_rank('{0.1, 0.25, 0.5, 1.0}', search, ${tsquery})`;
  // A subject's words, all of them, are its name: then its papers are meant, whatever else speaks of it.
  const { rows } = await sql<
    CardRow & { score: number; lexical: number; titleHits: string; textHits: string }
  >`
    with candidates as (
      (select id, search, published_at from papers
        where to_tsvector('paper_words', title) @@ ${tsquery} and search @@ ${tsquery} and ${filters}
        order by published_at desc limit ${sql.lit(mostCandidates)})
      union
      (select id, search, published_at from papers
        where search @@ ${tsquery} and ${filters}
        order by published_at desc limit ${sql.lit(mostCandidates)})
    ), lexical as (
      select id, row_number() over (order by ${order} desc, published_at desc, id desc) as place from candidates
    ), meaning as (
      ${vector ? nearest(vector, filters) : sql`select null::text as id, 0::bigint as place where false`}
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
           (select count(*)::int from lexical) as lexical,
           ${titleHeadline(tsquery)} as title_hits, ${textHeadline(tsquery)} as text_hits
      from page join papers on papers.id = page.id
     order by page.score desc, page.id desc`.execute(db);
  const page = toPage(
    rows,
    limit,
    ({ score, id }) => [score, id],
    ({ titleHits, textHits, score: _, lexical: __, ...row }): SearchHit => ({
      ...toCard(row),
      highlights: { title: toSegments(titleHits), text: toSegments(textHits) },
    }),
  );
  return { ...page, lexical: rows[0]?.lexical ?? 0 };
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
