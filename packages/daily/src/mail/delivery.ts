/**
 * How a mail that is due reaches the mail server once.
 *
 *     waiting -> sending -> sent
 *        ^          |-----> dropped   refused for good, unsubscribed in between, nothing to tell, tried too often
 *        |----------|                 refused for now, no server
 *
 * A worker claims a few deliveries under a lease, marks each one (`began_at`) before it speaks to the mail server, and
 * records the server's answer. While it speaks it renews the lease, however slow the server is. A worker that is killed
 * leaves leases that end, and another one takes over. What it had claimed and not begun is simply sent. What it had begun is the ambiguous moment: the server may have accepted the
 * letter while the record of it was lost, and SMTP has no way to ask. Such a letter is sent again, because a missing
 * digest cannot be mended and a second copy can: it has the same Message-ID, made of the delivery's identifier, by
 * which mail servers and readers' programs recognise what they have. At most `concurrency` letters of one worker are in
 * that moment at a time.
 */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { Settings } from '../settings.ts';
import { unsubscribeAddress } from './addresses.ts';
import type { DigestContent } from './digest-content.ts';
import { type AlertContent, alertMail, digestMail } from './letters.ts';
import { type Letter, MailError, type Mailer } from './mailer.ts';
import { signingSecret } from './subscriptions.ts';

type Site = Pick<Settings, 'baseUrl' | 'siteName'>;

export interface DeliveryOptions {
  /** Letters at once. */
  readonly concurrency?: number;
  /** Until another worker may take a claim over that is not renewed, ms: much longer than a worker may stand still. */
  readonly lease?: number;
  readonly signal?: AbortSignal;
}

export interface Delivered {
  readonly sent: number;
  readonly dropped: number;
  /** To be tried again. */
  readonly failed: number;
}

/** Refused for now this often, a letter is given up: with doubling pauses, after about two days. */
const mostAttempts = 12;
const longestPause = 6 * 3_600; // s
/** Without a server, nothing is counted against a letter. */
const serverPause = 15; // s

/** Sends what is due until nothing is, or until the signal: then what was begun is finished and the rest released. */
export async function deliver(
  db: Db,
  mailer: Mailer,
  site: Site,
  { concurrency = 3, lease = 60_000, signal }: DeliveryOptions = {},
): Promise<Delivered> {
  const secret = await signingSecret(db);
  const counts = { sent: 0, dropped: 0, failed: 0 };
  const claim = randomUUID();
  while (!signal?.aborted) {
    const claimed = await claimSome(db, claim, concurrency * 4, lease);
    if (claimed.length === 0) break;
    const queue = [...claimed];
    let isServerGone = false;
    let isAnyOurs = false;
    const work = async () => {
      for (let next = queue.shift(); next && !signal?.aborted && !isServerGone; next = queue.shift()) {
        const outcome = await deliverOne(db, mailer, site, secret, next, claim, lease);
        isAnyOurs ||= outcome !== 'taken';
        if (outcome !== 'taken') counts[outcome === 'no server' ? 'failed' : outcome]++;
        isServerGone ||= outcome === 'no server';
      }
    };
    // All of them, even where one fails: whoever stops us must not cut a letter off from its record.
    const ends = await Promise.allSettled(Array.from({ length: concurrency }, work));
    const fault = ends.find((end) => end.status === 'rejected');
    if (fault) throw fault.reason;
    // Slower than its own leases: whoever is faster should go on.
    if (!isAnyOurs) break;
    if (isServerGone || signal?.aborted) {
      await release(db, claim, isServerGone ? serverPause : 0);
      break;
    }
  }
  return counts;
}

interface Claimed {
  readonly id: string;
  readonly email: string;
  readonly attempts: number;
  readonly subscriptionId: string | null;
  readonly savedSearchId: string | null;
  readonly content: unknown;
  readonly isWanted: boolean;
}

async function claimSome(db: Db, claim: string, count: number, lease: number): Promise<readonly Claimed[]> {
  const { rows } = await sql<Claimed>`
    with free as (
      select id from deliveries
       where (state = 'waiting' and due_at <= now()) or (state = 'sending' and lease_until < now())
       order by due_at limit ${count} for update skip locked
    ), claimed as (
      update deliveries set state = 'sending', claim = ${claim}::uuid, began_at = null,
             lease_until = now() + ${lease} * interval '1 millisecond'
       where id in (select id from free) returning *
    )
    select claimed.id, claimed.email, claimed.attempts, claimed.subscription_id, claimed.saved_search_id,
           coalesce(claimed.content, digests.content) as content,
           coalesce(subscriptions.state = 'active', saved_searches.alert, false) as is_wanted
      from claimed
      left join digests on digests.id = claimed.digest_id
      left join subscriptions on subscriptions.id = claimed.subscription_id
      left join saved_searches on saved_searches.id = claimed.saved_search_id`.execute(db);
  return rows;
}

