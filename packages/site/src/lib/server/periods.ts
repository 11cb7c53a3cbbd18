import { error } from '@sveltejs/kit';
import { type Period, parsePeriod } from '@working-papers/daily/dates';
import { editionPage } from '@working-papers/daily/papers/editions';
import { editionOf } from '@working-papers/edition';
import type { PeriodKind } from '#lib/dates.ts';
import { type PeriodView, periodPath } from '#lib/periods.ts';
import { toListed } from './listing.ts';
import { services } from './services.ts';

const example = { day: '2026-09-10', week: '2026-W37', month: '2026-09' } as const;

/** The period of an address. Answers 404 where the calendar has no such one. */
export function periodNamed(kind: PeriodKind, name: string): Period {
  const period = parsePeriod(kind, name);
  if (!period) error(404, `There is no ${kind} “${name}”; one is written ${example[kind]}.`);
  return period;
}

/** What the page of a day, a week or a month shows. */
export async function periodView(kind: PeriodKind, period: Period, url: URL): Promise<PeriodView> {
  const { db } = services().database;
  const cursor = url.searchParams.get('cursor') ?? undefined;
  const page = await editionPage(db, kind, period, { cursor });
  const { name, from, to } = period;
  const { total, previous, following, next } = page;
  const edition = kind === 'day' && cursor === undefined ? editionOf(name) : undefined;
  const own = new Set(edition?.papers.map(({ id }) => id));
  return {
    ...{ kind, name, from, to, total },
    papers: page.items.filter(({ work }) => !work || !own.has(work.id)).map((card) => toListed(card)),
    ...(edition && { edition }),
    ...(next !== undefined && { more: `${periodPath(kind, name)}?cursor=${next}` }),
    ...(cursor !== undefined && { first: periodPath(kind, name) }),
    ...(previous !== undefined && { previous }),
    ...(following !== undefined && { following }),
    feed: `${periodPath(kind, name)}/feed.xml`,
  };
}
