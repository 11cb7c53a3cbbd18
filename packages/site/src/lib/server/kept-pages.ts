import { randomBytes } from 'node:crypto';

/*
 * Pages as whoever is not signed in sees them are the same for all, so one that was made is kept and given again. The
 * database says when papers, editions or votes have changed, and then all are made anew. Only what time alone changes,
 * the day at midnight and a trending score's decay, waits for the end of a minute.
 */

/** A page without the nonce of its inline scripts, of which every answer has a new one. */
interface KeptPage {
  readonly parts: readonly string[];
  readonly headers: readonly (readonly [string, string])[];
  readonly bytes: number;
  readonly until: number;
}

interface Making {
  readonly generation: number;
  readonly page: Promise<KeptPage | undefined>;
}

export interface KeptPages {
  /** The page under a key: kept, being made for someone else at this moment, or made. */
  answer(key: string, make: () => Promise<Response>): Promise<Response>;
  /** All that was made so far is perhaps not true any more. */
  forget(): void;
  /** Without word of changes nothing can be kept. */
  setWatching(isWatching: boolean): void;
}

export interface KeepOptions {
  /** Default 64 MiB of text. */
  readonly mostBytes?: number;
  /** Default 60. */
  readonly seconds?: number;
  readonly now?: () => number;
}

const nonceOf = (policy: string | null) => /'nonce-([^']+)'/.exec(policy ?? '')?.[1];
const policyHeader = 'content-security-policy';

export function keepPages({
  mostBytes = 64 * 2 ** 20,
  seconds = 60,
  now = Date.now,
}: KeepOptions = {}): KeptPages {
  /** The one that was not asked for longest comes first. */
  const kept = new Map<string, KeptPage>();
  const making = new Map<string, Making>();
  let bytes = 0;
  let generation = 0;
  let isWatching = false;

  function drop(key: string): void {
    bytes -= kept.get(key)?.bytes ?? 0;
    kept.delete(key);
  }

  function find(key: string): KeptPage | undefined {
    const page = kept.get(key);
    if (!page) return undefined;
    kept.delete(key);
    if (page.until <= now()) {
      bytes -= page.bytes;
      return undefined;
    }
    kept.set(key, page);
    return page;
  }

  function keep(key: string, page: KeptPage): void {
    drop(key);
    kept.set(key, page);
    bytes += page.bytes;
    for (const oldest of kept.keys()) {
      if (bytes <= mostBytes) break;
      drop(oldest);
    }
  }

  function forget(): void {
    generation++;
    kept.clear();
    bytes = 0;
  }

  return {
    async answer(key, make) {
      if (!isWatching) return make();
      const page = find(key);
      if (page) return toResponse(page);
      const other = making.get(key);
      // One that was begun before a change may show what was before it.
      if (other && other.generation === generation) {
        const made = await other.page;
        return made ? toResponse(made) : make();
      }
      const { promise, resolve } = Promise.withResolvers<KeptPage | undefined>();
      const begun = { generation, page: promise };
      making.set(key, begun);
      let made: KeptPage | undefined;
      try {
        const response = await make();
        made = await toKept(response, now() + 1000 * seconds);
        if (!made) return response;
        if (isWatching && begun.generation === generation) keep(key, made);
        return toResponse(made);
      } finally {
        if (making.get(key) === begun) making.delete(key);
        resolve(made);
      }
    },
    forget,
    setWatching(watching) {
      if (watching === isWatching) return;
      isWatching = watching;
      // What was made while nobody told of changes may be wrong already.
      forget();
    },
  };
}

/** Undefined where the answer is not for everybody. */
async function toKept(response: Response, until: number): Promise<KeptPage | undefined> {
  const { status, headers } = response;
  if (status !== 200 || headers.has('set-cookie')) return undefined;
  if (!headers.get('content-type')?.startsWith('text/html')) return undefined;
  const text = await response.text();
  const nonce = nonceOf(headers.get(policyHeader));
  const parts = nonce === undefined ? [text] : text.split(nonce);
  // Of another nonce the tag would be another one, and nobody could ever match it.
  const names = [...headers].filter(([name]) => name !== 'etag' && name !== 'content-length');
  return { parts, headers: names, bytes: 2 * text.length, until };
}

function toResponse({ parts, headers }: KeptPage): Response {
  const nonce = randomBytes(16).toString('base64');
  const given = headers.map(([name, value]): [string, string] => {
    const old = name === policyHeader ? nonceOf(value) : undefined;
    return [name, old === undefined ? value : value.replaceAll(old, nonce)];
  });
  return new Response(parts.join(nonce), { headers: given });
}
