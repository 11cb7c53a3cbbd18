import type { Db } from '../database/connect.ts';
import type { Frequency, IsoDate } from '../database/schema.ts';
import type { PaperCard } from '../papers/cards.ts';
import { trending } from '../papers/trending.ts';
import { shortened } from './letters.ts';

/** A paper as a mail lists it, kept so that every reader of a digest gets the same. */
export interface DigestPaper {
  readonly id: string;
  readonly title: string;
  readonly authors: readonly string[];
  readonly upvotes: number;
  readonly excerpt: string;
  /** It runs on the page. */
  readonly works: boolean;
}

export interface DigestContent {
  readonly frequency: Frequency;
  /** The reader's day on which it is due. */
  readonly period: IsoDate;
  /** Days that were looked at: more than usual where those brought nothing. */
  readonly window: number;
  readonly papers: readonly DigestPaper[];
}

const papersPerMail = 12;

/** The trending papers of the last day or week; of a longer time where there are none. */
export async function digestContent(
  db: Db,
  frequency: Frequency,
  period: IsoDate,
  now: Date,
): Promise<DigestContent> {
  const windows = frequency === 'daily' ? [1, 7, 30] : [7, 30];
  for (const window of windows) {
    const { items } = await trending(db, { window, limit: papersPerMail, now });
    if (items.length > 0) return { frequency, period, window, papers: items.map(toDigestPaper) };
  }
  return { frequency, period, window: windows.at(-1)!, papers: [] };
}

export function toDigestPaper({
  id,
  title,
  authors,
  upvotes,
  abstract,
  summary,
  work,
}: PaperCard): DigestPaper {
  return {
    id,
    title,
    // A mail is no place for a collaboration of three thousand.
    authors: authors.slice(0, 40),
    upvotes,
    excerpt: shortened((summary ?? abstract ?? '').replaceAll(/\s+/g, ' '), 320),
    works: work?.state === 'works',
  };
}
