import katex from 'katex';
import type { Piece, Pieces } from '#lib/papers.ts';

/*
 * Titles and abstracts come from authors and are trusted with nothing: formulas go through KaTeX with trust off, and
 * the rest stays text, which Svelte escapes.
 */

const longestText = 20_000;
const longestFormula = 600;

/**
 * `$...$` as Pandoc has it: no space inside of either dollar and no digit behind the second one, so that "$5 and $10"
 * is money.
 */
const formulas =
  /(?<!\\)\$\$((?:\\.|[^$\\])+)\$\$|(?<!\\)\$(?=\S)((?:\\.|[^$\\])+)(?<=\S)\$(?!\d)|\\\(((?:[^\\]|\\[^)])+)\\\)|\\\[((?:[^\\]|\\[^\]])+)\\\]/g;

interface Segment {
  readonly text: string;
  readonly isHit: boolean;
}

/** Sets a text that may hold TeX; hits of a search stay marked outside of formulas. */
export function toPieces(text: string | readonly Segment[]): Pieces {
  const segments = typeof text === 'string' ? [{ text, isHit: false }] : text;
  const whole = segments
    .map((segment) => segment.text)
    .join('')
    .slice(0, longestText);
  const pieces: Piece[] = [];
  let end = 0;
  // A passage that was cut out of a text may begin or end within a formula: then no dollar can be told from another.
  const isWhole = (whole.match(/(?<!\\)\$/g)?.length ?? 0) % 2 === 0;
  for (const match of isWhole ? whole.matchAll(formulas) : []) {
    const formula = draw(match[1] ?? match[2] ?? match[3] ?? match[4] ?? '');
    if (formula === undefined) continue;
    pieces.push(...marked(segments, end, match.index, whole), { formula });
    end = match.index + match[0].length;
  }
  pieces.push(...marked(segments, end, whole.length, whole));
  return pieces;
}

/** A passage of a text, with as much more of it as its formulas need, and dots where the text goes on. */
export function passage(whole: string, segments: readonly Segment[]): readonly Segment[] {
  const text = segments.map((segment) => segment.text).join('');
  const start = whole.indexOf(text);
  if (text === '' || start < 0) return segments;
  const end = start + text.length;
  const dollars = [...whole.matchAll(/(?<!\\)\$/g)].map(({ index }) => index);
  // Every second dollar closes a formula, so an odd number before a place means that it lies within one.
  const before = dollars.filter((index) => index < start);
  const within = dollars.filter((index) => index < end);
  const from = before.length % 2 === 1 ? before.at(-1)! : start;
  const to = within.length % 2 === 1 ? (dollars[within.length] ?? end - 1) + 1 : end;
  const extra = (words: string) => (words === '' ? [] : [{ text: words, isHit: false }]);
  return [
    ...extra((from > 0 ? '… ' : '') + whole.slice(from, start)),
    ...segments,
    ...extra(whole.slice(end, to) + (to < whole.trimEnd().length ? ' …' : '')),
  ];
}

/** The text from `from` to `to`, in stretches that are hits or not. */
function marked(segments: readonly Segment[], from: number, to: number, whole: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  for (const { text, isHit } of segments) {
    const part = whole.slice(Math.max(from, start), Math.min(to, start + text.length));
    start += text.length;
    if (part !== '' && start > from) pieces.push({ text: plain(part), ...(isHit && { isHit }) });
    if (start >= to) break;
  }
  return pieces;
}

const drawn = new Map<string, string | undefined>();
const mostDrawn = 2_000;

/** Links, pictures and styles of an author's own: without trust KaTeX would draw the command's name in red. */
const wantsTrust = /\\(?:href|url|includegraphics|html[A-Z]\w*)(?![A-Za-z])/;

/** KaTeX's HTML with MathML for screen readers; undefined where it is no formula to KaTeX. */
function draw(tex: string): string | undefined {
  if (tex.length > longestFormula || wantsTrust.test(tex)) return undefined;
  if (!drawn.has(tex)) {
    if (drawn.size >= mostDrawn) drawn.clear();
    drawn.set(tex, render(tex));
  }
  return drawn.get(tex);
}

function render(tex: string): string | undefined {
  try {
    return katex.renderToString(tex, {
      output: 'htmlAndMathml',
      throwOnError: true,
      trust: false,
      strict: 'ignore',
      maxSize: 10, // em
      maxExpand: 100,
    });
  } catch {
    return undefined;
  }
}

/** What stands behind the letter in Unicode for what stands before it in TeX. */
const accents: Readonly<Record<string, string>> = {
  '`': '\u0300',
  "'": '\u0301',
  '^': '\u0302',
  '~': '\u0303',
  '=': '\u0304',
  u: '\u0306',
  '.': '\u0307',
  '"': '\u0308',
  r: '\u030a',
  H: '\u030b',
  v: '\u030c',
  c: '\u0327',
  k: '\u0328',
};

/** TeX that authors write in running text, as the characters it stands for. */
export function plain(text: string): string {
  if (!/[\\~`'-]/.test(text)) return text;
  return text
    .replaceAll(/\\([`'^~=."])\s*\{?\\?([A-Za-z])\}?/g, accented)
    .replaceAll(/\\([urHvck])\{([A-Za-z])\}/g, accented)
    .replaceAll(/\\(?:emph|textit|textbf|textsc|texttt|textrm|textsf|text|mbox|url)\s*\{([^{}]*)\}/g, '$1')
    .replaceAll(/\\(?:o|l|O|L|ss|ae|AE|aa|AA)(?![A-Za-z])\s?/g, (name) => letters[name.trim()] ?? name)
    .replaceAll(/\\([&%$#_{}])/g, '$1')
    .replaceAll(/(?<=\S)~(?=\S)/g, '\u00a0')
    .replaceAll('``', '“')
    .replaceAll("''", '”')
    .replaceAll(/(?<=\w ?)---(?= ?\w)/g, '—')
    .replaceAll(/(?<=\w ?)--(?= ?\w)/g, '–');
}

const letters: Readonly<Record<string, string>> = {
  '\\o': 'ø',
  '\\O': 'Ø',
  '\\l': 'ł',
  '\\L': 'Ł',
  '\\ss': 'ß',
  '\\ae': 'æ',
  '\\AE': 'Æ',
  '\\aa': 'å',
  '\\AA': 'Å',
};

function accented(whole: string, accent: string, letter: string): string {
  const mark = accents[accent];
  return mark === undefined ? whole : `${letter}${mark}`.normalize('NFC');
}

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' });

/** As many whole sentences as fit, at least a part of the first; never less than a formula begun. */
export function firstSentences(text: string, most = 280): string {
  const whole = text.replaceAll(/\s+/g, ' ').trim();
  if (whole.length <= most) return whole;
  let taken = '';
  for (const { segment } of sentences.segment(whole)) {
    if (taken !== '' && taken.length + segment.trimEnd().length > most) break;
    taken += segment;
    if (taken.length > most) break;
  }
  const cut = taken.trimEnd();
  if (cut.length <= 1.3 * most) return cut;
  return `${cut.slice(0, cut.lastIndexOf(' ', most))} …`;
}
