import type { Reader } from '@working-papers/daily/accounts/sessions';
import { type PaperCard, readerMarks } from '@working-papers/daily/papers/cards';
import type { ListedPaper, Pieces } from '#lib/papers.ts';
import { services } from './services.ts';
import { firstSentences, plain, toPieces } from './tex.ts';

/** How a list shows a paper; a search brings its own title and passage, with the hits marked. */
export function toListed(card: PaperCard, found?: { title: Pieces; excerpt: Pieces }): ListedPaper {
  const { id, work, categories, upvotes, codeUrl, codeStars, withdrawn } = card;
  const text = work ? (card.summary ?? card.abstract) : (card.abstract ?? card.summary);
  return {
    id,
    address: addressOf(card),
    title: found?.title ?? toPieces(card.title),
    authors: card.authors.map(plain),
    excerpt: found?.excerpt ?? toPieces(firstSentences(text ?? '')),
    published: publishedOf(card),
    work: work && { name: work.name, state: work.state },
    ...{ categories, upvotes, codeUrl: webAddress(codeUrl), codeStars, withdrawn },
  };
}

/** With what the reader has voted for. */
export async function withVotes(
  reader: Reader | undefined,
  papers: readonly ListedPaper[],
): Promise<readonly ListedPaper[]> {
  if (!reader) return papers;
  const ids = papers.map(({ id }) => id);
  const marks = await readerMarks(services().database.db, reader.id, ids);
  return papers.map((paper) => ({ ...paper, voted: marks[paper.id]?.voted ?? false }));
}

/** What follows `/papers/`. A paper of our editions has one address, its word. */
export const addressOf = ({ id, work }: Pick<PaperCard, 'id' | 'work'>): string => work?.id ?? id;

export const publishedOf = ({ publishedAt, publishedPrecision }: PaperCard): string =>
  publishedAt.toISOString().slice(0, publishedPrecision === 'day' ? 10 : 7);

/** A source's word for an address is not enough to make a link of it: `javascript:` is one, too. */
export function webAddress(text: string | null): string | null {
  if (text === null || !URL.canParse(text)) return null;
  const { protocol, href } = new URL(text);
  return protocol === 'https:' || protocol === 'http:' ? href : null;
}
