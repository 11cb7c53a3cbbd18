import { UserError } from '@working-papers/paper';
import { type RawBuilder, sql } from 'kysely';
import { checkLimit, cursorMoment, type Page, readCursor, toPage } from '../cursor.ts';
import type { Database, Db } from '../database/connect.ts';
import type { IsoDate } from '../database/schema.ts';
import { isIsoDate } from '../dates.ts';
import { type CardRow, cardColumns, type PaperCard, toCard } from '../papers/cards.ts';
import type { Embedder } from './embedder.ts';
import { vectorText } from './embeddings.ts';
import type { Segment } from './highlight.ts';
import { type Loose, loosen } from './loose.ts';
import { cleanText, parseQuery } from './query.ts';
import { ranked, type Vector } from './ranking.ts';
import { completions, corrections } from './spelling.ts';
import type { Alternatives } from './tsquery.ts';

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
  /** No paper has all of the words: these have most of them. */
  readonly isLoose: boolean;
  readonly byMeaning: boolean;
}

/** Fewer hits than this, and words that stand nowhere are taken for typing errors. */
const fewHits = 3;
/** Fewer than this, and papers follow that have most of the words and not all. */
const enoughHits = 10;

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
    return { ...page, isLoose: false, byMeaning: false };
  }

  const vector = await embedQuery(database, options.embedder, text, query);
  const run = (alternatives: Alternatives, loose?: Loose) =>
    ranked(db, {
      query,
      filters: conditions(query, options),
      ...{ parsed, text, alternatives, loose, vector, limit },
      cursor: options.cursor,
    });
  let alternatives = options.isTyping ? await completions(db, parsed) : noAlternatives;
  let page = await run(alternatives);
  let corrected: string | undefined;
  // All of this also on later pages, so that they go on with what the first one has shown.
  if (page.strict < fewHits) {
    const correction = await corrections(db, parsed);
    if (correction) {
      corrected = correction.text;
      alternatives = new Map([...alternatives, ...correction.alternatives]);
      page = await run(alternatives);
    }
  }
  // Not by date, where a paper with fewer of the words would come before one with all of them.
  if (page.strict < enoughHits && query.sort !== 'date') {
    const loose = await loosen(db, parsed, alternatives);
    if (loose) page = await run(alternatives, loose);
  }
  const { strict, ...rest } = page;
  return {
    ...rest,
    ...(corrected !== undefined && { corrected }),
    isLoose: strict === 0 && rest.items.length > 0 && vector === undefined,
    byMeaning: vector !== undefined,
  };
}

const noAlternatives: Alternatives = new Map();

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
