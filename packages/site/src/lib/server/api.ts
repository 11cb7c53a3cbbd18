import type { Page } from '@working-papers/daily/cursor';
import type { PaperCard, PaperDetails } from '@working-papers/daily/papers/cards';
import { UserError } from '@working-papers/paper';
import { addressOf, publishedOf, webAddress } from './listing.ts';
import { services } from './services.ts';

/* What programs get under /api/v1: the record as it is stored, TeX and all. */

export interface ApiPaper {
  readonly id: string;
  readonly url: string;
  readonly title: string;
  readonly authors: readonly string[];
  readonly abstract: string | null;
  readonly summary: string | null;
  readonly published: string;
  readonly categories: readonly string[];
  readonly keywords: readonly string[];
  readonly upvotes: number;
  readonly comments: number;
  readonly codeUrl: string | null;
  readonly codeStars: number | null;
  readonly projectUrl: string | null;
  readonly withdrawn: boolean;
  readonly work: { readonly id: string; readonly name: string; readonly state: 'works' | 'not yet' } | null;
}

export function toApi(card: PaperCard): ApiPaper {
  const { id, title, authors, abstract, summary, categories, keywords, upvotes, comments } = card;
  const { codeUrl, codeStars, projectUrl, withdrawn, work } = card;
  return {
    id,
    url: `${services().settings.baseUrl}/papers/${addressOf(card)}`,
    ...{ title, authors, abstract, summary, published: publishedOf(card) },
    ...{ categories, keywords, upvotes, comments, codeUrl: webAddress(codeUrl), codeStars },
    ...{ projectUrl: webAddress(projectUrl), withdrawn, work },
  };
}

export function toApiDetails(paper: PaperDetails) {
  const { version, updatedAt, links, doi, journal, comment, mismatch, subject, dates } = paper;
  return {
    ...toApi(paper),
    ...{ version, updated: updatedAt?.toISOString() ?? null, links },
    ...{ doi, journal, comment, mismatch, subject, dates },
  };
}

export const toApiPage = ({ items, next }: Page<PaperCard>) => ({
  papers: items.map(toApi),
  next: next ?? null,
});

/** Any page may ask: no answer depends on who does. */
export function answer(body: unknown): Response {
  return Response.json(body, {
    headers: { 'access-control-allow-origin': '*', 'cache-control': 'public, max-age=60' },
  });
}

/** `limit` and `cursor` of a list. */
export function pageParams(params: URLSearchParams): { limit?: number; cursor?: string } {
  const limit = wholeNumber(params, 'limit');
  const cursor = params.get('cursor');
  return { ...(limit !== undefined && { limit }), ...(cursor && { cursor }) };
}

export function wholeNumber(params: URLSearchParams, name: string): number | undefined {
  const text = params.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,9}$/.test(text))
    throw new UserError(`${name}: expected a whole number, found '${text.slice(0, 40)}'`);
  return Number(text);
}

/** `works=true`. */
export function flag(params: URLSearchParams, name: string): boolean {
  const text = params.get(name) ?? '';
  if (text === '' || text === 'false' || text === '0') return false;
  if (text === 'true' || text === '1') return true;
  throw new UserError(`${name}: expected true or false, found '${text.slice(0, 40)}'`);
}
