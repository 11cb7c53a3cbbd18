// A date on the calendar is the same for every reader.
const timeZone = 'UTC';
const day = { day: 'numeric', month: 'long', year: 'numeric', timeZone } as const;
const long = new Intl.DateTimeFormat('en-GB', { weekday: 'long', ...day });
const short = new Intl.DateTimeFormat('en-GB', { ...day, month: 'short' });
const dayAndMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', timeZone });
const month = new Intl.DateTimeFormat('en-GB', { month: 'long', year: 'numeric', timeZone });

const atMidnight = (date: string) => new Date(`${date}T00:00:00Z`);

/** `2026-09-10` as `Thursday, 10 September 2026`. */
export function longDate(date: string): string {
  const part = Object.fromEntries(
    long.formatToParts(atMidnight(date)).map(({ type, value }) => [type, value]),
  );
  return `${part.weekday}, ${part.day} ${part.month} ${part.year}`;
}

/** `2026-09-10` as `10 Sept 2026`; a month alone, `2026-09`, as `September 2026`. */
export function shortDate(date: string): string {
  return date.length === 7 ? month.format(atMidnight(`${date}-01`)) : short.format(atMidnight(date));
}

export type PeriodKind = 'day' | 'week' | 'month';

/** A period's name in its address, as words: `2026-W37` is `Week 37 of 2026`. */
export function periodTitle(kind: PeriodKind, name: string): string {
  if (kind === 'day') return longDate(name);
  if (kind === 'month') return month.format(atMidnight(`${name}-01`));
  const [year, week] = name.split('-W');
  return `Week ${Number(week)} of ${year}`;
}

/** `7 September to 13 September` */
export function daysOf(from: string, to: string): string {
  return `${dayAndMonth.format(atMidnight(from))} to ${dayAndMonth.format(atMidnight(to))}`;
}
