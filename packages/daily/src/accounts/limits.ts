import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';

export interface Limit {
  /** At once. */
  readonly burst: number;
  /** Seconds until one more is allowed. */
  readonly every: number;
}

/** Of every form that writes or mails. Reading has none here: a cache or a proxy does that better than a database. */
export const limits = {
  /** Sign-in mails to one address, and from one visitor. */
  loginAddress: { burst: 3, every: 300 },
  loginVisitor: { burst: 10, every: 60 },
  /** Tokens that one visitor may try. */
  tokenVisitor: { burst: 20, every: 30 },
  subscribeAddress: { burst: 3, every: 600 },
  subscribeVisitor: { burst: 10, every: 60 },
  vote: { burst: 60, every: 2 },
  write: { burst: 60, every: 2 },
  submit: { burst: 5, every: 120 },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof limits;

/** Too many of something. `retryAfter` is in seconds, for the header of that name. */
export class RateLimitError extends Error {
  override readonly name = 'RateLimitError';
  readonly retryAfter: number;

  constructor(retryAfter: number) {
    super(`too many at once: again in ${retryAfter} s`);
    this.retryAfter = retryAfter;
  }
}

/**
 * Counts one against a limit, for all processes together. The bucket is one number: the time at which it will be full
 * again (the generic cell rate algorithm), so that a statement both asks and takes. Throws a `RateLimitError`.
 */
export async function takeFrom(db: Db, name: LimitName, who: string): Promise<void> {
  const { burst, every } = limits[name];
  const step = sql`${every}::float8 * interval '1 second'`;
  const key = `${name}:${who}`;
  const { rows } = await sql`
    insert into rate_limits as bucket (key, full_at) values (${key}, now() + ${step})
    on conflict (key) do update set full_at = greatest(bucket.full_at, now()) + ${step}
      where greatest(bucket.full_at, now()) + ${step} <= now() + ${burst}::int * ${step}
    returning full_at`.execute(db);
  if (rows.length > 0) return;
  const wait = await sql<{ seconds: number }>`
    select ceil(extract(epoch from full_at - ${burst - 1}::int * ${step} - now()))::int as seconds
      from rate_limits where key = ${key}`.execute(db);
  throw new RateLimitError(Math.max(1, wait.rows[0]?.seconds ?? 1));
}

/** Buckets that are full say nothing any more. */
export async function forgetFullBuckets(db: Db): Promise<void> {
  await sql`delete from rate_limits where full_at < now()`.execute(db);
}
