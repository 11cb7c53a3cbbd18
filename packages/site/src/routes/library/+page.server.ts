import { redirect } from '@sveltejs/kit';
import { discard, keep, library, libraryTags } from '@working-papers/daily/accounts/library';
import { takeFrom } from '@working-papers/daily/accounts/limits';
import { recommendations, recommendationsWords } from '@working-papers/daily/accounts/recommendations';
import {
  deleteSearch,
  savedSearches,
  saveSearch,
  setAlert,
} from '@working-papers/daily/accounts/saved-searches';
import { readForm, writeForm } from '#lib/search-form.ts';
import { field, formAction } from '#lib/server/forms.ts';
import { toListed, withVotes } from '#lib/server/listing.ts';
import { toForm, toQuery } from '#lib/server/search-view.ts';
import { services } from '#lib/server/services.ts';
import { signedIn } from '#lib/server/session.ts';
import { resolve } from '$app/paths';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = async ({ locals, url }) => {
  const reader = signedIn({ locals, url });
  const { db } = services().database;
  const tag = url.searchParams.get('tag') || undefined;
  const cursor = url.searchParams.get('cursor') ?? undefined;
  const [page, tags, searches, recommended] = await Promise.all([
    library(db, reader.id, { ...(tag !== undefined && { tag }), cursor }),
    libraryTags(db, reader.id),
    savedSearches(db, reader.id),
    recommendations(db, reader.id, { limit: 10 }),
  ]);
  const here = `${resolve('/library')}?${new URLSearchParams(tag === undefined ? {} : { tag })}`;
  return {
    entries: page.items.map((entry) => ({
      paper: toListed(entry.paper),
      tags: entry.tags,
      isRead: entry.readAt !== null,
    })),
    ...{ tags, tag },
    more: page.next && `${here}&cursor=${page.next}`,
    searches: searches.map(({ id, name, query, alert }) => ({
      ...{ id, name, alert },
      href: `${resolve('/search')}${writeForm(toForm(query))}`,
    })),
    recommended: await withVotes(
      reader,
      recommended.map((card) => toListed(card)),
    ),
    how: recommendationsWords,
  };
};

/** Writes something of the reader's, and shows the page again. */
const write = (act: (readerId: string, form: FormData) => Promise<unknown>) =>
  formAction(async (event: RequestEvent, form) => {
    const reader = signedIn(event);
    await takeFrom(services().database.db, 'write', reader.id);
    await act(reader.id, form);
    redirect(303, resolve('/library'));
  });

export const actions = {
  tags: write((reader, form) =>
    keep(services().database.db, reader, field(form, 'id'), {
      tags: field(form, 'tags').split(','),
      isRead: field(form, 'read') !== '',
    }),
  ),
  discard: write((reader, form) => discard(services().database.db, reader, field(form, 'id'))),
  save: write((reader, form) => {
    const query = toQuery(readForm(new URLSearchParams(field(form, 'query'))));
    return saveSearch(services().database.db, reader, {
      query,
      name: field(form, 'name'),
      alert: field(form, 'alert') !== '',
    });
  }),
  alert: write((reader, form) =>
    setAlert(services().database.db, reader, field(form, 'id'), field(form, 'alert') !== ''),
  ),
  forget: write((reader, form) => deleteSearch(services().database.db, reader, field(form, 'id'))),
} satisfies Actions;
