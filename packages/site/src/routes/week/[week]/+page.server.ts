import { periodNamed, periodView } from '#lib/server/periods.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ params, url, locals }) => ({
  view: await periodView('week', periodNamed('week', params.week), { url, locals }),
});
