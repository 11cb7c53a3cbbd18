/**
 * A digest while everything dies: worker processes and the mail server are killed (SIGKILL) at random moments and
 * started again, and what the mail server has accepted is counted afterwards.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { seedEditions } from '@working-papers/daily/seed';
import { editions } from '@working-papers/edition';
import { sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { random } from '../corpus.ts';

export interface Fire {
  /** Of an empty database on a PostgreSQL server. */
  readonly url: string;
  readonly subscribers: number;
  readonly workers: number;
  /** For which is killed, from the first accepted letter on. */
  readonly seconds: number;
  /** Between two kills, on average, s. */
  readonly every: number;
  /** Of whom dies when, and of how long it stays dead. What the victim is doing then is up to the machine. */
  readonly seed: number;
  /** WP_MAIL_LEASE, s. */
  readonly lease: number;
  /** Longest that the mail server takes for an answer, ms. */
  readonly latency: number;
  /** After the fire, until the last letter, s. */
  readonly patience: number;
  readonly onProgress?: (line: string) => void;
}

export interface Toll {
  readonly subscribers: number;
  readonly kills: { readonly workers: number; readonly mailServer: number };
  /** Letters that the mail server accepted. */
  readonly accepted: number;
  /** Different Message-IDs among them. */
  readonly messageIds: number;
  /** Different recipients among them. */
  readonly recipients: number;
  /** Letters that were accepted again under a Message-ID that had been accepted: `accepted - messageIds`. */
  readonly repeated: number;
  /** Most copies of one letter. */
  readonly mostCopies: number;
  /** Letters in the ambiguous moment that these kills can have cut off, at most: as many as there are connections. */
  readonly mostAmbiguous: number;
  /** Letters that were given up. */
  readonly dropped: number;
  /** From the first accepted letter to the last. */
  readonly seconds: number;
  /** Exit codes of the workers when they were told to stop at the end. */
  readonly exits: readonly (number | null)[];
}

const connections = 3;
const source = ['--conditions=source'];
const programs = {
  worker: [join(import.meta.dirname, '..', '..', '..', 'cli', 'src', 'main.ts'), 'worker'],
  mailServer: [join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'mail-server-process.ts')],
};

/** A program that is started again whenever it has been killed. */
function victim(start: () => ChildProcess) {
  let running = start();
  return {
    get process() {
      return running;
    },
    async killFor(milliseconds: number) {
      if (running.exitCode === null && running.signalCode === null) {
        const gone = once(running, 'exit');
        running.kill('SIGKILL');
        await gone;
      }
      await sleep(milliseconds);
      running = start();
    },
    async stop(): Promise<number | null> {
      if (running.exitCode !== null || running.signalCode !== null) return running.exitCode;
      const gone = once(running, 'exit');
      running.kill('SIGTERM');
      const [code] = await gone;
      return code as number | null;
    },
  };
}

