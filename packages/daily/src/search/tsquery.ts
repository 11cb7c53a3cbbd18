import { type RawBuilder, sql } from 'kysely';
import type { ParsedQuery, Term } from './query.ts';
import { splitWords } from './query.ts';

type TsQuery = RawBuilder<unknown>;

/** Other words that may stand in for one that is typed: completions and corrections. */
export type Alternatives = ReadonlyMap<string, readonly string[]>;

/** As an expression of PostgreSQL's type `tsquery`; every text of the reader's is a parameter. */
export function toTsQuery(query: ParsedQuery, alternatives: Alternatives = new Map()): TsQuery {
  const groups = query.map((group) =>
    joined(
      group.map((term) => termQuery(term, alternatives)),
      '&&',
    ),
  );
  return joined(groups, '||');
}

function termQuery(term: Term, alternatives: Alternatives): TsQuery {
  const { text, isPhrase, isExcluded } = term;
  if (isPhrase) {
    const phrase = sql`phraseto_tsquery('paper_words', ${text.replaceAll('-', ' ')})`;
    return isExcluded ? sql`!!${phrase}` : phrase;
  }
  const words = splitWords(text);
  const all = joined(
    words.map((word) => wordQuery(word, alternatives)),
    '&&',
  );
  // Of "GPT-4" PostgreSQL makes "gpt" and "-4", which only the same spelling finds again.
  const isCompound = words.length > 1;
  if (isExcluded)
    return isCompound ? sql`!!phraseto_tsquery('paper_words', ${words.join(' ')})` : sql`!!${all}`;
  return isCompound ? sql`(${all} || phraseto_tsquery('paper_words', ${text}))` : all;
}

function wordQuery(word: string, alternatives: Alternatives): TsQuery {
  const others = alternatives.get(word) ?? [];
  return joined(
    [word, ...others].map((one) => sql`plainto_tsquery('paper_words', ${one})`),
    '||',
  );
}

function joined(parts: readonly TsQuery[], operator: '&&' | '||'): TsQuery {
  const separator = operator === '&&' ? sql` && ` : sql` || `;
  return parts.length === 1 ? parts[0]! : sql`(${sql.join(parts, separator)})`;
}
