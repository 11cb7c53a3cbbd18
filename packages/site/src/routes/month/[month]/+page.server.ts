import { periodNamed, periodView } from '#lib/server/periods.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ params, url, locals }) => ({
  view: await periodView('month', periodNamed('month', params.month), { url, locals }),
});
