import { type Expression, type ExpressionBuilder, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Authority, IsoDate, Origin, Tables } from '../database/schema.ts';

/** A paper as a source tells it. What a source does not say is left out, and what is stored already stays. */
export interface PaperRecord {
  readonly id: string;
  readonly version?: number;
  readonly title: string;
  readonly authors: readonly string[];
  readonly abstract?: string;
  readonly publishedAt: Date;
  readonly publishedPrecision?: 'day' | 'month';
  readonly updatedAt?: Date;
  readonly categories?: readonly string[];
  readonly keywords?: readonly string[];
  readonly doi?: string;
  readonly journal?: string;
  readonly comment?: string;
  readonly codeUrl?: string;
  readonly codeStars?: number;
  readonly projectUrl?: string;
  readonly withdrawn?: boolean;
  readonly upvotes?: number;
  readonly comments?: number;
}

export interface Stored {
  /** New papers. */
  readonly stored: number;
  /** Known papers of which something changed. */
  readonly changed: number;
}

type Merged = readonly [column: keyof Tables['papers'], value: RawBuilder<unknown>];

const rank = (authority: Expression<unknown>) =>
  sql`array_position(array['edition', 'hf', 'arxiv'], ${authority})`;

/**
 * Who wins, column by column: bibliographic facts come from the best authority that has spoken (an edition gives way
 * to Hugging Face, that to arXiv; arXiv's later version to none), the rest from whoever knows it.
 */
function merge(
  eb: ExpressionBuilder<Tables & { excluded: Tables['papers'] }, 'papers' | 'excluded'>,
): Merged[] {
  const now = (column: keyof Tables['papers']) => eb.ref(`papers.${column}`);
  const next = (column: keyof Tables['papers']) => eb.ref(`excluded.${column}`);
  const isBetter = sql<boolean>`(
    ${rank(next('authority'))} >= ${rank(now('authority'))}
    and coalesce(${next('version')}, 0) >= coalesce(${now('version')}, 0))`;
  const better = (column: keyof Tables['papers']): Merged => [
    column,
    sql`case when ${isBetter} then ${next(column)} else ${now(column)} end`,
  ];
  const known = (column: keyof Tables['papers']): Merged => [
    column,
    sql`case when ${isBetter} then coalesce(${next(column)}, ${now(column)})
             else coalesce(${now(column)}, ${next(column)}) end`,
  ];
  const latest = (column: keyof Tables['papers']): Merged => [
    column,
    sql`coalesce(${next(column)}, ${now(column)})`,
  ];
  const filled = (column: keyof Tables['papers']): Merged => [
    column,
    sql`case when cardinality(${next(column)}) > 0 then ${next(column)} else ${now(column)} end`,
  ];
  const only = (authority: Authority, column: keyof Tables['papers']): Merged => [
    column,
    sql`case when ${next('authority')} = ${sql.lit(authority)} then ${next(column)} else ${now(column)} end`,
  ];
  return [
    better('title'),
    better('authors'),
    better('publishedAt'),
    better('publishedPrecision'),
    better('authority'),
    known('version'),
    known('updatedAt'),
    known('abstract'),
    known('doi'),
    known('journal'),
    known('comment'),
    filled('categories'),
    filled('keywords'),
    latest('codeUrl'),
    latest('codeStars'),
    latest('projectUrl'),
    only('arxiv', 'withdrawn'),
    only('hf', 'sourceUpvotes'),
    only('hf', 'sourceComments'),
  ];
}

/** Files papers; one that is known already is completed, never impoverished. */
export async function storePapers(
  transaction: Transaction<Tables>,
  records: readonly PaperRecord[],
  authority: Authority,
): Promise<Stored> {
  const byId = new Map(records.map((record) => [record.id, record]));
  if (byId.size === 0) return { stored: 0, changed: 0 };
  // In one order everywhere, so that two writers wait for each other instead of for ever.
  const sorted = [...byId.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const columns = (eb: Parameters<typeof merge>[0]) => Object.fromEntries(merge(eb));
  const rows = await transaction
    .insertInto('papers')
    .values(sorted.map((record) => toRow(record, authority)))
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet((eb) => ({ ...columns(eb as never), changedAt: sql`now()` }))
        .where((eb) => {
          const merged = merge(eb as never);
          const before = sql.join(merged.map(([column]) => sql.ref(`papers.${column}`)));
          return sql<boolean>`(${before}) is distinct from (${sql.join(merged.map(([, value]) => value))})`;
        }),
    )
    .returning(['id', sql<boolean>`xmax = 0`.as('isNew')])
    .execute();
  const fresh = rows.filter(({ isNew }) => isNew).map(({ id }) => id);
  await countWords(transaction, fresh);
  return { stored: fresh.length, changed: rows.length - fresh.length };
}

