import { error } from '@sveltejs/kit';
import { type Period, parsePeriod } from '@working-papers/daily/dates';
import { editionPage } from '@working-papers/daily/papers/editions';
import type { PeriodKind } from '#lib/dates.ts';
import { answer, pageParams, toApiPage } from '#lib/server/api.ts';
import { newestDay } from '#lib/server/latest.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';
import type { RequestEvent } from './$types';

/** A day, a week or a month, told apart by how they are written; `latest` is the newest day. */
export const GET = problem(async ({ params, url }: RequestEvent) => {
  const name = params.name === 'latest' ? await newestDay() : params.name;
  const [kind, period] = periodCalled(name);
  const page = await editionPage(services().database.db, kind, period, pageParams(url.searchParams));
  return answer({
    ...{ kind, name: period.name, from: period.from, to: period.to, total: page.total },
    editions: page.own,
    ...{ previous: page.previous ?? null, following: page.following ?? null },
    ...toApiPage(page),
  });
});

function periodCalled(name: string): readonly [PeriodKind, Period] {
  for (const kind of ['day', 'week', 'month'] as const) {
    const period = parsePeriod(kind, name);
    if (period) return [kind, period];
  }
  error(
    404,
    `There is no edition “${name}”: expected a day as 2026-09-10, a week as 2026-W37, a month as 2026-09, or latest.`,
  );
}
