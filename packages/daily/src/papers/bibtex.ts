import { abstractPage } from './identifiers.ts';

interface Citable {
  readonly id: string;
  readonly title: string;
  readonly authors: readonly string[];
  readonly publishedAt: Date;
  readonly categories: readonly string[];
  readonly doi: string | null;
  readonly journal: string | null;
}

/** An entry as arXiv writes them: `@misc` with `eprint`, `archivePrefix` and `primaryClass`. */
export function bibtex({ id, title, authors, publishedAt, categories, doi, journal }: Citable): string {
  const year = publishedAt.getUTCFullYear();
  const fields: readonly (readonly [name: string, value: string | null | undefined])[] = [
    ['title', `{${escapeTex(title)}}`],
    ['author', authors.map(escapeTex).join(' and ')],
    ['year', String(year)],
    ['eprint', id],
    ['archivePrefix', 'arXiv'],
    ['primaryClass', categories[0]],
    ['journal', journal && escapeTex(journal)],
    ['doi', doi && escapeTex(doi)],
    ['url', abstractPage(id)],
  ];
  const lines = fields.flatMap(([name, value]) => (value ? [`  ${name} = {${value}}`] : []));
  return `@misc{${key(authors[0] ?? 'anonymous', year, title)},\n${lines.join(',\n')}\n}`;
}

/** `regol2023jointly` */
function key(author: string, year: number, title: string): string {
  const plain = (text: string) =>
    text
      .normalize('NFKD')
      .replaceAll(/[^A-Za-z]/g, '')
      .toLowerCase();
  const surname = plain(author.trim().split(/\s+/).at(-1) ?? '') || 'anonymous';
  const word =
    title
      // Neither formulas nor commands: \mathcal is no word of the title.
      .replaceAll(/\$[^$]*\$|\\[A-Za-z]+/g, ' ')
      .split(/[^\p{L}]+/u)
      .map(plain)
      .find((part) => part.length > 3) ?? '';
  return `${surname}${year}${word}`;
}

/** Titles bring TeX of their own; what is outside of formulas and would break the file is escaped. */
function escapeTex(text: string): string {
  const oneLine = text.replaceAll(/\s+/g, ' ').trim();
  const parts = oneLine.split(/((?<!\\)\$[^$]*(?<!\\)\$)/);
  const escaped = parts
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(/(?<!\\)[&%#_$]/g, '\\$&')))
    .join('');
  return balanced(escaped) ? escaped : escaped.replaceAll(/[{}]/g, '');
}

function balanced(text: string): boolean {
  let depth = 0;
  for (const [character] of text.matchAll(/(?<!\\)[{}]/g)) {
    depth += character === '{' ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth === 0 && !/(?<!\\)\\$/.test(text);
}
