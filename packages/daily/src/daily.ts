import { editions } from '@working-papers/edition';
import { type Database, openDatabase } from './database/connect.ts';
import { type Mailer, openMailer } from './mail/mailer.ts';
import { type EmbedderState, loadEmbedder } from './search/embedder.ts';
import { seedEditions } from './seed.ts';
import type { Settings } from './settings.ts';
import { openSources, type Sources } from './sources/sources.ts';

/** Everything that the page, a worker or a command works with. */
export interface Daily {
  readonly settings: Settings;
  readonly database: Database;
  readonly sources: Sources;
  readonly mailer: Mailer;
  /** Loaded when it is first asked for: a model is large, and most commands need none. */
  embedder(): Promise<EmbedderState>;
  close(): Promise<void>;
}

/** Opens the database, brings it up to date and puts our own editions in. Throws a `UserError` where it cannot. */
export async function openDaily(settings: Settings): Promise<Daily> {
  const { databaseUrl: url, databaseFolder, databasePool: pool } = settings;
  const database = await openDatabase(url === undefined ? { folder: databaseFolder } : { url, pool });
  try {
    await seedEditions(database.db, editions);
  } catch (error) {
    await database.close();
    throw error;
  }
  const mailer = openMailer(settings);
  let embedder: Promise<EmbedderState> | undefined;
  return {
    settings,
    database,
    mailer,
    sources: openSources(database.db, settings),
    embedder() {
      const noVectors = { why: 'search by meaning needs the extension pgvector in PostgreSQL' };
      embedder ??= database.hasVectors ? loadEmbedder(settings) : Promise.resolve(noVectors);
      return embedder;
    },
    async close() {
      mailer.close();
      await database.close();
    },
  };
}
