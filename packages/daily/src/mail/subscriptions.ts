import { UserError } from '@working-papers/paper';
import { sql } from 'kysely';
import { readAddress } from '../accounts/addresses.ts';
import { takeFrom } from '../accounts/limits.ts';
import { hashToken, newToken } from '../accounts/tokens.ts';
import { type Db, sharedSecret } from '../database/connect.ts';
import type { Frequency, Wish } from '../database/schema.ts';
import { addDays, atLocalHour, isTimeZone, localDate, weekday } from '../dates.ts';
import type { Settings } from '../settings.ts';
import type { Ending } from './addresses.ts';
import { confirmMail } from './letters.ts';
import type { Mailer } from './mailer.ts';

type Site = Pick<Settings, 'baseUrl' | 'siteName'>;
export type Timing = Pick<Settings, 'digestHour' | 'digestWeekday'>;

/** Proves links to unsubscribe. */
export const signingSecret = (db: Db) => sharedSecret(db, 'signing', newToken);

/**
 * Asks the owner of an address whether to subscribe it, or to change its subscription. What happens and what is
 * answered is the same whether the address is subscribed already or not. Throws a `UserError` for a wrong field, a
 * `RateLimitError`, or the mailer's error.
 */
export async function subscribe(
  db: Db,
  mailer: Mailer,
  site: Site,
  {
    email,
    frequency,
    timeZone,
    visitor,
  }: { email: string; frequency: string; timeZone: string; visitor: string },
): Promise<void> {
  const address = readAddress(email);
  const wish = readWish(frequency, timeZone);
  await takeFrom(db, 'subscribeVisitor', visitor);
  await takeFrom(db, 'subscribeAddress', address);
  const token = newToken();
  const asked = {
    wanted: JSON.stringify(wish),
    confirmHash: hashToken(token),
    confirmExpiresAt: new Date(Date.now() + 7 * 86_400_000),
  };
  await db
    .insertInto('subscriptions')
    .values({ email: address, ...wish, ...asked })
    .onConflict((conflict) => conflict.column('email').doUpdateSet(asked))
    .execute();
  await mailer.send(confirmMail(site, address, token, wish.frequency));
}

function readWish(frequency: string, timeZone: string): Wish {
  if (frequency !== 'daily' && frequency !== 'weekly') {
    throw new UserError(`frequency: expected daily or weekly, found '${frequency.slice(0, 40)}'`);
  }
  if (!isTimeZone(timeZone)) {
    throw new UserError(`time zone: expected one as Europe/Berlin, found '${timeZone.slice(0, 60)}'`);
  }
  return { frequency, timeZone };
}

export interface Confirmed {
  readonly email: string;
  readonly frequency: Frequency;
  readonly timeZone: string;
  readonly nextDueAt: Date;
}

/** Uses a confirmation up. Undefined where it is unknown, used or too old. */
export async function confirm(
  db: Db,
  timing: Timing,
  { token, visitor }: { token: string; visitor: string },
  now = new Date(),
): Promise<Confirmed | undefined> {
  await takeFrom(db, 'tokenVisitor', visitor);
  const confirmHash = hashToken(token);
  const asked = await db
    .selectFrom('subscriptions')
    .select('wanted')
    .where('confirmHash', '=', confirmHash)
    .where('confirmExpiresAt', '>', now)
    .executeTakeFirst();
  if (!asked?.wanted) return undefined;
  const { frequency, timeZone } = asked.wanted;
  const row = await db
    .updateTable('subscriptions')
    .set({
      frequency,
      timeZone,
      state: 'active',
      wanted: null,
      confirmHash: null,
      confirmExpiresAt: null,
      confirmedAt: now,
      endedAt: null,
      nextDueAt: nextDue(frequency, timeZone, timing, now),
    })
    .where('confirmHash', '=', confirmHash)
    .returning(['email', 'frequency', 'timeZone', 'nextDueAt'])
    .executeTakeFirst();
  return row && { ...row, nextDueAt: row.nextDueAt! };
}

/** The first moment after `after` at which a digest is due: the hour of the reader's day, on every day or on one. */
export function nextDue(frequency: Frequency, timeZone: string, timing: Timing, after: Date): Date {
  const today = localDate(after, timeZone);
  for (let days = 0; ; days++) {
    const date = addDays(today, days);
    const due = atLocalHour(date, timing.digestHour, timeZone);
    const isDay = frequency === 'daily' || weekday(date) === timing.digestWeekday;
    if (isDay && due > after) return due;
  }
}

/** Ends what a proven link says, at once and for good; a second time changes nothing. */
export async function unsubscribe(db: Db, { kind, id }: Ending): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    if (kind === 'subscription') {
      await transaction
        .updateTable('subscriptions')
        .set({ state: 'ended', endedAt: sql<Date>`now()`, nextDueAt: null, wanted: null, confirmHash: null })
        .where('id', '=', id)
        .where('state', '<>', 'ended')
        .execute();
    } else {
      await transaction.updateTable('savedSearches').set({ alert: false }).where('id', '=', id).execute();
    }
    await transaction
      .updateTable('deliveries')
      .set({ state: 'dropped', error: 'unsubscribed' })
      .where(kind === 'subscription' ? 'subscriptionId' : 'savedSearchId', '=', id)
      .where('state', '=', 'waiting')
      .execute();
  });
}
