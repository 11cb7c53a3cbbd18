import type { RequestEvent } from '@sveltejs/kit';
import { error, redirect } from '@sveltejs/kit';
import { discard, keep, vote } from '@working-papers/daily/accounts/library';
import { type LimitName, takeFrom } from '@working-papers/daily/accounts/limits';
import type { Db } from '@working-papers/daily/database/connect';
import { resolve } from '$app/paths';
import { askedPaper } from './asked-paper.ts';
import { field, formAction } from './forms.ts';
import { addressOf } from './listing.ts';
import { services } from './services.ts';
import { signedIn } from './session.ts';

type Act = (db: Db, readerId: string, paperId: string) => Promise<unknown>;

/** What a reader does with the paper of the page, which is shown again afterwards. */
function action(limit: LimitName, act: Act) {
  return formAction(async (event: RequestEvent, form) => {
    const reader = signedIn(event);
    const { db } = services().database;
    const { id } = event.params;
    if (!id) error(404);
    const paper = await askedPaper(id);
    await takeFrom(db, limit, reader.id);
    await act(db, reader.id, paper.id);
    const own = resolve('/papers/[...id]', { id: addressOf(paper) });
    redirect(303, backTo(field(form, 'to'), event.url) ?? own);
  });
}

/** Where a list wants its reader back: an address of this page and of no other. */
function backTo(wanted: string, { origin }: URL): string | undefined {
  if (!wanted.startsWith('/') || !URL.canParse(wanted, origin)) return undefined;
  const url = new URL(wanted, origin);
  // A path of two slashes would be read as another site's.
  if (url.origin !== origin || url.pathname.startsWith('//')) return undefined;
  return url.pathname + url.search + url.hash;
}

export const paperActions = {
  vote: action('vote', (db, reader, paper) => vote(db, reader, paper, true)),
  unvote: action('vote', (db, reader, paper) => vote(db, reader, paper, false)),
  keep: action('write', keep),
  discard: action('write', discard),
  read: action('write', (db, reader, paper) => keep(db, reader, paper, { isRead: true })),
  unread: action('write', (db, reader, paper) => keep(db, reader, paper, { isRead: false })),
};
