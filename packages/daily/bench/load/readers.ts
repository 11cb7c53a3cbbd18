/** Readers who ask for one page after another, as fast as the answers come or with a pause between them. */

import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { addDays } from '@working-papers/daily/dates';
import { newestDay, paper, random } from '../corpus.ts';

export const kinds = ['edition', 'paper', 'search'] as const;
export type Kind = (typeof kinds)[number];

/** Of a hundred pages. */
export const mix: Readonly<Record<Kind, number>> = { edition: 40, paper: 30, search: 30 };

export interface LoadOptions {
  readonly origin: string;
  readonly readers: number;
  readonly seconds: number;
  /** Mean pause of a reader between an answer and the next question, exponentially distributed. */
  readonly thinkSeconds: number;
  readonly papers: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Milliseconds from the question to the last byte of the answer. */
export type Times = Readonly<Record<Kind, readonly number[]>>;

export interface Load {
  readonly times: Times;
  /** How often each fault happened: a status, or why there was no answer. */
  readonly faults: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * A closed loop: each reader waits for an answer before the next question, over a connection of its own that is kept.
 * Every answer is read to its end; nothing is cached, and no reader is signed in.
 */
export async function readAll(options: LoadOptions): Promise<Load> {
  const times: Record<Kind, number[]> = { edition: [], paper: [], search: [] };
  const faults: Record<string, number> = {};
  let bytes = 0;
  const begin = performance.now();
  const end = begin + options.seconds * 1000;
  const agent = new Agent({ keepAlive: true, maxSockets: options.readers });

  const reader = async (index: number) => {
    const next = random(options.seed + index);
    while (performance.now() < end && !options.signal.aborted) {
      const kind = kindOf(next() * 100);
      const path = pathOf(kind, options.papers, next);
      const asked = performance.now();
      try {
        const { status, length } = await get(agent, options.origin + path);
        bytes += length;
        if (status === 200) times[kind].push(performance.now() - asked);
        else faults[`${kind} ${status}`] = (faults[`${kind} ${status}`] ?? 0) + 1;
      } catch (error) {
        const fault = `${kind} ${(error as NodeJS.ErrnoException).code ?? error}`;
        faults[fault] = (faults[fault] ?? 0) + 1;
      }
      if (options.thinkSeconds > 0) await sleep(-Math.log(1 - next()) * options.thinkSeconds * 1000);
    }
  };
  await Promise.all(Array.from({ length: options.readers }, (_, index) => reader(index)));
  agent.destroy();
  return { times, faults, bytes, seconds: (performance.now() - begin) / 1000 };
}

function kindOf(percent: number): Kind {
  return percent < mix.edition ? 'edition' : percent < mix.edition + mix.paper ? 'paper' : 'search';
}

/** New things are read most: half of all choices are among the newest of the square root of all. */
const early = (count: number, next: () => number) => Math.floor(count ** next());

export function pathOf(kind: Kind, papers: number, next: () => number): string {
  if (kind === 'paper') return `/papers/${paper(early(papers, next) - 1).id}`;
  if (kind === 'search') return `/search?q=${encodeURIComponent(question(papers, next))}`;
  const date = addDays(newestDay, 1 - early(papers / 50, next));
  const which = next();
  if (which < 0.3) return '/';
  if (which < 0.9) return `/date/${date}`;
  return which < 0.95 ? `/trending?window=30` : `/month/${date.slice(0, 7)}`;
}

/** Two or three words of some title, a name, a rare word; one in ten mistyped. */
function question(papers: number, next: () => number): string {
  const { title, authors } = paper(Math.floor(next() * papers));
  const which = next();
  const words = title
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word.length > 3);
  const at = Math.floor(next() * Math.max(1, words.length - 2));
  const text =
    which < 0.15
      ? authors[0]!.split(' ').at(-1)!
      : which < 0.3
        ? words.at(-1)!
        : words.slice(at, at + 2 + Math.floor(next() * 2)).join(' ');
  if (next() >= 0.1) return text;
  const place = 1 + Math.floor(next() * (text.length - 2));
  return text.slice(0, place) + text[place + 1] + text[place] + text.slice(place + 2);
}

function get(agent: Agent, url: string): Promise<{ status: number; length: number }> {
  return new Promise((resolve, reject) => {
    request(url, { agent, headers: { accept: 'text/html' } }, (response) => {
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      response.on('end', () => resolve({ status: response.statusCode!, length }));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}
