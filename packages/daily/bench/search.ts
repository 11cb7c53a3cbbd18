/**
 * How well search finds: 60 judged queries over the edition and 2,000 other records, by words, by meaning and by both.
 *
 *   npm run bench:search -w packages/daily [-- --out FILE] [--misses]
 *
 * Meaning is measured where the model is there, as the page would find it (WP_HOME, WP_EMBEDDINGS); else results say
 * why it was not.
 */

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDatabase } from '@working-papers/daily/database/connect';
import { storePapers } from '@working-papers/daily/papers/records';
import { type Embedder, loadEmbedder } from '@working-papers/daily/search/embedder';
import { embedPapers, vectorText } from '@working-papers/daily/search/embeddings';
import { search } from '@working-papers/daily/search/search';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings } from '@working-papers/daily/settings';
import { editions } from '@working-papers/edition';
import { writeFileWhole } from '@working-papers/paper/files';
import { runManifest } from '@working-papers/paper/manifest';
import { writeTable } from '@working-papers/paper/readme-table';
import { sql } from 'kysely';
import { type Measures, meanOf, measure, round } from './search/measures.ts';
import { type JudgedQuery, judgedQueries, kinds } from './search/queries.ts';
import { judgedRecords, recordCount } from './search/records.ts';

const shown = join(import.meta.dirname, 'search', 'results.json');
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: shown },
    misses: { type: 'boolean', default: false },
  },
});

const depth = 10;
const header = ['', 'recall at 10', 'tune half', 'held-out half', 'MRR', 'nDCG at 10'];
type Finder = (text: string) => Promise<readonly string[]>;

const records = judgedRecords();
const queries = judgedQueries(records);
const database = await openDatabase({});
try {
  await seedEditions(database.db, editions);
  await database.db.transaction().execute((transaction) =>
    storePapers(
      transaction,
      records.map(({ record }) => record),
      'hf',
    ),
  );
  await sql`analyze`.execute(database.db);

  const state = await loadEmbedder(readSettings(process.env));
  const { embedder } = state;
  const why = embedder ? undefined : state.why.replaceAll(`${process.cwd()}/`, '');
  if (embedder) await embedPapers(database, embedder);
  const results = {
    ...runManifest({ from: import.meta.url }),
    settings: {
      records: recordCount,
      editionPapers: editions[0].papers.length,
      queries: queries.length,
      depth,
    },
    model: embedder?.model ?? null,
    ...(why !== undefined && { whyNoMeaning: why }),
    lexical: await judge((text) => find(text)),
    meaning: embedder ? await judge((text) => nearest(embedder, text)) : null,
    hybrid: embedder ? await judge((text) => find(text, embedder)) : null,
  };
  await writeFileWhole(values.out, `${JSON.stringify(results, null, 1)}\n`);
  if (values.out === shown)
    await writeTable(join(import.meta.dirname, '..', 'README.md'), 'search', header, rowsOf(results));
  for (const name of ['lexical', 'meaning', 'hybrid'] as const) {
    console.log(name.padEnd(8), results[name] ? JSON.stringify(results[name].all) : `not measured: ${why}`);
  }
  if (values.misses) {
    for (const { text, half, recallAt10, missed } of (results.hybrid ?? results.lexical).queries) {
      // Whoever improves search looks at one half alone.
      if (half === 'tune' && missed.length > 0) console.log(`${recallAt10} ${text}: ${missed.join(' ')}`);
    }
  }
} finally {
  await database.close();
}

type Ways = Readonly<Record<'lexical' | 'meaning' | 'hybrid', Awaited<ReturnType<typeof judge>> | null>>;

function rowsOf({ lexical, meaning, hybrid }: Ways) {
  return Object.entries({ lexical, meaning, hybrid }).map(([name, way]) => {
    const figures = way && [
      ...[way.all.recallAt10, way.tune.recallAt10, way.heldOut.recallAt10],
      ...[way.all.reciprocalRank, way.all.ndcgAt10],
    ];
    return [name, ...(figures?.map((figure) => figure.toFixed(3)) ?? Array(5).fill('not measured'))];
  });
}

async function find(text: string, embedder?: Embedder): Promise<readonly string[]> {
  return (await search(database, { text }, { limit: depth, embedder })).items.map(({ id }) => id);
}

async function nearest(embedder: Embedder, text: string): Promise<readonly string[]> {
  const [vector] = await embedder.embed([text]);
  const { rows } = await sql<{ id: string }>`
    select paper_id as id from paper_embeddings
     order by embedding <=> ${vectorText(vector!)}::vector limit ${depth}`.execute(database.db);
  return rows.map(({ id }) => id);
}

async function judge(finder: Finder) {
  const judged: (JudgedQuery & { missed: readonly string[] } & Measures)[] = [];
  for (const query of queries) {
    const found = await finder(query.text);
    const missed = query.answers.filter((id) => !found.includes(id));
    judged.push({ ...query, ...measure(found, query.answers), missed });
  }
  const of = (test: (query: JudgedQuery) => boolean) => meanOf(judged.filter(test));
  return {
    all: meanOf(judged),
    tune: of(({ half }) => half === 'tune'),
    heldOut: of(({ half }) => half === 'held out'),
    kinds: Object.fromEntries(kinds.map((name) => [name, of(({ kind }) => kind === name)])),
    queries: judged.map(({ text, kind, half, answers, recallAt10, reciprocalRank, ndcgAt10, missed }) => ({
      ...{ text, kind, half, answers: answers.length },
      ...{ recallAt10: round(recallAt10), reciprocalRank: round(reciprocalRank), ndcgAt10: round(ndcgAt10) },
      missed,
    })),
  };
}
