import { type SearchQuery, search } from '@working-papers/daily/search/search';
import type { Pieces, SearchView } from '#lib/papers.ts';
import { readForm, type SearchForm, writeForm } from '#lib/search-form.ts';
import { resolve } from '$app/paths';
import { toListed, withVotes } from './listing.ts';
import { services } from './services.ts';
import { passage, toPieces } from './tex.ts';

export function toQuery({ q, from, to, category, works, code, sort }: SearchForm): SearchQuery {
  return {
    ...(q !== '' && { text: q }),
    ...(from !== '' && { from }),
    ...(to !== '' && { to }),
    ...(category !== '' && { category }),
    ...(works && { works }),
    ...(code && { hasCode: true }),
    sort,
  };
}

/** The form of a search that was saved. */
export const toForm = ({ text, from, to, category, works, hasCode, sort }: SearchQuery): SearchForm => ({
  ...{ q: text ?? '', from: from ?? '', to: to ?? '', category: category ?? '' },
  ...{ works: works ?? false, code: hasCode ?? false, sort: sort ?? 'relevance' },
});

/** What fits into a look; a longer answer to every letter that is typed would only come later. */
const shownAtOnce = 20;

/** A search of the page's. Its last word is perhaps not typed to its end, and found all the same. */
export async function searchView(params: URLSearchParams, { reader }: App.Locals): Promise<SearchView> {
  const { database, meaning } = services();
  const form = readForm(params);
  const cursor = params.get('cursor') ?? undefined;
  const result = await search(database, toQuery(form), {
    cursor,
    limit: shownAtOnce,
    isTyping: true,
    embedder: meaning.embedder,
  });
  const query = writeForm(form);
  const here = `${resolve('/search')}${query}`;
  const hasWords = form.q.trim() !== '';
  return {
    papers: await withVotes(
      reader,
      result.items.map(({ highlights, ...card }) => {
        const found: { title: Pieces; excerpt: Pieces } = {
          title: toPieces(highlights.title),
          excerpt: toPieces(passage(card.abstract ?? card.summary ?? '', highlights.text)),
        };
        return toListed(card, hasWords ? found : undefined);
      }),
    ),
    ...(result.next !== undefined && {
      more: `${here}${query === '' ? '?' : '&'}cursor=${result.next}`,
    }),
    ...(cursor !== undefined && { first: here }),
    ...(result.corrected !== undefined && { corrected: result.corrected }),
    isLoose: result.isLoose,
    byWordsAlone: hasWords && !result.byMeaning && form.sort === 'relevance',
  };
}
