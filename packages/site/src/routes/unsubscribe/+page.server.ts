import { error } from '@sveltejs/kit';
import { readUnsubscribe } from '@working-papers/daily/mail/addresses';
import { signingSecret, unsubscribe } from '@working-papers/daily/mail/subscriptions';
import { formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

async function endingOf(url: URL) {
  const { db } = services().database;
  const ending = readUnsubscribe(await signingSecret(db), url.searchParams);
  if (!ending) error(400, 'This link to unsubscribe is not whole: use the one in the letter.');
  return ending;
}

export const load: PageServerLoad = async ({ url }) => ({
  kind: (await endingOf(url)).kind,
  query: url.search,
});

export const actions = {
  /** Also what a mail program sends on its own (RFC 8058): the address proves all, and no one need be signed in. */
  default: formAction(async ({ url }: RequestEvent) => {
    await unsubscribe(services().database.db, await endingOf(url));
    return { done: true };
  }),
} satisfies Actions;
