import { createRequire } from 'node:module';
import { type ParsedQuery, splitWords } from './query.ts';
import type { Alternatives } from './tsquery.ts';
import { abbreviationOf, longestForm, variantsOf } from './variants.ts';

// The Snowball stemmer of English in JavaScript, as PostgreSQL has it in C. PostgreSQL's own ts_headline would parse
// every text anew, which takes ten times as long as finding the papers.
const porter2 = createRequire(import.meta.url)('wink-porter2-stemmer') as (word: string) => string;

/** A piece of text, and whether it is what was searched for. The page escapes it as it does any text. */
export interface Segment {
  readonly text: string;
  readonly isHit: boolean;
}

/** What a query looks for, before it is known which of its words mean nothing to full text search. */
export interface Marks {
  readonly words: readonly string[];
  readonly phrases: readonly string[];
}

export function marksOf(query: ParsedQuery, alternatives: Alternatives): Marks {
  const terms = query.flat().filter(({ isExcluded }) => !isExcluded);
  const words = terms.filter(({ isPhrase }) => !isPhrase).flatMap(({ text }) => splitWords(text));
  const short = words.flatMap((_, from) =>
    Array.from({ length: longestForm }, (_, more) =>
      abbreviationOf(words.slice(from, from + more + 1)),
    ).flat(),
  );
  const all = words.flatMap((word) => [word, ...(alternatives.get(word) ?? []), ...variantsOf(word)]);
  const quoted = terms.filter(({ isPhrase }) => isPhrase).map(({ text }) => text);
  return {
    words: [...new Set([...all.filter((text) => !text.includes(' ')), ...short])],
    phrases: [...new Set([...all.filter((text) => text.includes(' ')), ...quoted])],
  };
}

export interface Highlighter {
  /** The whole text with its hits. */
  whole(text: string): readonly Segment[];
  /** The passage in which most of the hits are: a part of the text as it stands. */
  passage(text: string): readonly Segment[];
}

interface Token {
  readonly from: number;
  readonly to: number;
  readonly stem: string;
}

interface Hit {
  /** Tokens, the last one not included. */
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

const passageWords = 36;
/** Before the first hit, where no sentence begins. */
const leadWords = 6;
const longestLead = 12;

/** `lexemes` are those of the words: what full text search makes of them, without stop words. */
export function highlighter({ phrases }: Marks, lexemes: readonly string[]): Highlighter {
  const stems = new Set(lexemes);
  const runs = phrases.map((text) => tokensOf(text).map(({ stem }) => stem)).filter((run) => run.length > 0);

  function hitsIn(tokens: readonly Token[]): readonly Hit[] {
    const hits: Hit[] = [];
    for (let at = 0; at < tokens.length; ) {
      const run = runs
        .filter((stems) => stems.every((stem, index) => tokens[at + index]?.stem === stem))
        .toSorted((a, b) => b.length - a.length)[0];
      const length = run?.length ?? (stems.has(tokens[at]!.stem) ? 1 : 0);
      if (length > 0) hits.push({ from: at, to: at + length, what: run?.join(' ') ?? tokens[at]!.stem });
      at += Math.max(1, length);
    }
    return hits;
  }

  function cut(text: string, tokens: readonly Token[], hits: readonly Hit[], from: number, to: number) {
    const segments: Segment[] = [];
    let end = from;
    const add = (until: number, isHit: boolean) => {
      if (until > end) segments.push({ text: text.slice(end, until), isHit });
      end = Math.max(end, until);
    };
    for (const hit of hits) {
      const [first, last] = [tokens[hit.from]!, tokens[hit.to - 1]!];
      if (first.from < from || last.to > to) continue;
      add(first.from, false);
      add(last.to, true);
    }
    add(to, false);
    return segments;
  }

  return {
    whole(text) {
      const tokens = tokensOf(text);
      return cut(text, tokens, hitsIn(tokens), 0, text.length);
    },
    passage(text) {
      const tokens = tokensOf(text);
      if (tokens.length <= passageWords) return cut(text, tokens, hitsIn(tokens), 0, text.length);
      const hits = hitsIn(tokens);
      const first = bestStart(hits);
      const start = Math.max(0, Math.min(leadOf(text, tokens, first), tokens.length - passageWords));
      const stop = start + passageWords;
      // Up to the next word, so that a closing bracket or a full stop stays.
      const to = stop < tokens.length ? tokens[stop - 1]!.to : text.length;
      return cut(text, tokens, hits, start === 0 ? 0 : tokens[start]!.from, to);
    },
  };
}

/** The hit from which on a passage holds most different hits, and then most of all. */
function bestStart(hits: readonly Hit[]): number {
  let best = { worth: -1, from: 0 };
  hits.forEach((hit, index) => {
    const within = hits.slice(index).filter(({ to }) => to <= hit.from + passageWords - leadWords);
    const worth = 100 * new Set(within.map(({ what }) => what)).size + within.length;
    if (worth > best.worth) best = { worth, from: hit.from };
  });
  return best.from;
}

/** A passage begins with its sentence where that is near. */
function leadOf(text: string, tokens: readonly Token[], first: number): number {
  for (let at = first; at > Math.max(0, first - longestLead); at--) {
    if (/[.!?]\s/.test(text.slice(tokens[at - 1]!.to, tokens[at]!.from))) return at;
  }
  return first <= longestLead ? 0 : first - leadWords;
}

function tokensOf(text: string): readonly Token[] {
  return [...text.matchAll(/[\p{L}\p{N}\p{M}]+/gu)].map((match) => ({
    from: match.index,
    to: match.index + match[0].length,
    stem: stemOf(match[0]),
  }));
}

const known = new Map<string, string>();
const mostKnown = 50_000;

/** As the text search configuration of the database has it: accents do not matter, then English stems. */
export function stemOf(word: string): string {
  let stem = known.get(word);
  if (stem === undefined) {
    if (known.size >= mostKnown) known.clear();
    stem = porter2(word.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase());
    known.set(word, stem);
  }
  return stem;
}
