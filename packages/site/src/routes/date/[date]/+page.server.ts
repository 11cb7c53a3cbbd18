import { periodNamed, periodView } from '#lib/server/periods.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ params, url, locals }) => ({
  view: await periodView('day', periodNamed('day', params.date), { url, locals }),
});
