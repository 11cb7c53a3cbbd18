import type { PaperCard } from '@working-papers/daily/papers/cards';
import { webAddress } from './listing.ts';

/* The shape of Hugging Face's daily papers, so that its clients and bridges work against this page. */

/** @param day on whose page the paper stands. */
export function toHuggingFace(card: PaperCard, day: string | undefined) {
  const { id, title, authors, publishedAt, upvotes, keywords, codeStars } = card;
  const summary = card.abstract ?? card.summary ?? '';
  const githubRepo = webAddress(card.codeUrl);
  const projectPage = webAddress(card.projectUrl);
  return {
    id,
    authors: authors.map((name) => ({ name })),
    publishedAt: publishedAt.toISOString(),
    ...(day !== undefined && { submittedOnDailyAt: `${day}T00:00:00.000Z` }),
    title,
    summary,
    upvotes,
    ...(githubRepo !== null && { githubRepo }),
    ...(codeStars !== null && { githubStars: codeStars }),
    ...(projectPage !== null && { projectPage }),
    ...(keywords.length > 0 && { ai_keywords: keywords }),
  };
}

export function toDailyEntry(card: PaperCard, day: string) {
  const paper = toHuggingFace(card, day);
  const { publishedAt, title, summary } = paper;
  return { paper, publishedAt, title, summary, numComments: card.comments };
}
