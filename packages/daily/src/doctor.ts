import { mkdir, statfs } from 'node:fs/promises';
import { sql } from 'kysely';
import type { Daily } from './daily.ts';
import type { Db } from './database/connect.ts';

export interface Finding {
  readonly name: string;
  /** `fault`: something does not work. `note`: something works less well than it could. */
  readonly state: 'ok' | 'note' | 'fault';
  /** One line. */
  readonly message: string;
}

const ok = (message: string) => ({ state: 'ok', message }) as const;
const note = (message: string) => ({ state: 'note', message }) as const;
const fault = (message: string) => ({ state: 'fault', message }) as const;

type Check = (daily: Daily) => Promise<Omit<Finding, 'name'>>;

/** What `wp doctor` looks at, each by itself: a check that fails is a finding, and the others go on. */
const checks: Readonly<Record<string, Check>> = {
  database: async ({ database: { db, kind } }) => {
    const { rows } = await sql<{ version: string; papers: number; readers: number; size: string }>`
      select current_setting('server_version') as version,
             (select count(*)::int from papers) as papers,
             (select count(*)::int from users) as readers,
             pg_size_pretty(pg_database_size(current_database())) as size`.execute(db);
    const { version, papers, readers, size } = rows[0]!;
    const name = kind === 'pglite' ? 'embedded (PGlite)' : 'PostgreSQL';
    return ok(`${name} ${version.split(' ')[0]}, ${size}, ${papers} papers, ${readers} readers`);
  },
  'search by meaning': async (daily) => {
    const state = await daily.embedder();
    if (!state.embedder) return note(state.why);
    const { rows } = await sql<{ missing: number }>`
      select count(*)::int as missing from papers
       where not exists (select from paper_embeddings made
                          where made.paper_id = papers.id and made.model = ${state.embedder.model})`.execute(
      daily.database.db,
    );
    const missing = rows[0]!.missing;
    return ok(`${state.embedder.model}${missing > 0 ? `, ${missing} papers still to embed` : ''}`);
  },
  mail: async ({ mailer, settings }) => {
    if (mailer.kind === 'folder') {
      return note(`no mail server (WP_SMTP_URL): mails are written into ${settings.mailFolder}`);
    }
    await mailer.verify();
    return ok('the mail server answers and knows us');
  },
  deliveries: async ({ database: { db } }) => {
    const { rows } = await sql<{ waiting: number; late: number; dropped: number; error: string | null }>`
      select count(*) filter (where state in ('waiting', 'sending'))::int as waiting,
             count(*) filter (where state in ('waiting', 'sending') and due_at < now() - interval '1 hour')::int as late,
             count(*) filter (where state = 'dropped' and error <> 'unsubscribed'
                                and due_at > now() - interval '7 days')::int as dropped,
             (array_agg(error order by due_at desc) filter (where state in ('waiting', 'sending')
                                                              and error is not null))[1] as error
        from deliveries`.execute(db);
    const { waiting, late, dropped, error } = rows[0]!;
    const facts = `${waiting} mails wait, ${dropped} were given up within a week`;
    if (late > 0)
      return fault(
        `${late} mails are more than an hour late${error ? `: ${error}` : '; is a worker running?'}`,
      );
    return dropped > 0 ? note(facts) : ok(facts);
  },
  'Hugging Face': async ({ database: { db } }) => lastIngest(db, 'hf'),
  arXiv: async ({ database: { db } }) => lastIngest(db, 'arxiv'),
  disk: async ({ settings }) => {
    await mkdir(settings.home, { recursive: true });
    const { bavail, bsize } = await statfs(settings.home);
    const gigabytes = (bavail * bsize) / 1e9;
    const message = `${gigabytes.toFixed(1)} GB free in ${settings.home}`;
    return gigabytes < 1 ? fault(message) : ok(message);
  },
  clock: async ({ database: { db } }) => {
    const before = Date.now();
    const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
    const seconds = Math.abs(rows[0]!.now.getTime() - (before + Date.now()) / 2) / 1000;
    return seconds > 5
      ? fault(`${seconds.toFixed(0)} s away from the database's`)
      : ok("agrees with the database's");
  },
};

async function lastIngest(db: Db, source: string): Promise<Omit<Finding, 'name'>> {
  const last = await db
    .selectFrom('ingestLog')
    .selectAll()
    .where('source', '=', source)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!last) return note('never asked');
  const when = `${last.at.toISOString().slice(0, 16).replace('T', ' ')} UTC, day ${last.date ?? '-'}`;
  if (last.outcome === 'failed') return fault(`${when}: ${last.message}`);
  if (last.outcome === 'partial')
    return note(`${when}: ${last.rejected} records could not be read: ${last.message}`);
  return ok(`${when}: ${last.outcome}, ${last.records} records`);
}

export async function examine(daily: Daily): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      findings.push({ name, ...(await check(daily)) });
    } catch (error) {
      const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
      findings.push({ name, ...fault(line) });
    }
  }
  return findings;
}
