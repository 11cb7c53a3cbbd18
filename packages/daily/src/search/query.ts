/**
 * What readers type, as web search has it: words that all must be there, "phrases", -without, and OR between
 * alternatives. Every text is a query; what makes no sense in it is ignored.
 */

export interface Term {
  readonly text: string;
  readonly isPhrase: boolean;
  readonly isExcluded: boolean;
}

/** Alternatives, of each of which all terms must hold. */
export type ParsedQuery = readonly (readonly Term[])[];

/** Beyond that, a query is a text to be found and not a question. */
export const longestQuery = 300;
const mostTerms = 24;

export function parseQuery(text: string): ParsedQuery {
  const groups: Term[][] = [[]];
  let count = 0;
  for (const match of cleanText(text).matchAll(/(-?)"([^"]*)"?|(\S+)/g)) {
    const [, minus = '', phrase, word = ''] = match;
    if (phrase === undefined && /^or$/i.test(word)) {
      if (groups.at(-1)!.length > 0) groups.push([]);
      continue;
    }
    const isExcluded = minus === '-' || (phrase === undefined && /^-./.test(word));
    const content = (phrase ?? word.replace(/^-+/, '')).trim();
    if (!/[\p{L}\p{N}]/u.test(content)) continue;
    if (++count > mostTerms) break;
    groups.at(-1)!.push({ text: content, isPhrase: phrase !== undefined, isExcluded });
  }
  return groups.filter((group) => group.some((term) => !term.isExcluded));
}

/** Control characters out, spaces single, at most as long as a query may be. */
export function cleanText(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, longestQuery)
    .toWellFormed();
}

/** The words that are asked for, hyphens opened, without those that are excluded. */
export function wantedWords(query: ParsedQuery): readonly string[] {
  const words = query.flatMap((group) =>
    group.filter((term) => !term.isExcluded).flatMap((term) => splitWords(term.text)),
  );
  return [...new Set(words)];
}

export function splitWords(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}
