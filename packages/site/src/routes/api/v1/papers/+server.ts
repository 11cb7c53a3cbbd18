import { search } from '@working-papers/daily/search/search';
import { answer, pageParams, toApiPage } from '#lib/server/api.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

/** The newest papers. */
export const GET = problem(async ({ url: { searchParams } }) => {
  const category = searchParams.get('category');
  const page = await search(services().database, category ? { category } : {}, pageParams(searchParams));
  return answer(toApiPage(page));
});
