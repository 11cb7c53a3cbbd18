import { error } from '@sveltejs/kit';
import { type Period, parsePeriod } from '@working-papers/daily/dates';
import { editionPage } from '@working-papers/daily/papers/editions';
import { editionOf } from '@working-papers/edition';
import type { PeriodKind } from '#lib/dates.ts';
import { type PeriodView, periodPath } from '#lib/periods.ts';
import { toListed, withVotes } from './listing.ts';
import { services } from './services.ts';

const example = { day: '2026-09-10', week: '2026-W37', month: '2026-09' } as const;

/** The period of an address. Answers 404 where the calendar has no such one. */
export function periodNamed(kind: PeriodKind, name: string): Period {
  const period = parsePeriod(kind, name);
  if (!period) error(404, `There is no ${kind} “${name}”; one is written ${example[kind]}.`);
  return period;
}

/** What the page of a day, a week or a month shows. */
export async function periodView(
  kind: PeriodKind,
  period: Period,
  { url, locals }: { url: URL; locals: App.Locals },
): Promise<PeriodView> {
  const { db } = services().database;
  const cursor = url.searchParams.get('cursor') ?? undefined;
  const page = await editionPage(db, kind, period, { cursor });
  const { name, from, to } = period;
  const { total, previous, following, next } = page;
  const edition = kind === 'day' && cursor === undefined ? editionOf(name) : undefined;
  const own = new Set(edition?.papers.map(({ id }) => id));
  const listed = await withVotes(
    locals.reader,
    page.items.map((card) => toListed(card)),
  );
  const [ours, others] = [true, false].map((is) => listed.filter(({ address }) => own.has(address) === is));
  return {
    ...{ kind, name, from, to, total },
    papers: others!,
    ...(edition && {
      edition,
      votes: Object.fromEntries(ours!.map(({ address, upvotes, voted }) => [address, { upvotes, voted }])),
    }),
    ...(next !== undefined && { more: `${periodPath(kind, name)}?cursor=${next}` }),
    ...(cursor !== undefined && { first: periodPath(kind, name) }),
    ...(previous !== undefined && { previous }),
    ...(following !== undefined && { following }),
    feed: `${periodPath(kind, name)}/feed.xml`,
  };
}
