import * as v from 'valibot';
import type { IsoDate } from '../database/schema.ts';
import { parseArxivId } from '../papers/identifiers.ts';
import type { PaperRecord } from '../papers/records.ts';
import { cleanLine, cleanText, cleanUrl, longest, mostKeywords, mostNames } from './clean.ts';
import { type Answer, ask, SourceError, type SourceLimits } from './http.ts';
import { type Records, readEach } from './records.ts';

export interface HuggingFace {
  /** `https://huggingface.co` or another page that answers in its shape. */
  readonly url: string;
  readonly limits: SourceLimits;
}

/** What is asked for is taken seriously; what is extra and wrong is left out. */
const extra = <T extends v.GenericSchema>(schema: T) => v.fallback(v.optional(schema), undefined);

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 31 - 1));
const line = (most: number) =>
  v.pipe(
    v.string(),
    v.transform((text) => cleanLine(text, most)),
    v.minLength(1, 'expected a text, found an empty one'),
  );

const entry = v.object({
  paper: v.object({
    id: v.pipe(
      v.string(),
      v.check((id) => parseArxivId(id) !== undefined, 'expected an arXiv identifier'),
    ),
    title: line(longest.title),
    summary: v.string(),
    authors: v.pipe(v.array(v.object({ name: v.string() })), v.maxLength(mostNames)),
    publishedAt: v.pipe(
      v.string(),
      v.check((text) => isTime(text), 'expected a time as ISO 8601 has it'),
    ),
    upvotes: extra(count),
    githubRepo: extra(v.string()),
    githubStars: extra(count),
    projectPage: extra(v.string()),
    ai_keywords: extra(v.array(v.string())),
  }),
  numComments: extra(count),
});

function isTime(text: string): boolean {
  const time = Date.parse(text);
  return /^\d{4}-\d\d-\d\dT/.test(text) && time > Date.UTC(1990, 0) && time < Date.now() + 366 * 86_400_000;
}

/** The papers of a day in the day's order, by `GET /api/daily_papers?date=YYYY-MM-DD&limit=`. */
export async function dailyPapers(
  source: HuggingFace,
  date: IsoDate,
  conditions: { etag?: string | null; lastModified?: string | null; signal?: AbortSignal | undefined } = {},
): Promise<Answer<Records>> {
  const url = new URL(`${source.url}/api/daily_papers`);
  url.searchParams.set('date', date);
  url.searchParams.set('limit', '100');
  return ask({ url, accept: 'application/json', ...conditions, parse: parseDailyPapers }, source.limits);
}

/** A day that has not been opened yet is answered with 400. */
export const isNotOpenYet = (error: unknown) => error instanceof SourceError && error.status === 400;

export function parseDailyPapers(text: string): Records {
  const items: unknown = JSON.parse(text);
  if (!Array.isArray(items))
    throw new Error(`expected a list, found ${items === null ? 'null' : typeof items}`);
  return readEach(items, 'daily_papers', readEntry);
}

function readEntry(item: unknown): PaperRecord {
  const result = v.safeParse(entry, item);
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(`${v.getDotPath(issue) ?? 'entry'}: ${issue.message}`);
  }
  const { paper, numComments } = result.output;
  const authors = paper.authors
    .map(({ name }) => cleanLine(name, longest.name))
    .filter((name) => name !== '');
  if (authors.length === 0) throw new Error('paper.authors: expected at least one name');
  const abstract = cleanText(paper.summary, longest.abstract);
  const codeUrl = paper.githubRepo === undefined ? undefined : cleanUrl(paper.githubRepo);
  const projectUrl = paper.projectPage === undefined ? undefined : cleanUrl(paper.projectPage);
  const keywords = (paper.ai_keywords ?? [])
    .slice(0, mostKeywords)
    .map((word) => cleanLine(word, longest.keyword))
    .filter((word) => word !== '');
  return {
    id: parseArxivId(paper.id)!.id,
    title: paper.title,
    authors,
    publishedAt: new Date(paper.publishedAt),
    ...(abstract !== '' && { abstract }),
    ...(keywords.length > 0 && { keywords }),
    ...(codeUrl !== undefined && { codeUrl }),
    ...(projectUrl !== undefined && { projectUrl }),
    ...(paper.githubStars !== undefined && { codeStars: paper.githubStars }),
    ...(paper.upvotes !== undefined && { upvotes: paper.upvotes }),
    ...(numComments !== undefined && { comments: numComments }),
  };
}
