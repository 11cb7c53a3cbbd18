import { sql } from 'kysely';
import type { Db } from '../database/connect.ts';
import type { Settings } from '../settings.ts';
import type { Arxiv } from './arxiv.ts';
import type { HuggingFace } from './huggingface.ts';

export interface Sources {
  readonly hf: HuggingFace;
  readonly arxiv: Arxiv;
}

type Wanted = Pick<
  Settings,
  | 'hfUrl'
  | 'arxivUrl'
  | 'arxivCategories'
  | 'arxivSpacing'
  | 'sourceTimeout'
  | 'sourceRetries'
  | 'sourceMegabytes'
>;

/** The sources as the settings have them. `backoff` in ms is for tests. */
export function openSources(db: Db, settings: Wanted, backoff = 1_000): Sources {
  const limits = {
    timeout: 1_000 * settings.sourceTimeout,
    maxBytes: 1_000_000 * settings.sourceMegabytes,
    retries: settings.sourceRetries,
    backoff,
  };
  return {
    hf: { url: settings.hfUrl, limits },
    arxiv: {
      url: settings.arxivUrl,
      categories: settings.arxivCategories,
      limits,
      turn: () => waitForTurn(db, 'arxiv', 1_000 * settings.arxivSpacing),
    },
  };
}

/** Waits until `spacing` ms lie between this call and the one before, whichever process made that. */
export async function waitForTurn(db: Db, source: string, spacing: number): Promise<void> {
  const step = sql`${spacing} * interval '1 millisecond'`;
  const { rows } = await sql<{ wait: number }>`
    insert into source_clocks as clock (source, next_at) values (${source}, now() + ${step})
    on conflict (source) do update set next_at = greatest(clock.next_at, now()) + ${step}
    returning extract(epoch from next_at - ${step} - now())::float8 * 1000 as wait`.execute(db);
  const { wait } = rows[0]!;
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
}
