import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import { loginMail } from '../mail/letters.ts';
import type { Mailer } from '../mail/mailer.ts';
import type { Settings } from '../settings.ts';
import { readAddress } from './addresses.ts';
import { takeFrom } from './limits.ts';
import { hashToken, newToken } from './tokens.ts';

export interface Reader {
  readonly id: string;
  readonly email: string;
  readonly timeZone: string;
}

type Wanted = Pick<Settings, 'baseUrl' | 'siteName' | 'loginMinutes' | 'sessionDays'>;

/**
 * Mails a link that signs in whoever owns the address. The same happens, and the same time passes, whether the address
 * has an account or not: the account is made when the link is followed. `visitor` is what the page knows the caller
 * by, for limits. Throws a `UserError` for a text that is no address, a `RateLimitError`, or the mailer's error.
 */
export async function requestLogin(
  db: Db,
  mailer: Mailer,
  settings: Wanted,
  { email, visitor }: { email: string; visitor: string },
): Promise<void> {
  const address = readAddress(email);
  await takeFrom(db, 'loginVisitor', visitor);
  await takeFrom(db, 'loginAddress', address);
  const token = newToken();
  await db
    .insertInto('loginTokens')
    .values({
      hash: hashToken(token),
      email: address,
      expiresAt: sql<Date>`now() + ${settings.loginMinutes}::int * interval '1 minute'`,
    })
    .execute();
  await mailer.send(loginMail(settings, address, token));
}

export interface Session {
  /** For the cookie; the database knows its hash only. */
  readonly token: string;
  readonly reader: Reader;
  readonly expiresAt: Date;
}

/**
 * Uses a link's token up and begins a session. Undefined where the token is unknown, used or too old, which look the
 * same from outside. The page should ask for a click first: programs that look at mails follow links too.
 */
export async function logIn(
  db: Db,
  settings: Wanted,
  { token, visitor, timeZone }: { token: string; visitor: string; timeZone?: string },
): Promise<Session | undefined> {
  await takeFrom(db, 'tokenVisitor', visitor);
  return db.transaction().execute(async (transaction) => {
    const used = await transaction
      .updateTable('loginTokens')
      .set({ usedAt: sql<Date>`now()` })
      .where('hash', '=', hashToken(token))
      .where('usedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .returning('email')
      .executeTakeFirst();
    if (!used) return undefined;
    const reader = await transaction
      .insertInto('users')
      .values({ email: used.email, ...(timeZone !== undefined && { timeZone }) })
      // Written over by itself, because a row that is left alone is not returned.
      .onConflict((conflict) => conflict.column('email').doUpdateSet({ email: used.email }))
      .returning(['id', 'email', 'timeZone'])
      .executeTakeFirstOrThrow();
    const session = newToken();
    const { expiresAt } = await transaction
      .insertInto('sessions')
      .values({ hash: hashToken(session), userId: reader.id, expiresAt: until(settings) })
      .returning('expiresAt')
      .executeTakeFirstOrThrow();
    return { token: session, reader, expiresAt };
  });
}

const until = ({ sessionDays }: Wanted) => sql<Date>`now() + ${sessionDays}::int * interval '1 day'`;

/** Whose session it is, or undefined. A visit prolongs a session, written down once an hour at most. */
export async function readSession(db: Db, settings: Wanted, token: string): Promise<Reader | undefined> {
  const hash = hashToken(token);
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.userId')
    .select([
      'users.id',
      'users.email',
      'users.timeZone',
      sql<boolean>`seen_at < now() - interval '1 hour'`.as('isOld'),
    ])
    .where('sessions.hash', '=', hash)
    .where('sessions.expiresAt', '>', sql<Date>`now()`)
    .executeTakeFirst();
  if (!row) return undefined;
  const { isOld, ...reader } = row;
  if (isOld) {
    await db
      .updateTable('sessions')
      .set({ seenAt: sql<Date>`now()`, expiresAt: until(settings) })
      .where('hash', '=', hash)
      .execute();
  }
  return reader;
}

export async function logOut(db: Db, token: string): Promise<void> {
  await db.deleteFrom('sessions').where('hash', '=', hashToken(token)).execute();
}

/** Ends every session of a reader, on all devices. */
export async function logOutEverywhere(db: Db, userId: string): Promise<void> {
  await db.deleteFrom('sessions').where('userId', '=', userId).execute();
}

/** Tokens and sessions that nobody can use any more. */
export async function forgetExpired(db: Db): Promise<void> {
  await db.deleteFrom('loginTokens').where('expiresAt', '<', sql<Date>`now() - interval '1 day'`).execute();
  await db.deleteFrom('sessions').where('expiresAt', '<', sql<Date>`now()`).execute();
}
