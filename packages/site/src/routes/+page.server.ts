import { periodOf } from '@working-papers/daily/dates';
import { periodView } from '#lib/server/periods.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ parent, url, locals }) => {
  const { latest } = await parent();
  return { view: await periodView('day', periodOf('day', latest.date), { url, locals }) };
};
