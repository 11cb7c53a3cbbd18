import { UserError } from '@working-papers/paper';
import type { Db } from '../database/connect.ts';
import { isTimeZone } from '../dates.ts';
import { savedSearches } from './saved-searches.ts';

export interface AccountExport {
  readonly exportedAt: Date;
  readonly account: { readonly email: string; readonly createdAt: Date; readonly timeZone: string };
  readonly votes: readonly { readonly paperId: string; readonly createdAt: Date }[];
  readonly library: readonly {
    readonly paperId: string;
    readonly tags: readonly string[];
    readonly addedAt: Date;
    readonly readAt: Date | null;
  }[];
  readonly savedSearches: Awaited<ReturnType<typeof savedSearches>>;
  readonly subscription: {
    readonly frequency: string;
    readonly timeZone: string;
    readonly state: string;
    readonly createdAt: Date;
    readonly confirmedAt: Date | null;
  } | null;
  readonly sessions: readonly { readonly createdAt: Date; readonly seenAt: Date; readonly expiresAt: Date }[];
}

/** Everything that is known about a reader, for a file. Undefined where there is no such reader. */
export async function exportAccount(db: Db, userId: string): Promise<AccountExport | undefined> {
  const account = await db
    .selectFrom('users')
    .select(['email', 'createdAt', 'timeZone'])
    .where('id', '=', userId)
    .executeTakeFirst();
  if (!account) return undefined;
  const [votes, library, searches, subscription, sessions] = await Promise.all([
    db
      .selectFrom('votes')
      .select(['paperId', 'createdAt'])
      .where('userId', '=', userId)
      .orderBy('createdAt')
      .execute(),
    db
      .selectFrom('library')
      .select(['paperId', 'tags', 'addedAt', 'readAt'])
      .where('userId', '=', userId)
      .orderBy('addedAt')
      .execute(),
    savedSearches(db, userId),
    db
      .selectFrom('subscriptions')
      .select(['frequency', 'timeZone', 'state', 'createdAt', 'confirmedAt'])
      .where('email', '=', account.email)
      .executeTakeFirst(),
    db
      .selectFrom('sessions')
      .select(['createdAt', 'seenAt', 'expiresAt'])
      .where('userId', '=', userId)
      .execute(),
  ]);
  const exportedAt = new Date();
  return {
    exportedAt,
    account,
    votes,
    library,
    savedSearches: searches,
    subscription: subscription ?? null,
    sessions,
  };
}

/** Deletes a reader with all that belongs to them, votes, mails that wait and the subscription to their address too. */
export async function deleteAccount(db: Db, userId: string): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    const user = await transaction
      .deleteFrom('users')
      .where('id', '=', userId)
      .returning('email')
      .executeTakeFirst();
    if (!user) return false;
    for (const table of ['subscriptions', 'loginTokens', 'deliveries'] as const) {
      await transaction.deleteFrom(table).where('email', '=', user.email).execute();
    }
    return true;
  });
}

/** Throws a `UserError` for a zone that does not exist. */
export async function setTimeZone(db: Db, userId: string, timeZone: string): Promise<void> {
  if (!isTimeZone(timeZone)) {
    throw new UserError(`time zone: expected one as Europe/Berlin, found '${timeZone.slice(0, 60)}'`);
  }
  await db.updateTable('users').set({ timeZone }).where('id', '=', userId).execute();
}
