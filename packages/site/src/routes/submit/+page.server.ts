import { redirect } from '@sveltejs/kit';
import { takeFrom } from '@working-papers/daily/accounts/limits';
import { submit } from '@working-papers/daily/sources/submit';
import { field, formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import { signedIn } from '#lib/server/session.ts';
import { resolve } from '$app/paths';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = ({ locals, url }) => {
  signedIn({ locals, url });
};

export const actions = {
  default: formAction(async (event: RequestEvent, form) => {
    const reader = signedIn(event);
    const { database, sources } = services();
    await takeFrom(database.db, 'submit', reader.id);
    const { id } = await submit(database.db, sources, field(form, 'paper'));
    redirect(303, resolve('/papers/[...id]', { id }));
  }),
} satisfies Actions;
