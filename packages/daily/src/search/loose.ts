import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { type ParsedQuery, wantedWords } from './query.ts';
import { type Alternatives, anyOf, mustHold, type TsQuery, wordQuery } from './tsquery.ts';

/** A query of which most words suffice, for when no paper has them all. */
export interface Loose {
  /** Any of the words that are rare enough to look at all their papers. */
  readonly rare: TsQuery;
  /** What a paper must have or lack all the same: "phrases" and -words. */
  readonly must: TsQuery | undefined;
  /** How much of the query a row of `papers` answers, from 0 to 1, and how well. */
  readonly share: RawBuilder<number>;
  readonly score: RawBuilder<number>;
}

/** Papers that are looked at for rare words; a word beyond is taken only where it is the rarest. */
const mostPapers = 4000;
/** Of a word's worth, what it gives by standing anywhere; the rest is for standing in the title, among authors ... */
const anywhere = 0.5;
/** `ts_rank` of one word in a title. */
const oneInTitle = 0.6079;

/** Undefined where there is nothing to let go of: one word, or alternatives that the reader has made. */
export async function loosen(
  db: Db,
  parsed: ParsedQuery,
  alternatives: Alternatives,
): Promise<Loose | undefined> {
  if (parsed.length !== 1) return undefined;
  const words = wantedWords(parsed);
  if (words.length < 2) return undefined;
  const asked = words.map((word) => ({ word, query: wordQuery(word, alternatives, words) }));
  const { rows } = await sql<{ typed: string; papers: number; total: number }>`
    select typed, (
             select coalesce(sum(papers), 0)::int from words
              where lexeme = any(tsvector_to_array(to_tsvector('paper_words', corrected)))
           ) as papers,
           (select greatest(reltuples, 1000)::int from pg_class where oid = 'papers'::regclass) as total
      from (values ${sql.join(
        words.map((word) => sql`(${word}, ${alternatives.get(word)?.[0] ?? word})`),
      )}) as asked (typed, corrected)
     where numnode(plainto_tsquery('paper_words', typed)) > 0`.execute(db);
  if (rows.length < 2) return undefined;

  const queryOf = new Map(asked.map(({ word, query }) => [word, query]));
  const weighed = rows
    .toSorted((a, b) => a.papers - b.papers)
    .map(({ typed, papers, total }) => ({
      query: queryOf.get(typed)!,
      papers,
      // Inverse document frequency: a word that stands everywhere says nothing.
      weight: Math.log(1 + total / (papers + 1)),
    }));
  let looked = 0;
  const rare = weighed.filter(({ papers }, index) => {
    looked += papers;
    return index === 0 || looked <= mostPapers;
  });
  const sum = weighed.reduce((all, { weight }) => all + weight, 0);
  const each = (value: (query: TsQuery) => RawBuilder<unknown>) =>
    sql<number>`(${sql.join(
      weighed.map(
        ({ query, weight }) =>
          sql`case when search @@ ${query} then ${weight / sum}::float8 * ${value(query)} else 0 end`,
      ),
      sql` + `,
    )})`;
  return {
    rare: anyOf(rare.map(({ query }) => query)),
    must: mustHold(parsed),
    share: each(() => sql`1`),
    score: each(
      (query) =>
        sql`(${sql.lit(anywhere)} + ${sql.lit((1 - anywhere) / oneInTitle)}
          * ts_rank('{0.1, 0.25, 0.5, 1.0}', search, ${query}))`,
    ),
  };
}
