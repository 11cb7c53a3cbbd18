import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PGlite } from '@electric-sql/pglite';
import { Client } from 'pg';

export interface ChangeWatcher {
  /** What was made of papers before is perhaps not true any more. */
  onChange(): void;
  /** Whether changes are told from now on. At first they are not. */
  onWatching(isWatching: boolean): void;
}

export interface ChangeWatch {
  close(): Promise<void>;
}

/** Of migration 0002. */
const channel = 'papers_changed';

export function watchEmbedded(pglite: PGlite, { onChange, onWatching }: ChangeWatcher): ChangeWatch {
  const listening = pglite.listen(channel, onChange).then((stop) => {
    onWatching(true);
    return stop;
  });
  return {
    async close() {
      onWatching(false);
      const stop = await listening;
      if (!pglite.closed) await stop();
    },
  };
}

const longestPause = 60_000; // ms
/** How long a notice of our own may take to come back. */
const patience = 5_000; // ms
const heartbeat = 30_000; // ms

/**
 * Over a connection of its own, which is opened again where it breaks. A pooler between us and the server may swallow
 * notices without a word: so changes count as told only while notices of our own come back.
 */
export function watchServer(url: string, watcher: ChangeWatcher): ChangeWatch {
  const ended = new AbortController();
  const running = keepWatching(url, watcher, ended.signal);
  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}

async function keepWatching(url: string, watcher: ChangeWatcher, signal: AbortSignal): Promise<void> {
  for (let pause = 1_000; !signal.aborted; pause = Math.min(2 * pause, longestPause)) {
    const client = new Client({ connectionString: url, application_name: 'working-papers changes' });
    try {
      await client.connect();
      await watch(client, watcher, signal, () => {
        pause = 1_000;
      });
    } catch {
      // Nobody's fault here: a server that is gone says so to whoever asks it something.
    } finally {
      watcher.onWatching(false);
      await client.end().catch(() => {});
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}

/** Until the connection breaks, a notice of our own does not come back, or the signal is given. */
async function watch(
  client: Client,
  { onChange, onWatching }: ChangeWatcher,
  signal: AbortSignal,
  onHeard: () => void,
): Promise<void> {
  const broken = new Promise<never>((_, reject) => {
    client.once('error', reject);
    client.once('end', () => reject(new Error('the connection ended')));
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  broken.catch(() => {});
  const own = `heard ${randomUUID()}`;
  let hear: (() => void) | undefined;
  client.on('notification', ({ channel: from, payload }) => {
    if (from === channel) onChange();
    else if (payload === own) hear?.();
  });
  const echo = `papers_echo_${randomUUID().replaceAll('-', '')}`;
  await client.query(`listen ${channel}`);
  await client.query(`listen ${echo}`);
  for (;;) {
    const heard = new Promise<boolean>((resolve) => {
      hear = () => resolve(true);
      setTimeout(resolve, patience, false).unref();
    });
    await Promise.race([client.query(`notify ${echo}, '${own}'`), broken]);
    if (!(await Promise.race([heard, broken]))) throw new Error('notices do not come back');
    onHeard();
    onWatching(true);
    await Promise.race([sleep(heartbeat, undefined, { signal }), broken]);
  }
}