type Outcome = 'sent' | 'dropped' | 'failed' | 'no server' | 'taken';

async function deliverOne(
  db: Db,
  mailer: Mailer,
  site: Site,
  secret: string,
  delivery: Claimed,
  claim: string,
  lease: number,
): Promise<Outcome> {
  const { id, attempts } = delivery;
  const letter = delivery.isWanted ? toLetter(site, secret, delivery) : undefined;
  if (!letter) {
    await settle(db, id, claim, 'dropped', delivery.isWanted ? 'nothing to tell' : 'unsubscribed');
    return 'dropped';
  }
  // Whoever has slept through the lease finds the claim gone and leaves the letter to whoever has it.
  const begun = await db
    .updateTable('deliveries')
    .set({
      beganAt: sql<Date>`now()`,
      leaseUntil: sql<Date>`now() + ${lease} * interval '1 millisecond'`,
      attempts: attempts + 1,
    })
    .where('id', '=', id)
    .where('claim', '=', claim)
    .where('state', '=', 'sending')
    .where('leaseUntil', '>', sql<Date>`now()`)
    .executeTakeFirst();
  if (begun.numUpdatedRows === 0n) return 'taken';
  // A renewal that fails is followed by the next one.
  const renewal = setInterval(() => renew(db, id, claim, lease).catch(() => {}), lease / 3);
  try {
    await mailer.send(letter);
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
    if (error.reason === 'server') {
      await retryLater(db, id, claim, serverPause, attempts, error.message);
      return 'no server';
    }
    if (error.reason === 'recipient' || attempts + 1 >= mostAttempts) {
      await settle(db, id, claim, 'dropped', error.message);
      return 'dropped';
    }
    await retryLater(db, id, claim, Math.min(60 * 2 ** attempts, longestPause), attempts + 1, error.message);
    return 'failed';
  } finally {
    clearInterval(renewal);
  }
  await recordSent(db, id);
  return 'sent';
}

async function renew(db: Db, id: string, claim: string, lease: number): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({ leaseUntil: sql<Date>`now() + ${lease} * interval '1 millisecond'` })
    .where('id', '=', id)
    .where('claim', '=', claim)
    .where('state', '=', 'sending')
    .execute();
}

/** The one record that must not be lost: a database that restarts is waited for, about a minute. */
async function recordSent(db: Db, id: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await db
        .updateTable('deliveries')
        .set({ state: 'sent', sentAt: sql<Date>`now()`, leaseUntil: null, claim: null, error: null })
        .where('id', '=', id)
        .execute();
      return;
    } catch (error) {
      if (attempt >= 15) throw error;
      await sleep(Math.min(200 * 2 ** attempt, 5_000));
    }
  }
}

function toLetter(site: Site, secret: string, delivery: Claimed): Letter | undefined {
  const { id, email, subscriptionId, savedSearchId, content } = delivery;
  const messageId = `<${id}@${new URL(site.baseUrl).hostname}>`;
  if (subscriptionId !== null) {
    const digest = content as DigestContent;
    if (digest.papers.length === 0) return undefined;
    const unsubscribe = unsubscribeAddress(site.baseUrl, secret, {
      kind: 'subscription',
      id: subscriptionId,
    });
    return digestMail(site, email, digest, { messageId, unsubscribe });
  }
  const unsubscribe = unsubscribeAddress(site.baseUrl, secret, { kind: 'alert', id: savedSearchId! });
  return alertMail(site, email, content as AlertContent, { messageId, unsubscribe });
}

async function settle(db: Db, id: string, claim: string, state: 'dropped', error: string): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({ state, error, leaseUntil: null, claim: null })
    .where('id', '=', id)
    .where('claim', '=', claim)
    .execute();
}

async function retryLater(
  db: Db,
  id: string,
  claim: string,
  seconds: number,
  attempts: number,
  error: string,
): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({
      state: 'waiting',
      dueAt: sql<Date>`now() + ${seconds} * interval '1 second'`,
      ...{ attempts, error, leaseUntil: null, claim: null },
    })
    .where('id', '=', id)
    .where('claim', '=', claim)
    .execute();
}

/** Gives back what was claimed and not begun, or not finished. */
async function release(db: Db, claim: string, seconds: number): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({
      state: 'waiting',
      dueAt: sql<Date>`greatest(due_at, now() + ${seconds} * interval '1 second')`,
      leaseUntil: null,
      claim: null,
    })
    .where('claim', '=', claim)
    .where('state', '=', 'sending')
    .execute();
}
