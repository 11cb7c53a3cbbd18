import type { Daily } from '@working-papers/daily/daily';
import type { Settings } from '@working-papers/daily/settings';
import { defineCommand, type Output, UserError } from '@working-papers/paper';

// Loaded when called: a database comes along with them.
const dailyModule = () => import('@working-papers/daily/daily');
const settingsModule = () => import('@working-papers/daily/settings');

async function settings(): Promise<Settings> {
  const { readSettings } = await settingsModule();
  return readSettings(process.env);
}

/** Opens what the environment's settings name, and closes it whatever happens. */
async function withDaily<T>(work: (daily: Daily) => Promise<T>): Promise<T> {
  const { openDaily } = await dailyModule();
  const daily = await openDaily(await settings());
  try {
    return await work(daily);
  } finally {
    await daily.close();
  }
}

export const ingest = defineCommand({
  summary: 'take the papers of a day, or of many, from a source',
  options: {
    date: { type: 'string', description: 'the day, as 2026-09-10 (default today, UTC)' },
    from: {
      type: 'string',
      description: 'the first day of a back-fill; started again, it goes on where it was',
    },
    to: { type: 'string', description: 'the last day of a back-fill (default today)' },
    source: { type: 'string', choices: ['hf', 'arxiv'], default: 'hf', description: 'where from' },
    again: { type: 'boolean', description: 'ask again for days that were done long ago' },
    dryRun: { type: 'boolean', description: 'ask and check, and store nothing' },
  },
  examples: [
    'wp ingest --date 2026-09-10',
    'wp ingest --source arxiv --from 2026-09-01 --to 2026-09-10 --dry-run',
  ],
  async execute({ options, output, signal }) {
    const { date, from, to, source, again, dryRun } = options;
    if (date !== undefined && (from !== undefined || to !== undefined)) {
      throw new UserError('--date is one day, --from and --to are many: expected one of the two');
    }
    if (from === undefined && to !== undefined) throw new UserError('--to needs --from: the first day');
    const [{ ingest: run }, { daysBetween, isIsoDate, utcDate }] = await Promise.all([
      import('@working-papers/daily/sources/ingest'),
      import('@working-papers/daily/dates'),
    ]);
    for (const [flag, day] of Object.entries({ date, from, to }))
      if (day !== undefined && !isIsoDate(day))
        throw new UserError(`--${flag} must be a day such as 2026-09-10, not '${day}'`);
    const today = utcDate(new Date());
    const range = { from: date ?? from ?? today, to: date ?? to ?? today };
    await withDaily(async ({ database, sources }) => {
      using bar = output.progress(source, Math.max(1, daysBetween(range.from, range.to).length));
      let done = 0;
      const onDay = (day: { date: string }) => bar.update(++done, day.date);
      const days = await run(database.db, sources, { ...range, source, again, dryRun, signal, onDay });
      bar.end();
      output.table(
        ['day', 'outcome', 'records', 'new', 'changed', 'rejected', 'note'],
        days.map(({ date, outcome, records, stored, changed, rejected, message }) => [
          ...[date, outcome, records, stored, changed, rejected.length],
          message ?? (rejected[0] ? `${rejected[0].at}: ${rejected[0].message}` : ''),
        ]),
      );
      output.result(days);
      const failed = days.filter(({ outcome }) => outcome === 'failed');
      if (failed.length > 0)
        throw new UserError(`${failed.length} of ${days.length} days failed: ${failed[0]?.message}`);
    });
  },
});

export const worker = defineCommand({
  summary: 'run jobs and send mails until told to stop; any number of workers share a PostgreSQL server',
  examples: ['DATABASE_URL=postgres://papers@db/papers wp worker'],
  async execute({ output, signal }) {
    const [{ startWorker }, { createLog }, { serveMetrics }] = await Promise.all([
      import('@working-papers/daily/jobs/worker'),
      import('@working-papers/daily/log'),
      import('@working-papers/daily/metrics'),
    ]);
    await withDaily(async (daily) => {
      const log = createLog({ json: daily.settings.logJson, write: output.print });
      const { mailer, settings } = daily;
      if (mailer.kind === 'folder') log.warn('mails are written as files', { folder: settings.mailFolder });
      const state = await daily.embedder();
      if (!state.embedder) log.info(state.why);
      const metrics = await serveMetrics(settings);
      const running = await startWorker(daily, { log });
      log.info('the worker runs', { database: daily.database.kind, metrics: metrics?.address });
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
        if (signal.aborted) resolve(undefined);
      });
      log.info('the worker stops');
      await running.stop();
      await metrics?.close();
    });
  },
});

