import { isIsoDate, periodOf, utcDate } from '@working-papers/daily/dates';
import { editionPage } from '@working-papers/daily/papers/editions';
import { UserError } from '@working-papers/paper';
import { answer, wholeNumber } from '#lib/server/api.ts';
import { toDailyEntry } from '#lib/server/hugging-face.ts';
import { newestDay } from '#lib/server/latest.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

/** As Hugging Face answers: an empty list for a day without papers, 400 for one that has not come yet. */
export const GET = problem(async ({ url: { searchParams } }) => {
  const asked = searchParams.get('date') || undefined;
  if (asked !== undefined && !isIsoDate(asked)) {
    throw new UserError(`date: expected a day as 2026-09-10, found '${asked.slice(0, 40)}'`);
  }
  const newest = await newestDay();
  const today = utcDate(new Date());
  const open = newest > today ? newest : today;
  if (asked !== undefined && asked > open)
    throw new UserError(`date: expected at most ${open}, found '${asked}'`);
  const date = asked ?? newest;
  const limit = wholeNumber(searchParams, 'limit') ?? 50;
  const page = await editionPage(services().database.db, 'day', periodOf('day', date), { limit });
  return answer(page.items.map((card) => toDailyEntry(card, date)));
});
