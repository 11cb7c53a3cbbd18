import { redirect } from '@sveltejs/kit';
import { deleteAccount, setTimeZone } from '@working-papers/daily/accounts/account';
import { takeFrom } from '@working-papers/daily/accounts/limits';
import { logOutEverywhere, type Reader } from '@working-papers/daily/accounts/sessions';
import { UserError } from '@working-papers/paper';
import { field, formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import { end, signedIn } from '#lib/server/session.ts';
import { resolve } from '$app/paths';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  const { email, timeZone } = signedIn({ locals, url });
  return { email, timeZone, zones: Intl.supportedValuesOf('timeZone') };
};

/** Signed in, and not too often. */
async function writer(event: RequestEvent): Promise<Reader> {
  const reader = signedIn(event);
  await takeFrom(services().database.db, 'write', reader.id);
  return reader;
}

export const actions = {
  leave: formAction(async ({ cookies, url }: RequestEvent) => {
    await end(cookies, url);
    redirect(303, resolve('/'));
  }),
  leaveEverywhere: formAction(async (event: RequestEvent) => {
    await logOutEverywhere(services().database.db, (await writer(event)).id);
    await end(event.cookies, event.url);
    redirect(303, resolve('/'));
  }),
  zone: formAction(async (event: RequestEvent, form) => {
    await setTimeZone(services().database.db, (await writer(event)).id, field(form, 'zone'));
    redirect(303, resolve('/account'));
  }),
  remove: formAction(async (event: RequestEvent, form) => {
    const reader = await writer(event);
    if (field(form, 'address').trim().toLowerCase() !== reader.email) {
      throw new UserError(
        'address: expected the address of this account, so that nothing is deleted by mistake',
      );
    }
    await deleteAccount(services().database.db, reader.id);
    await end(event.cookies, event.url);
    redirect(303, resolve('/'));
  }),
} satisfies Actions;
