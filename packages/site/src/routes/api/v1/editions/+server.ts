import { utcDate } from '@working-papers/daily/dates';
import { editionDays } from '@working-papers/daily/papers/editions';
import { answer, pageParams } from '#lib/server/api.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

export const GET = problem(async ({ url: { searchParams } }) => {
  const { database, settings } = services();
  const { items, next } = await editionDays(database.db, utcDate(new Date()), pageParams(searchParams));
  return answer({
    editions: items.map(({ date, ...rest }) => ({ date, url: `${settings.baseUrl}/date/${date}`, ...rest })),
    next: next ?? null,
  });
});
