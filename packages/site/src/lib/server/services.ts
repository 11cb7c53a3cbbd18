import { type Daily, openDaily } from '@working-papers/daily/daily';
import type { EmbedderState } from '@working-papers/daily/search/embedder';
import { readSettings } from '@working-papers/daily/settings';
import { type KeptPages, keepPages } from './kept-pages.ts';

/** What all requests share. */
export interface Services extends Daily {
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
  const daily = await openDaily(readSettings(environment));
  const pages = keepPages();
  const watch = daily.database.watchChanges({ onChange: pages.forget, onWatching: pages.setWatching });
  const close = async () => {
    await watch.close();
    await daily.close();
  };
  shared[place] = { ...daily, close, pages, meaning: { why: 'search by meaning is being loaded' } };
  daily.embedder().then((meaning) => {
    if (!meaning.embedder && daily.settings.embeddings !== 'off') {
      console.log(`By words alone: ${meaning.why}`);
    }
    if (shared[place]) shared[place] = { ...shared[place], meaning };
    pages.forget();
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
  await open?.close();
}
