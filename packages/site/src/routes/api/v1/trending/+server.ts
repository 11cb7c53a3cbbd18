import { trending, trendingFormula } from '@working-papers/daily/papers/trending';
import { answer, pageParams, toApiPage, wholeNumber } from '#lib/server/api.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

export const GET = problem(async ({ url: { searchParams } }) => {
  const window = wholeNumber(searchParams, 'window') ?? 7;
  const page = await trending(services().database.db, { window, ...pageParams(searchParams) });
  return answer({ window, formula: trendingFormula.formula, ...toApiPage(page) });
});
