import { type RawBuilder, sql } from 'kysely';
import { type ParsedQuery, splitWords, type Term } from './query.ts';
import { abbreviationOf, longestForm, variantsOf } from './variants.ts';

export type TsQuery = RawBuilder<unknown>;

/** Other words that may stand in for one that is typed: completions and corrections. */
export type Alternatives = ReadonlyMap<string, readonly string[]>;

/** As an expression of PostgreSQL's type `tsquery`; every text of the reader's is a parameter. */
export function toTsQuery(query: ParsedQuery, alternatives: Alternatives = new Map()): TsQuery {
  return anyOf(query.map((group) => groupQuery(group, alternatives)));
}

export const anyOf = (queries: readonly TsQuery[]): TsQuery => joined(queries, '||');

/** What holds even where most words suffice: "phrases" and -words. Undefined where there are none. */
export function mustHold([group = []]: ParsedQuery): TsQuery | undefined {
  const terms = group.filter(({ isPhrase, isExcluded }) => isPhrase || isExcluded);
  if (terms.length === 0) return undefined;
  return joined(
    terms.map((term) => termQuery(term, new Map())),
    '&&',
  );
}

function groupQuery(group: readonly Term[], alternatives: Alternatives): TsQuery {
  const parts: TsQuery[] = [];
  for (let at = 0; at < group.length; ) {
    const run = runAt(group, at);
    const terms = group.slice(at, at + (run?.length ?? 1)).map((term) => termQuery(term, alternatives));
    const all = joined(terms, '&&');
    parts.push(run ? anyOf([all, ...run.short.map(phrase)]) : all);
    at += terms.length;
  }
  return joined(parts, '&&');
}

/** The longest run of terms from here on that has an abbreviation: "speech recognition" is also found as "ASR". */
function runAt(group: readonly Term[], at: number): { length: number; short: readonly string[] } | undefined {
  const words: string[] = [];
  let found: { length: number; short: readonly string[] } | undefined;
  for (const [index, { text, isPhrase, isExcluded }] of group.slice(at, at + longestForm).entries()) {
    if (isPhrase || isExcluded) break;
    words.push(...splitWords(text));
    const short = abbreviationOf(words);
    if (short.length > 0) found = { length: index + 1, short };
  }
  return found;
}

function termQuery(term: Term, alternatives: Alternatives): TsQuery {
  const { text, isPhrase, isExcluded } = term;
  if (isPhrase) {
    const words = phrase(text.replaceAll('-', ' '));
    return isExcluded ? sql`!!${words}` : words;
  }
  const words = splitWords(text);
  // Of "GPT-4" PostgreSQL makes "gpt" and "-4", which only the same spelling finds again.
  const isCompound = words.length > 1;
  if (isExcluded) return isCompound ? sql`!!${phrase(words.join(' '))}` : sql`!!${plain(words)}`;
  const all = joined(
    words.map((word) => wordQuery(word, alternatives)),
    '&&',
  );
  return isCompound ? anyOf([all, phrase(text), phrase(words.join(''))]) : all;
}

/** A word, what may stand in for it, and the abbreviations of the terms that it is a part of among `others`. */
export function wordQuery(
  word: string,
  alternatives: Alternatives,
  neighbours: readonly string[] = [],
): TsQuery {
  const others = [...(alternatives.get(word) ?? []), ...variantsOf(word)];
  return anyOf([word, ...others, ...abbreviationsWith(word, neighbours)].map(phrase));
}

function abbreviationsWith(word: string, words: readonly string[]): readonly string[] {
  return words.flatMap((_, from) =>
    Array.from({ length: longestForm - 1 }, (_, more) => words.slice(from, from + more + 2))
      .filter((run, more) => run.length === more + 2 && run.includes(word))
      .flatMap(abbreviationOf),
  );
}

/** Of one word itself. */
const phrase = (text: string): TsQuery => sql`phraseto_tsquery('paper_words', ${text})`;
const plain = (words: readonly string[]): TsQuery => sql`plainto_tsquery('paper_words', ${words.join(' ')})`;

function joined(parts: readonly TsQuery[], operator: '&&' | '||'): TsQuery {
  const separator = operator === '&&' ? sql` && ` : sql` || `;
  return parts.length === 1 ? parts[0]! : sql`(${sql.join(parts, separator)})`;
}
