import { exportAccount } from '@working-papers/daily/accounts/account';
import { services } from '#lib/server/services.ts';
import { signedIn } from '#lib/server/session.ts';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals, url }) => {
  const reader = signedIn({ locals, url });
  const everything = await exportAccount(services().database.db, reader.id);
  return new Response(JSON.stringify(everything, null, 2), {
    headers: {
      'content-type': 'application/json',
      'content-disposition': 'attachment; filename="working-papers.json"',
      'cache-control': 'no-store',
    },
  });
};
