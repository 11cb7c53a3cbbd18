import { type SearchQuery, search } from '@working-papers/daily/search/search';
import { UserError } from '@working-papers/paper';
import { answer, flag, pageParams, toApi, toApiPage } from '#lib/server/api.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

export const GET = problem(async ({ url: { searchParams: params } }) => {
  const { database, meaning } = services();
  const given = (name: string) => params.get(name) || undefined;
  const order = given('sort') ?? 'relevance';
  const sort = (['relevance', 'date'] as const).find((option) => option === order);
  if (!sort) throw new UserError(`sort: expected relevance or date, found '${order.slice(0, 40)}'`);
  const [text, from, to, category] = ['q', 'from', 'to', 'category'].map(given);
  const query: SearchQuery = {
    ...(text && { text }),
    ...(from && { from }),
    ...(to && { to }),
    ...(category && { category }),
    ...{ works: flag(params, 'works'), hasCode: flag(params, 'code'), sort },
  };
  const result = await search(database, query, { ...pageParams(params), embedder: meaning.embedder });
  return answer({
    corrected: result.corrected ?? null,
    isLoose: result.isLoose,
    byMeaning: result.byMeaning,
    ...toApiPage(result),
    // The hits, as they lie in the title and in the passage.
    papers: result.items.map(({ highlights, ...card }) => ({ ...toApi(card), highlights })),
  });
});
