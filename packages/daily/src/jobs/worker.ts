import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import type { Daily } from '../daily.ts';
import type { Log } from '../log.ts';
import { deliver } from '../mail/delivery.ts';
import { jobRuns } from '../metrics.ts';
import { type Job, type JobName, jobNames, jobs } from './jobs.ts';

export interface Worker {
  /** Has a job run now, by this worker or another one; a run that waits already is not doubled. */
  run(name: JobName): Promise<void>;
  /** Lets running jobs end, gives back what has not begun. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  readonly log: Log;
  /** Seconds between looks for jobs and for mails. */
  readonly interval?: number;
  /** Whether jobs begin by themselves at their times. */
  readonly schedule?: boolean;
}

/** Longest that a job that runs is waited for, ms. */
const patience = 30_000;

/**
 * Runs jobs and sends mails until it is stopped. Any number of workers share a PostgreSQL server: pg-boss gives every
 * run of a job to one of them, mails are claimed one by one. An embedded database has one process and so one worker.
 */
export async function startWorker(daily: Daily, options: WorkerOptions): Promise<Worker> {
  const { log, interval = 2, schedule = true } = options;
  const { database } = daily;
  const boss = new PgBoss({
    db: database.jobs,
    schema: 'jobs',
    backend: database.kind,
    schedule,
    superviseIntervalSeconds: 30,
    monitorIntervalSeconds: 30,
  });
  boss.on('error', (error) => log.error('the job queue has a fault', { reason: error.message }));
  await boss.start();

  const stopping = new AbortController();
  for (const name of jobNames) {
    const job: Job = jobs[name];
    const queue = {
      expireInSeconds: job.expires,
      // Of a worker that was killed: another one has its job after two minutes and not when it expires.
      heartbeatSeconds: 60,
      retryLimit: 2,
      retryDelay: 30,
      deleteAfterSeconds: 86_400,
    };
    // One waits at most, so that what is late is not done twice, and one runs, or as many as may run together.
    await boss.createQueue(name, { policy: job.together ? 'short' : 'stately', ...queue });
    // One that was made by an earlier version keeps its options otherwise.
    await boss.updateQueue(name, queue);
    await boss.schedule(name, job.cron, null, { tz: 'UTC' });
    await boss.work(name, { pollingIntervalSeconds: Math.max(0.5, interval) }, async () => {
      const began = performance.now();
      const end = (outcome: string) =>
        jobRuns.observe({ job: name, outcome }, (performance.now() - began) / 1_000);
      try {
        await job.run(daily, log, stopping.signal);
        end('done');
      } catch (error) {
        end(stopping.signal.aborted ? 'stopped' : 'failed');
        if (stopping.signal.aborted) return;
        log.error(`${name} failed`, { reason: error instanceof Error ? error.message : String(error) });
        throw error;
      }
    });
  }
  const mails = sendMails(daily, log, interval, stopping.signal);
  return {
    async run(name) {
      await boss.send(name);
    },
    async stop() {
      stopping.abort(new Error('the worker stops'));
      await mails;
      await boss.stop({ graceful: true, timeout: patience, close: false });
    },
  };
}

/** Not a job: every worker sends, and a mail that is due should not wait for a minute to begin. */
async function sendMails(daily: Daily, log: Log, interval: number, signal: AbortSignal): Promise<void> {
  const { database, mailer, settings } = daily;
  while (!signal.aborted) {
    try {
      const pace = { concurrency: settings.smtpConnections, lease: 1_000 * settings.mailLease };
      const counts = await deliver(database.db, mailer, settings, { ...pace, signal });
      if (counts.sent + counts.dropped + counts.failed > 0) log.info('mails were sent', { ...counts });
    } catch (error) {
      log.error('mails cannot be sent', { reason: error instanceof Error ? error.message : String(error) });
    }
    await sleep(1_000 * interval, undefined, { signal }).catch(() => {});
  }
}
