import { json } from '@sveltejs/kit';
import { problem } from '#lib/server/problem.ts';
import { searchView } from '#lib/server/search-view.ts';

/** For the search page while a reader types. */
export const GET = problem(async ({ url, locals }) =>
  json(await searchView(url.searchParams, locals), { headers: { 'cache-control': 'no-store' } }),
);
