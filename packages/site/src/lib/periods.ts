import type { Edition } from '@working-papers/edition';
import type { PeriodKind } from '#lib/dates.ts';
import type { ListedPaper, Votes } from '#lib/papers.ts';
import { resolve } from '$app/paths';

/** Where a day, a week or a month has its page. */
export function periodPath(kind: PeriodKind, name: string): string {
  if (kind === 'day') return resolve('/date/[date]', { date: name });
  return kind === 'week'
    ? resolve('/week/[week]', { week: name })
    : resolve('/month/[month]', { month: name });
}

/** A page of the papers of a day, a week or a month. */
export interface PeriodView {
  readonly kind: PeriodKind;
  /** As in its address. */
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly total: number;
  readonly papers: readonly ListedPaper[];
  /** Our own edition of the day, on the first page, and the votes of its papers by their words. */
  readonly edition?: Edition;
  readonly votes?: Readonly<Record<string, Votes>>;
  readonly more?: string;
  readonly first?: string;
  readonly previous?: string;
  readonly following?: string;
  /** Address of its Atom feed. */
  readonly feed: string;
}
