import { setTimeout as sleep } from 'node:timers/promises';

/** A source that is down, slow, or says what it should not. One line. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  /** Of the answer, where there was one. */
  readonly status: number | undefined;
  /** Whether the same question may get a better answer later. */
  readonly isPassing: boolean;

  constructor(message: string, facts: { status?: number; isPassing: boolean; cause?: unknown }) {
    super(message.replaceAll(/\s+/g, ' ').trim().slice(0, 500), { cause: facts.cause });
    this.status = facts.status;
    this.isPassing = facts.isPassing;
  }
}

export interface SourceLimits {
  /** For one answer from the question to its last byte, ms: a slow drip is no way around it. */
  readonly timeout: number;
  readonly maxBytes: number;
  /** Further tries after a passing fault. */
  readonly retries: number;
  /** Before the first further try, ms; doubled each time, and a part of it left to chance. */
  readonly backoff: number;
}

export interface Question<T> {
  readonly url: URL;
  readonly accept: string;
  /** From an earlier answer: the source may say that nothing has changed. */
  readonly etag?: string | null | undefined;
  readonly lastModified?: string | null | undefined;
  /** Throws where the text is no such answer: half of one is a passing fault. */
  parse(text: string): T;
  /** Waits for one's turn, before every try. */
  turn?(): Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

export type Answer<T> =
  | { readonly changed: false }
  | {
      readonly changed: true;
      readonly value: T;
      readonly etag: string | null;
      readonly lastModified: string | null;
    };

/** Longest that a source may tell us to wait, ms. */
const longestWait = 120_000;
const mostRedirects = 5;

/** Asks until there is an answer or the tries are used up. Throws a `SourceError`, or what `signal` was aborted with. */
export async function ask<T>(question: Question<T>, limits: SourceLimits): Promise<Answer<T>> {
  for (let attempt = 0; ; attempt++) {
    await question.turn?.();
    question.signal?.throwIfAborted();
    const outcome = await tryOnce(question, limits);
    if ('answer' in outcome) return outcome.answer;
    if (!outcome.error.isPassing || attempt >= limits.retries) throw outcome.error;
    const wait = Math.max(limits.backoff * 2 ** attempt * (0.5 + Math.random() / 2), outcome.wait);
    await sleep(Math.min(wait, longestWait), undefined, {
      ...(question.signal && { signal: question.signal }),
    });
  }
}

type Outcome<T> = { readonly answer: Answer<T> } | { readonly error: SourceError; readonly wait: number };

async function tryOnce<T>(question: Question<T>, limits: SourceLimits): Promise<Outcome<T>> {
  const { url, signal } = question;
  const deadline = AbortSignal.timeout(limits.timeout);
  const either = signal ? AbortSignal.any([deadline, signal]) : deadline;
  const fail = (
    message: string,
    facts: { status?: number; isPassing: boolean; cause?: unknown },
    wait = 0,
  ) => ({
    error: new SourceError(`${url.host}${url.pathname}: ${message}`, facts),
    wait,
  });
  try {
    const response = await follow(url, question, either);
    const { status, headers } = response;
    if (status === 304) return { answer: { changed: false } };
    if (status !== 200) {
      await response.body?.cancel();
      const isPassing = status === 408 || status === 429 || status >= 500;
      return fail(`answered ${status}`, { status, isPassing }, retryAfter(headers.get('retry-after')));
    }
    const text = await readText(response, limits.maxBytes);
    let value: T;
    try {
      value = question.parse(text);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return fail(`no such answer as expected: ${reason}`, { status, isPassing: true, cause });
    }
    const etag = headers.get('etag');
    return { answer: { changed: true, value, etag, lastModified: headers.get('last-modified') } };
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof SourceError) return { error: cause, wait: 0 };
    if (deadline.aborted)
      return fail(`no whole answer within ${limits.timeout / 1000} s`, { isPassing: true, cause });
    return fail(reasonOf(cause), { isPassing: true, cause });
  }
}

/** Redirects within the host are followed; nobody sends us to another one. */
async function follow(from: URL, question: Question<unknown>, signal: AbortSignal): Promise<Response> {
  let url = from;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const response = await fetch(url, {
      redirect: 'manual',
      signal,
      headers: {
        accept: question.accept,
        'user-agent': 'working-papers/0.1 (daily papers page)',
        ...(question.etag && { 'if-none-match': question.etag }),
        ...(question.lastModified && { 'if-modified-since': question.lastModified }),
      },
    });
    if (response.status < 300 || response.status >= 400 || response.status === 304) return response;
    await response.body?.cancel();
    const location = response.headers.get('location') ?? '';
    const target = URL.canParse(location, url) ? new URL(location, url) : undefined;
    // The same host over https is a step up and no other place; anything else is.
    const isSame = target !== undefined && (target.origin === from.origin || isUpgrade(from, target));
    if (!isSame) {
      throw new SourceError(`${from.host}${from.pathname}: redirects to '${location}', which is refused`, {
        status: response.status,
        isPassing: false,
      });
    }
    url = target;
  }
  throw new SourceError(`${from.host}${from.pathname}: redirects in a circle`, { isPassing: false });
}

function isUpgrade(from: URL, to: URL): boolean {
  return from.protocol === 'http:' && to.protocol === 'https:' && from.port === '' && to.host === from.host;
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new SourceError(`${new URL(response.url).host}: an answer of more than ${maxBytes} bytes`, {
        status: response.status,
        isPassing: false,
      });
    }
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Seconds or a date, as ms from now. */
function retryAfter(value: string | null): number {
  if (value === null) return 0;
  const wait = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : 0;
}

/** fetch says "fetch failed" and keeps the reason as a cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? `${cause.message || cause.code}` : cause.message;
  return error.message;
}
