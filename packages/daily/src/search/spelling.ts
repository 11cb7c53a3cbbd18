import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { type ParsedQuery, splitWords, wantedWords } from './query.ts';
import type { Alternatives } from './tsquery.ts';

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
 * them by an index; at most every fourth letter may differ. Undefined where every word is known or none is near.
 */
export async function corrections(db: Db, query: ParsedQuery): Promise<Correction | undefined> {
  const words = wantedWords(query).filter((word) => /^\p{L}{4,40}$/u.test(word));
  if (words.length === 0) return undefined;
  const { rows } = await sql<{ typed: string; near: string[] | null }>`
    select typed, (
      select array_agg(word order by nearness desc, papers desc)
        from (
          select word, papers, similarity(word, unaccent(typed)) as nearness
            from words where word % unaccent(typed)
           order by nearness desc, papers desc limit 12
        ) neighbours
       where levenshtein(word, unaccent(typed)) <= greatest(1, length(typed) / 4)
    ) as near
      from unnest(${words}::text[]) as typed
     where numnode(plainto_tsquery('paper_words', typed)) > 0
       and not exists (select from papers where search @@ plainto_tsquery('paper_words', typed))`.execute(db);
  const alternatives = new Map(
    rows.flatMap(({ typed, near }) => (near ? [[typed, near.slice(0, 3)] as const] : [])),
  );
  if (alternatives.size === 0) return undefined;
  const text = wantedWords(query)
    .map((word) => alternatives.get(word)?.[0] ?? word)
    .join(' ');
  return { alternatives, text };
}
