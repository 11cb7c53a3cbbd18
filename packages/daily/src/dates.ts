/** Days, ISO weeks and months as texts, all without a time zone; and what time it is where a reader lives. */

import type { IsoDate } from './database/schema.ts';

const dayLength = 86_400_000; // ms

const atMidnight = (date: IsoDate) => new Date(`${date}T00:00:00Z`);
const textOf = (date: Date): IsoDate => date.toISOString().slice(0, 10);

/** Whether the text is a day that exists: `2026-02-30` is none. */
export function isIsoDate(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d$/.test(text) &&
    !Number.isNaN(atMidnight(text).getTime()) &&
    textOf(atMidnight(text)) === text
  );
}

export function addDays(date: IsoDate, days: number): IsoDate {
  return textOf(new Date(atMidnight(date).getTime() + days * dayLength));
}

/** Both ends included; empty where `to` is before `from`. */
export function daysBetween(from: IsoDate, to: IsoDate): readonly IsoDate[] {
  const count = (atMidnight(to).getTime() - atMidnight(from).getTime()) / dayLength + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => addDays(from, index));
}

/** 1 is Monday. */
export function weekday(date: IsoDate): number {
  return atMidnight(date).getUTCDay() || 7;
}

export interface Period {
  /** As in the page's address: `2026-09-10`, `2026-W37`, `2026-09`. */
  readonly name: string;
  /** First and last day. */
  readonly from: IsoDate;
  readonly to: IsoDate;
}

/** The ISO 8601 week of a day: it belongs to the year in which its Thursday lies. */
export function weekOf(date: IsoDate): Period {
  const from = addDays(date, 1 - weekday(date));
  const year = addDays(from, 3).slice(0, 4);
  const first = addDays(`${year}-01-04`, 1 - weekday(`${year}-01-04`));
  const number = (atMidnight(from).getTime() - atMidnight(first).getTime()) / dayLength / 7 + 1;
  return { name: `${year}-W${String(number).padStart(2, '0')}`, from, to: addDays(from, 6) };
}

export function monthOf(date: IsoDate): Period {
  const name = date.slice(0, 7);
  const next = new Date(Date.UTC(Number(name.slice(0, 4)), Number(name.slice(5)), 1));
  return { name, from: `${name}-01`, to: addDays(textOf(next), -1) };
}

const dayOf = (date: IsoDate): Period => ({ name: date, from: date, to: date });

/** The day, week or month of an address. Undefined where there is no such one, as `2026-W54`. */
export function parsePeriod(kind: PeriodKind, name: string): Period | undefined {
  if (kind === 'day') return isIsoDate(name) ? dayOf(name) : undefined;
  if (kind === 'month') return isIsoDate(`${name}-01`) ? monthOf(`${name}-01`) : undefined;
  const [, year, number] = /^(\d{4})-W(\d\d)$/.exec(name) ?? [];
  if (year === undefined) return undefined;
  const week = weekOf(addDays(`${year}-01-04`, 7 * (Number(number) - 1)));
  return week.name === name ? week : undefined;
}

export type PeriodKind = 'day' | 'week' | 'month';

export function periodOf(kind: PeriodKind, date: IsoDate): Period {
  return { day: dayOf, week: weekOf, month: monthOf }[kind](date);
}

export const utcDate = (time: Date): IsoDate => textOf(time);

/** Whether the text names a time zone of the IANA database that this machine knows. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z][\w+/-]{0,63}$/.test(text)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return true;
  } catch {
    return false;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    const two = '2-digit';
    const parts = { year: 'numeric', month: two, day: two, hour: two, minute: two, second: two } as const;
    format = new Intl.DateTimeFormat('en-US', { ...parts, timeZone, hourCycle: 'h23', calendar: 'gregory' });
    formats.set(timeZone, format);
  }
  return format;
}

/** Wall clock there, written as if it were UTC. */
function wallClock(time: Date, timeZone: string): number {
  const parts = Object.fromEntries(
    formatOf(timeZone)
      .formatToParts(time)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

export function localDate(time: Date, timeZone: string): IsoDate {
  return textOf(new Date(wallClock(time, timeZone)));
}

/** When a day's hour begins there. An hour that the clock jumps over begins when the clock has jumped. */
export function atLocalHour(date: IsoDate, hour: number, timeZone: string): Date {
  const wanted = atMidnight(date).getTime() + hour * 3_600_000;
  // The offset at the answer is not known before the answer; the second guess stands on the right side of a change.
  let guess = wanted - (wallClock(new Date(wanted), timeZone) - wanted);
  const missed = wanted - wallClock(new Date(guess), timeZone);
  if (missed !== 0 && wallClock(new Date(guess + missed), timeZone) >= wanted) guess += missed;
  return new Date(guess);
}