function toRow(record: PaperRecord, authority: Authority) {
  const { id, title, publishedAt } = record;
  return {
    id,
    title,
    publishedAt,
    authority,
    links: '[]',
    version: record.version ?? null,
    authors: [...record.authors],
    abstract: record.abstract ?? null,
    publishedPrecision: record.publishedPrecision ?? 'day',
    updatedAt: record.updatedAt ?? null,
    categories: [...(record.categories ?? [])],
    keywords: [...(record.keywords ?? [])],
    doi: record.doi ?? null,
    journal: record.journal ?? null,
    comment: record.comment ?? null,
    codeUrl: record.codeUrl ?? null,
    codeStars: record.codeStars ?? null,
    projectUrl: record.projectUrl ?? null,
    withdrawn: record.withdrawn ?? false,
    sourceUpvotes: record.upvotes ?? 0,
    sourceComments: record.comments ?? 0,
  };
}

/** The words by which a paper is remembered, and so mistyped: those of its title, its authors and its keywords. */
const memorable = sql`regexp_split_to_table(
  lower(unaccent(title || ' ' || spaced(authors) || ' ' || spaced(keywords))), '[^[:alpha:]]+')`;

const lexemeOf = sql`(tsvector_to_array(to_tsvector('paper_words', word)))[1]`;

async function countWords(transaction: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    insert into words (word, lexeme, papers)
    select word, ${lexemeOf}, count(distinct id)
      from (select id, ${memorable} as word from papers where id = any(${ids})) spread
     where length(word) between 3 and 40
     group by word order by word
    on conflict (word) do update set papers = words.papers + excluded.papers`.execute(transaction);
}

/** Counts all words anew: after titles have changed, and after a restore. */
export async function recountWords(transaction: Transaction<Tables>): Promise<void> {
  await sql`delete from words`.execute(transaction);
  await sql`
    insert into words (word, lexeme, papers)
    select word, ${lexemeOf}, count(distinct id)
      from (select id, ${memorable} as word from papers) spread
     where length(word) between 3 and 40
     group by word`.execute(transaction);
}

export interface DayEntry {
  readonly paperId: string;
  readonly upvotes?: number;
}

/** Our own papers lead a day, the sources' follow in their order, submitted ones close it. */
const firstPosition: Readonly<Record<Origin, number>> = {
  edition: 0,
  hf: 1_000,
  arxiv: 100_000,
  submit: 200_000,
};

/** Puts papers on a day's page; what another origin has put there stays. */
export async function storeDay(
  transaction: Transaction<Tables>,
  date: IsoDate,
  origin: Origin,
  entries: readonly DayEntry[],
): Promise<void> {
  await transaction
    .insertInto('editions')
    .values({ date })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  if (entries.length === 0) return;
  const unique = new Map(entries.map((entry) => [entry.paperId, entry]));
  const rows = [...unique.values()].map(({ paperId, upvotes = 0 }, index) => ({
    date,
    paperId,
    upvotes,
    position: firstPosition[origin] + index,
    origin,
  }));
  await transaction
    .insertInto('editionPapers')
    .values(rows.toSorted((a, b) => (a.paperId < b.paperId ? -1 : 1)))
    .onConflict((conflict) =>
      conflict.columns(['date', 'paperId']).doUpdateSet({
        upvotes: sql`greatest(edition_papers.upvotes, excluded.upvotes)`,
        position: sql`case when edition_papers.origin = excluded.origin then excluded.position
          else least(edition_papers.position, excluded.position) end`,
        origin: sql`case when excluded.position < edition_papers.position then excluded.origin
          else edition_papers.origin end`,
      }),
    )
    .execute();
}
