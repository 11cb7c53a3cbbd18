import { sql } from 'kysely';
import { forgetFullBuckets } from '../accounts/limits.ts';
import { forgetExpired } from '../accounts/sessions.ts';
import type { Daily } from '../daily.ts';
import { addDays, utcDate } from '../dates.ts';
import type { Log } from '../log.ts';
import { planAlerts, planDigests } from '../mail/planning.ts';
import { ingestedDays, ingestedRecords } from '../metrics.ts';
import { recountWords } from '../papers/records.ts';
import { embedPapers } from '../search/embeddings.ts';
import { SourceError } from '../sources/http.ts';
import { completeFromArxiv, ingest } from '../sources/ingest.ts';

export interface Job {
  /** When it runs, as cron has it, UTC. */
  readonly cron: string;
  /** Seconds after which a run counts as dead and another worker may begin. */
  readonly expires: number;
  /** Several may run at once without harm: one that was killed holds up no other. */
  readonly together?: boolean;
  run(daily: Daily, log: Log, signal: AbortSignal): Promise<void>;
}

/** Days before today that are asked for again, because their upvotes still move. */
const lookBack = 3;

export const jobs = {
  ingest: {
    cron: '7 * * * *',
    expires: 3_000,
    async run({ database, sources, settings }, log, signal) {
      const today = utcDate(new Date());
      for (const source of settings.sources as readonly ('hf' | 'arxiv')[]) {
        const range = { source, from: addDays(today, -lookBack), to: today, signal };
        for (const day of await ingest(database.db, sources, range)) {
          const { date, outcome, stored, changed, rejected, message } = day;
          ingestedDays.inc({ source, outcome });
          ingestedRecords.inc({ source, outcome: 'stored' }, stored);
          ingestedRecords.inc({ source, outcome: 'changed' }, changed);
          ingestedRecords.inc({ source, outcome: 'rejected' }, rejected.length);
          const facts = { source, date, outcome, stored, changed, reason: message };
          if (outcome === 'failed') log.warn('a day could not be taken in', facts);
          else if (stored + changed > 0) log.info('a day was taken in', facts);
        }
      }
    },
  },
  complete: {
    cron: '17,47 * * * *',
    expires: 1_500,
    async run({ database, sources }, log, signal) {
      try {
        const { asked, changed, missing } = await completeFromArxiv(database.db, sources, { signal });
        if (asked > 0)
          log.info('papers were completed from arXiv', { asked, changed, missing: missing.length });
      } catch (error) {
        if (!(error instanceof SourceError)) throw error;
        log.warn('arXiv does not answer', { reason: error.message });
      }
    },
  },
  digests: {
    cron: '* * * * *',
    expires: 600,
    together: true,
    async run({ database, settings }, log) {
      const planned = await planDigests(database.db, settings);
      if (planned > 0) log.info('digests are due', { planned });
    },
  },
  alerts: {
    cron: '23 * * * *',
    expires: 1_800,
    together: true,
    async run({ database }, log) {
      const planned = await planAlerts(database);
      if (planned > 0) log.info('alerts are due', { planned });
    },
  },
  embeddings: {
    cron: '*/10 * * * *',
    expires: 3_600,
    async run(daily, log, signal) {
      const { embedder } = await daily.embedder();
      if (!embedder) return;
      const made = await embedPapers(daily.database, embedder, { signal, limit: 2_000 });
      if (made > 0) log.info('papers were embedded', { made, model: embedder.model });
    },
  },
  tidy: {
    cron: '41 3 * * *',
    expires: 1_800,
    async run({ database: { db } }, log) {
      await forgetExpired(db);
      await forgetFullBuckets(db);
      await sql`delete from ingest_log where at < now() - interval '90 days'`.execute(db);
      await db.transaction().execute((transaction) => recountWords(transaction));
      log.info('tidied up');
    },
  },
} as const satisfies Readonly<Record<string, Job>>;

export type JobName = keyof typeof jobs;
export const jobNames = Object.keys(jobs) as readonly JobName[];