export const digest = defineCommand({
  summary: 'show the digest that readers would get now',
  options: {
    preview: { type: 'boolean', default: true, description: 'print it; mails are sent by wp worker alone' },
    frequency: { type: 'string', choices: ['daily', 'weekly'], default: 'daily', description: 'which one' },
    html: { type: 'boolean', description: 'as HTML instead of plain text' },
  },
  examples: ['wp digest --preview', 'wp digest --preview --frequency weekly --html > digest.html'],
  async execute({ options, output }) {
    const { frequency, html, preview } = options;
    if (!preview) throw new UserError('mails are sent by wp worker: expected --preview');
    const [{ digestContent }, { digestMail }, { utcDate }] = await Promise.all([
      import('@working-papers/daily/mail/digest-content'),
      import('@working-papers/daily/mail/letters'),
      import('@working-papers/daily/dates'),
    ]);
    await withDaily(async ({ database, settings }) => {
      const now = new Date();
      const content = await digestContent(database.db, frequency, utcDate(now), now);
      const letter = digestMail(settings, 'reader@example.org', content, {
        messageId: '<preview@localhost>',
        unsubscribe: `${settings.baseUrl}/unsubscribe`,
      });
      if (content.papers.length === 0) output.warn('nothing has trended for 30 days: no mail would be sent');
      output.print(html ? letter.html : `Subject: ${letter.subject}\n\n${letter.text}`);
      output.result({ content, subject: letter.subject, text: letter.text, html: letter.html });
    });
  },
});

export const backup = defineCommand({
  summary: 'write everything that the page keeps into one file',
  positionals: [{ name: 'file', description: 'where to, as papers.jsonl.gz', required: true }],
  examples: ['wp backup papers.jsonl.gz'],
  async execute({ positionals: [file = ''], output, signal }) {
    const { backup: run } = await import('@working-papers/daily/archive/backup');
    await withDaily(async ({ database }) => {
      const counts = await run(database.db, file, { signal });
      printCounts(output, file, counts);
    });
  },
});

export const restore = defineCommand({
  summary: 'put a backup into the database, whole or not at all, from either kind into either kind',
  positionals: [{ name: 'file', description: "what 'wp backup' wrote", required: true }],
  options: { replace: { type: 'boolean', description: 'give up what the database holds' } },
  examples: ['DATABASE_URL=postgres://papers@db/papers wp restore papers.jsonl.gz'],
  async execute({ positionals: [file = ''], options: { replace }, output, signal }) {
    const { restore: run } = await import('@working-papers/daily/archive/restore');
    await withDaily(async ({ database }) => {
      const counts = await run(database.db, file, { replace, signal });
      printCounts(output, file, counts);
    });
  },
});

function printCounts(output: Output, file: string, counts: Readonly<Record<string, number>>): void {
  output.table(
    ['table', 'rows'],
    Object.entries(counts).map(([table, rows]) => [table, rows]),
  );
  output.result({ file, counts });
}

export const doctor = defineCommand({
  summary: 'look whether the page has what it needs: one line each',
  options: {
    settings: { type: 'boolean', description: 'show every setting, its default and what is given' },
  },
  examples: ['wp doctor', 'wp doctor --settings'],
  async execute({ options, output }) {
    const { describeSettings } = await settingsModule();
    if (options.settings) {
      const rows = describeSettings(process.env);
      output.table(
        ['setting', 'given', 'default', 'what it is'],
        rows.map(({ name, given, default: fallback, description }) => [name, given, fallback, description]),
      );
      output.result(rows);
      return;
    }
    const { examine } = await import('@working-papers/daily/doctor');
    await withDaily(async (daily) => {
      const findings = await examine(daily);
      output.table(
        ['', 'what', 'finding'],
        findings.map(({ name, state, message }) => [state, name, message]),
      );
      output.result(findings);
      const faults = findings.filter(({ state }) => state === 'fault');
      if (faults.length > 0)
        throw new UserError(
          `${faults.length} of ${findings.length} checks failed: ${faults.map(({ name }) => name).join(', ')}`,
        );
    });
  },
});
