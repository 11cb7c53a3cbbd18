import { readForm, writeForm } from '#lib/search-form.ts';
import { searchView } from '#lib/server/search-view.ts';
import { resolve } from '$app/paths';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ url, locals }) => {
  const form = readForm(url.searchParams);
  return {
    form,
    found: await searchView(url.searchParams, locals),
    feed: `${resolve('/search')}/feed.xml${writeForm(form)}`,
  };
};
