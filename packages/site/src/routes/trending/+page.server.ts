import { trending, trendingFormula, trendingWindows } from '@working-papers/daily/papers/trending';
import { toListed, withVotes } from '#lib/server/listing.ts';
import { services } from '#lib/server/services.ts';
import { resolve } from '$app/paths';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ url, locals }) => {
  const window = Number(url.searchParams.get('window') ?? 7);
  const cursor = url.searchParams.get('cursor') ?? undefined;
  const page = await trending(services().database.db, { window, cursor });
  const here = `${resolve('/trending')}?window=${window}`;
  return {
    window,
    windows: trendingWindows,
    formula: trendingFormula,
    papers: await withVotes(
      locals.reader,
      page.items.map((card) => toListed(card)),
    ),
    more: page.next && `${here}&cursor=${page.next}`,
    first: cursor === undefined ? undefined : here,
  };
};