/** Resolves when every letter has left and the workers have ended. Throws where they do not within the patience. */
export async function underFire(fire: Fire): Promise<Toll> {
  const { subscribers, workers: count, seconds, every, lease, latency, patience, onProgress } = fire;
  const folder = mkdtempSync(join(tmpdir(), 'wp-fire-'));
  const file = join(folder, 'accepted');
  const database = await openDatabase({ url: fire.url, pool: 3 });
  const victims: ReturnType<typeof victim>[] = [];
  try {
    await prepare(database, subscribers);
    const port = await firstPort(file);
    const environment = {
      ...process.env,
      DATABASE_URL: fire.url,
      WP_HOME: folder,
      WP_SMTP_URL: `smtp://127.0.0.1:${port}`,
      WP_SMTP_CONNECTIONS: String(connections),
      WP_MAIL_LEASE: String(lease),
      WP_EMBEDDINGS: 'off',
      // Nobody answers there: the jobs that ask sources run into it and harm nothing.
      WP_HF_URL: 'http://127.0.0.1:1',
      WP_ARXIV_URL: 'http://127.0.0.1:1',
      WP_SOURCE_RETRIES: '0',
    };
    const start = (program: readonly string[]) =>
      spawn(process.execPath, [...source, ...program], { env: environment, stdio: 'ignore' });
    const mailServer = victim(() => start([...programs.mailServer, String(port), file, String(latency)]));
    const workers = Array.from({ length: count }, () => victim(() => start(programs.worker)));
    victims.push(mailServer, ...workers);
    const { plan, stop } = await planner(database);
    await plan();

    const accepted = () => readAccepted(file);
    await until(patience, 'the first letter', () => accepted().length > 0);
    const began = performance.now();
    const kills = { workers: 0, mailServer: 0 };
    const next = random(fire.seed);
    const revivals: Promise<void>[] = [];
    const dead = new Set<unknown>();
    while (performance.now() - began < 1_000 * seconds) {
      await sleep(-1_000 * every * Math.log(1 - next()));
      // The minute's clock would leave most of the fire without letters after a planner has died.
      await plan();
      const target = victims[Math.floor(next() * victims.length)]!;
      const rest = 2_000 * next();
      if (dead.has(target)) continue;
      kills[target === mailServer ? 'mailServer' : 'workers']++;
      dead.add(target);
      revivals.push(target.killFor(rest).then(() => void dead.delete(target)));
      onProgress?.(
        `${accepted().length} accepted, killed ${kills.workers} workers, ${kills.mailServer} mail servers`,
      );
    }
    await Promise.all(revivals);
    await stop();
    await until(patience, 'the last letter', async () => (await open(database.db)) === 0);
    const ended = performance.now();
    const exits = await Promise.all(workers.map((worker) => worker.stop()));

    const letters = accepted();
    const copies = Map.groupBy(letters, ({ messageId }) => messageId);
    return {
      subscribers,
      kills,
      accepted: letters.length,
      messageIds: copies.size,
      recipients: new Set(letters.map(({ to }) => to)).size,
      repeated: letters.length - copies.size,
      mostCopies: Math.max(...[...copies.values()].map((list) => list.length)),
      dropped: await countDropped(database.db),
      mostAmbiguous: connections * (kills.workers + count * kills.mailServer),
      seconds: Math.round((ended - began) / 100) / 10,
      exits,
    };
  } finally {
    for (const { process } of victims) process.kill('SIGKILL');
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function prepare({ db }: Database, subscribers: number): Promise<void> {
  await seedEditions(db, editions);
  const { id: userId } = await db
    .insertInto('users')
    .values({ email: 'voter@example.org' })
    .returning('id')
    .executeTakeFirstOrThrow();
  // Something has to trend, or there is nothing to tell.
  await sql`insert into votes (user_id, paper_id) select ${userId}::uuid, id from papers`.execute(db);
  await sql`insert into subscriptions (email, frequency, time_zone, state, next_due_at)
            select 'reader' || number || '@example.org', 'daily', 'UTC', 'active', now()
              from generate_series(1, ${subscribers}::int) as number`.execute(db);
}

/** One that is free now; the mail server is started again under it. */
async function firstPort(file: string): Promise<number> {
  const server = spawn(process.execPath, [...source, ...programs.mailServer, '0', file, '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(server, 'exit');
  const [chunk] = (await once(server.stdout, 'data')) as [Buffer];
  server.kill('SIGKILL');
  await gone;
  return Number(String(chunk).trim());
}

/** Has digests planned when it is told to, and not by the minute. The workers make the queue. */
async function planner(database: Database) {
  const boss = new PgBoss({ db: database.jobs, schema: 'jobs', supervise: false, schedule: false });
  boss.on('error', () => {});
  await boss.start();
  await until(60, 'a worker', async () => (await boss.getQueue('digests')) !== null);
  return {
    plan: () => boss.send('digests'),
    stop: () => boss.stop({ graceful: false, close: false }),
  };
}

/** Deliveries that are still to be planned or to leave. */
async function open(db: Database['db']): Promise<number> {
  const { rows } = await sql<{ open: number }>`
    select (select count(*)::int from deliveries where state in ('waiting', 'sending'))
         + (select count(*)::int from subscriptions where next_due_at <= now()) as open`.execute(db);
  return rows[0]!.open;
}

async function countDropped(db: Database['db']): Promise<number> {
  const rows = await db.selectFrom('deliveries').select('id').where('state', '<>', 'sent').execute();
  return rows.length;
}

function readAccepted(file: string): readonly { messageId: string; to: string }[] {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => ({ messageId: line.split(' ')[0]!, to: line.split(' ')[1]! }));
}

async function until(seconds: number, what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 1_000 * seconds; !(await holds()); await sleep(200)) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s for ${what} in vain`);
  }
}
