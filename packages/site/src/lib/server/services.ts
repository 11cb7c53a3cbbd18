import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { type EmbedderState, loadEmbedder } from '@working-papers/daily/search/embedder';
import { seedEditions } from '@working-papers/daily/seed';
import { readSettings, type Settings } from '@working-papers/daily/settings';
import { editions } from '@working-papers/edition';

/** What all requests share. */
export interface Services {
  readonly settings: Settings;
  readonly database: Database;
  /** Search by meaning, or why there is none: it loads while the page is being served already. */
  readonly meaning: EmbedderState;
}

/* On the process and not in the module, which Vite loads anew at every change while developing. */
const place = Symbol.for('working-papers.services');
const shared = globalThis as { [place]?: Services | undefined };

/**
 * Opens the database once for the process and puts our editions into it, so that the first answer has them.
 * Throws a `UserError` where a setting is wrong or the database cannot be had.
 */
export async function openServices(environment: NodeJS.ProcessEnv): Promise<void> {
  if (shared[place]) return;
  const settings = readSettings(environment);
  const { databaseUrl: url, databaseFolder: folder, databasePool: pool } = settings;
  const database = await openDatabase({ ...(url === undefined ? { folder } : { url }), pool });
  try {
    await seedEditions(database.db, editions.toReversed());
  } catch (error) {
    await database.close();
    throw error;
  }
  shared[place] = { settings, database, meaning: { why: 'search by meaning is being loaded' } };
  loadEmbedder(settings).then((meaning) => {
    if (!meaning.embedder && settings.embeddings !== 'off') console.log(`By words alone: ${meaning.why}`);
    if (shared[place]) shared[place] = { ...shared[place], meaning };
  });
}

export function services(): Services {
  if (!shared[place]) throw new Error('services() before openServices()');
  return shared[place];
}

/** After the last answer: an embedded database is only whole on the disk when it has been closed. */
export async function closeServices(): Promise<void> {
  const open = shared[place];
  shared[place] = undefined;
  await open?.database.close();
}
