import { addDays, type Period } from '@working-papers/daily/dates';
import { editionPage } from '@working-papers/daily/papers/editions';
import { type SearchQuery, search } from '@working-papers/daily/search/search';
import { type PeriodKind, periodTitle } from '#lib/dates.ts';
import { periodPath } from '#lib/periods.ts';
import { readForm, writeForm } from '#lib/search-form.ts';
import { resolve } from '$app/paths';
import { atom, type Feed } from './atom.ts';
import { toQuery } from './search-view.ts';
import { services } from './services.ts';

const limit = 100;

export async function periodFeed(kind: PeriodKind, period: Period): Promise<Response> {
  const { items: papers } = await editionPage(services().database.db, kind, period, { limit });
  const page = periodPath(kind, period.name);
  return feedResponse({
    title: `${services().settings.siteName}: ${periodTitle(kind, period.name)}`,
    ...{ page, self: `${page}/feed.xml`, papers },
  });
}

/** The week that ends with the newest day: whoever asks once a day, or was away for some, misses nothing. */
export async function newestFeed(latest: string): Promise<Response> {
  const week = { name: latest, from: addDays(latest, -6), to: latest };
  const { items: papers } = await editionPage(services().database.db, 'week', week, { limit });
  return feedResponse({
    title: services().settings.siteName,
    ...{ page: resolve('/'), self: resolve('/feed.xml'), papers },
  });
}

/** The newest papers that a search finds. */
export async function searchFeed(params: URLSearchParams): Promise<Response> {
  const form = readForm(params);
  const papers = await newest(toQuery(form));
  const about = [form.q, form.category].filter((text) => text !== '').join(', ');
  return feedResponse({
    title: `${services().settings.siteName}: ${about === '' ? 'new papers' : about}`,
    page: `${resolve('/search')}${writeForm(form)}`,
    self: `${resolve('/search/feed.xml')}${writeForm(form)}`,
    papers,
  });
}

export async function categoryFeed(category: string): Promise<Response> {
  return feedResponse({
    title: `${services().settings.siteName}: ${category}`,
    page: `${resolve('/search')}?category=${encodeURIComponent(category)}`,
    self: resolve('/categories/[category]/feed.xml', { category }),
    papers: await newest({ category }),
  });
}

async function newest(query: SearchQuery) {
  const { items } = await search(services().database, { ...query, sort: 'date' }, { limit });
  return items;
}

function feedResponse(feed: Feed): Response {
  return new Response(atom(services().settings.baseUrl, feed), {
    headers: {
      'content-type': 'application/atom+xml; charset=utf-8',
      'cache-control': 'public, max-age=300',
    },
  });
}
