import type { RequestEvent } from '@sveltejs/kit';
import { error, redirect } from '@sveltejs/kit';
import { discard, keep, vote } from '@working-papers/daily/accounts/library';
import { type LimitName, takeFrom } from '@working-papers/daily/accounts/limits';
import type { Db } from '@working-papers/daily/database/connect';
import { resolve } from '$app/paths';
import { askedPaper } from './asked-paper.ts';
import { formAction } from './forms.ts';
import { addressOf } from './listing.ts';
import { services } from './services.ts';
import { signedIn } from './session.ts';

type Act = (db: Db, readerId: string, paperId: string) => Promise<unknown>;

/** What a reader does with the paper of the page, which is shown again afterwards. */
function action(limit: LimitName, act: Act) {
  return formAction(async (event: RequestEvent) => {
    const reader = signedIn(event);
    const { db } = services().database;
    const { id } = event.params;
    if (!id) error(404);
    const paper = await askedPaper(id);
    await takeFrom(db, limit, reader.id);
    await act(db, reader.id, paper.id);
    redirect(303, resolve('/papers/[...id]', { id: addressOf(paper) }));
  });
}

export const paperActions = {
  vote: action('vote', (db, reader, paper) => vote(db, reader, paper, true)),
  unvote: action('vote', (db, reader, paper) => vote(db, reader, paper, false)),
  keep: action('write', keep),
  discard: action('write', discard),
  read: action('write', (db, reader, paper) => keep(db, reader, paper, { isRead: true })),
  unread: action('write', (db, reader, paper) => keep(db, reader, paper, { isRead: false })),
};
