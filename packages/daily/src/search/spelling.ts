import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { type ParsedQuery, splitWords, wantedWords } from './query.ts';
import { type Alternatives, wordQuery } from './tsquery.ts';

/** Words that begin as the last one does, which a reader has perhaps not typed to its end. */
export async function completions(db: Db, query: ParsedQuery): Promise<Alternatives> {
  const last = query.at(-1)?.at(-1);
  const word = last && !last.isPhrase && !last.isExcluded ? splitWords(last.text).at(-1) : undefined;
  if (word === undefined || word.length < 3) return new Map();
  const { rows } = await sql<{ word: string }>`
    select word from words where word like ${`${word}%`} and word <> ${word}
     order by papers desc, word limit 6`.execute(db);
  return rows.length === 0 ? new Map() : new Map([[word, rows.map((row) => row.word)]]);
}

export interface Correction {
  readonly alternatives: Alternatives;
  /** The words of the query, the unknown ones replaced by their nearest neighbours. */
  readonly text: string;
}

/**
 * For words that stand in no paper: those of titles, authors and keywords that are written most alike. Trigrams find
 * them by an index, except where two letters have changed places, which leaves few trigrams as they were; at most
 * every fourth letter may differ. Undefined where every word is known or none is near.
 */
export async function corrections(db: Db, query: ParsedQuery): Promise<Correction | undefined> {
  const words = wantedWords(query).filter((word) => /^\p{L}{4,40}$/u.test(word));
  if (words.length === 0) return undefined;
  const { rows } = await sql<{ typed: string; plain: string; word: string }>`
    select typed, plain, near.word
      from (
        select typed, unaccent(typed) as plain
          from (values ${sql.join(words.map((word) => sql`(${word}, ${wordQuery(word, new Map())})`))})
               as asked (typed, query)
         where numnode(query) > 0 and not exists (select from papers where search @@ query)
      ) unknown cross join lateral (
        (select word, papers, similarity(word, plain) as nearness
           from words where word % plain
          order by nearness desc, papers desc limit 12)
        union all
        select word, papers, 1 as nearness
          from words
         where word in (
           select left(plain, at - 1) || substr(plain, at + 1, 1) || substr(plain, at, 1) || substr(plain, at + 2)
             from generate_series(1, length(plain) - 1) as at
         )
      ) near
     order by near.nearness desc, near.papers desc, near.word`.execute(db);
  const near = rows.filter(
    ({ plain, word }) => differences(plain, word) <= Math.max(1, Math.floor(plain.length / 4)),
  );
  if (near.length === 0) return undefined;
  const alternatives = new Map(
    [...Map.groupBy(near, ({ typed }) => typed)].map(([typed, found]) => [
      typed,
      [...new Set(found.map(({ word }) => word))].slice(0, 3),
    ]),
  );
  const text = wantedWords(query)
    .map((word) => alternatives.get(word)?.[0] ?? word)
    .join(' ');
  return { alternatives, text };
}

/**
 * Letters to put in, take out, replace or swap with their neighbour, so that one word becomes the other: optimal string
 * alignment, G. V. Bard, 2007.
 */
export function differences(from: string, to: string): number {
  const [a, b] = [[...from], [...to]];
  const rows = [b.map((_, j) => j).concat(b.length)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
