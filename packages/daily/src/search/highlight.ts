import { sql } from 'kysely';

/** A piece of text, and whether it is what was searched for. The page escapes it as it does any text. */
export interface Segment {
  readonly text: string;
  readonly isHit: boolean;
}

/** Control characters, which no stored text has (`cleanLine` of the sources): nothing else can look like a hit. */
const begin = '\u0002';
const end = '\u0003';

/** Stands for "<" on the way through PostgreSQL, which would take "a < b, c > d" for a tag and drop it. */
const lessThan = '\ue000';

const whole = (text: ReturnType<typeof sql>) => sql`replace(${text}, '<', ${sql.lit(lessThan)})`;

const options = (more: string) => sql.lit(`StartSel=${begin}, StopSel=${end}, ${more}`);

/** The whole title with its hits. */
export function titleHeadline(query: ReturnType<typeof sql>) {
  return sql<string>`ts_headline('paper_words', ${whole(sql`papers.title`)}, ${query}, ${options('HighlightAll=true')})`;
}

/** The passage of the abstract, or of our own summary, in which the hits are. */
export function textHeadline(query: ReturnType<typeof sql>) {
  return sql<string>`ts_headline('paper_words', ${whole(sql`coalesce(papers.abstract, papers.summary, '')`)}, ${query},
    ${options('MaxWords=36, MinWords=18, MaxFragments=1')})`;
}

export function toSegments(headline: string): readonly Segment[] {
  return headline
    .replaceAll(lessThan, '<')
    .split(begin)
    .flatMap((part, index) => {
      if (index === 0) return part === '' ? [] : [{ text: part, isHit: false }];
      const [hit = '', rest = ''] = part.split(end);
      return [{ text: hit, isHit: true }, ...(rest === '' ? [] : [{ text: rest, isHit: false }])];
    });
}
