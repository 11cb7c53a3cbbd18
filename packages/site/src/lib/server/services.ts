import { type Daily, openDaily } from '@working-papers/daily/daily';
import { createLog, type Log } from '@working-papers/daily/log';
import { type MetricsServer, serveMetrics } from '@working-papers/daily/metrics';
import type { EmbedderState } from '@working-papers/daily/search/embedder';
import { readSettings } from '@working-papers/daily/settings';
import { type KeptPages, keepPages } from './kept-pages.ts';

/** What all requests share. */
export interface Services extends Daily {
  readonly log: Log;
  /** Search by meaning, or why there is none: it loads while the page is being served already. */
  readonly meaning: EmbedderState;
  /** For those who are not signed in. */
  readonly pages: KeptPages;
}

/* On the process and not in the module, which Vite loads anew at every change while developing. */
const place = Symbol.for('working-papers.services');
const shared = globalThis as { [place]?: Services | undefined };

/**
 * Opens the database once for the process, with our editions in it, so that the first answer has them.
 * Throws a `UserError` where a setting is wrong or the database cannot be had.
 */
export async function openServices(environment: NodeJS.ProcessEnv): Promise<void> {
  if (shared[place]) return;
  const settings = readSettings(environment);
  const daily = await openDaily(settings);
  const log = createLog({ json: settings.logJson, write: console.log });
  let metrics: MetricsServer | undefined;
  try {
    metrics = await serveMetrics(settings);
  } catch (error) {
    await daily.close();
    throw error;
  }
  if (metrics) log.info('metrics are served', { address: metrics.address });
  const pages = keepPages();
  const watch = daily.database.watchChanges({ onChange: pages.forget, onWatching: pages.setWatching });
  const close = async () => {
    await metrics?.close();
    await watch.close();
    await daily.close();
  };
  const meaning = { why: 'search by meaning is being loaded' };
  shared[place] = { ...daily, log, close, pages, meaning };
  daily.embedder().then((meaning) => {
    if (!meaning.embedder && settings.embeddings !== 'off') {
      log.info('search is by words alone', { reason: meaning.why });
    }
    if (shared[place]) shared[place] = { ...shared[place], meaning };
    pages.forget();
  });
}

export function services(): Services {
  if (!shared[place]) throw new Error('services() before openServices()');
  return shared[place];
}

export const openLog = (): Log | undefined => shared[place]?.log;

/** After the last answer: an embedded database is only whole on the disk when it has been closed. */
export async function closeServices(): Promise<void> {
  const open = shared[place];
  shared[place] = undefined;
  await open?.close();
}
