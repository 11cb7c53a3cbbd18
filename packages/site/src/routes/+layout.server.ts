import { monthOf, weekOf } from '@working-papers/daily/dates';
import { editionOf } from '@working-papers/edition';
import { newestDay } from '#lib/server/latest.ts';
import type { LayoutServerLoad } from './$types';

/** The newest day with papers, and the week and the month around it: where the masthead's links lead. */
export const load: LayoutServerLoad = async ({ locals }) => {
  const date = await newestDay();
  return {
    isSignedIn: locals.reader !== undefined,
    latest: { date, week: weekOf(date).name, month: monthOf(date).name, number: editionOf(date)?.number },
  };
};
