/** The experiment: every way of guessing ahead on the same prompts, one after the other, against vanilla decoding. */

import type { CachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import { Random } from '@working-papers/nn/random';
import { toNumbers } from '@working-papers/tensor';
import { decode, type Prefix, prepare, type Summary } from './decode.ts';
import type { Drafter } from './drafter.ts';
import type { Peer } from './peers/peers.ts';
import type { DecodingResult } from './results.ts';
import { createSampler, type Sampler } from './sampling.ts';

/** Where prompts come from, by what kind of text they are. */
export interface BenchText {
  readonly name: string;
  /** Tokens of its documents. */
  readonly documents: readonly Int32Array[];
}

/**
 * The prompt of a context's length that a number draws: the token `begin`, then a window of a document. Those of one
 * number end at the same place whatever their length, so that lengths are compared on what follows; `contexts` are all
 * lengths that are asked for. Undefined where no document is long enough.
 */
export function benchPrompt(
  text: BenchText,
  context: number,
  number: number,
  begin: number,
  contexts: readonly number[] = [context],
): number[] | undefined {
  const most = Math.max(0, ...text.documents.map((tokens) => tokens.length));
  if (most < context) return undefined;
  const longest = Math.max(...contexts.filter((each) => each <= most));
  const long = text.documents.filter((tokens) => tokens.length >= longest);
  const random = new Random(7).fork(text.name).fork(number);
  const tokens = long[number % long.length]!;
  const end = longest - 1 + random.integer(tokens.length - longest + 2);
  return [begin, ...tokens.subarray(end - context + 1, end)];
}

export interface BenchCase {
  readonly text: string;
  readonly context: number;
  readonly temperature: number;
  readonly prompt: number;
}

export interface BenchOptions {
  readonly target: CachedDecoder;
  /** Vanilla first: the others are compared with it. */
  readonly drafters: readonly Drafter[];
  /** Other runtimes, which decode greedily and without guesses. */
  readonly peers?: readonly Peer[];
  readonly newTokens: number;
  readonly signal?: AbortSignal | undefined;
}

/** All methods on one prompt, in an order that changes from prompt to prompt. */
export async function measureCase(
  { target, drafters, peers = [], newTokens, signal }: BenchOptions,
  about: BenchCase,
  prompt: readonly number[],
): Promise<DecodingResult[]> {
  const prefix = await prepare({ target, prompt, maxNewTokens: newTokens, signal });
  try {
    const sampling = { temperature: about.temperature, seed: 1 + about.prompt };
    const runners = [
      ...drafters.map((drafter) => ({
        name: drafter.name,
        run: () => run({ target, drafter, prompt, prefix, maxNewTokens: newTokens, signal, ...sampling }),
      })),
      ...peers.map((peer) => ({ name: peer.name, run: () => runPeer(peer, prompt, newTokens) })),
    ];
    const shift = about.prompt % runners.length;
    const runs = new Map<string, Awaited<ReturnType<typeof run>>>();
    for (const runner of [...runners.slice(shift), ...runners.slice(0, shift)])
      runs.set(runner.name, await runner.run());
    const plain = runs.get(drafters[0]!.name)!;
    const results: DecodingResult[] = [];
    for (const { name } of runners) {
      const { tokens, summary } = runs.get(name)!;
      const at = tokens.findIndex((token, i) => token !== plain.tokens[i]);
      results.push({
        method: name,
        ...about,
        tokens: tokens.length,
        ...summary,
        distinct: distinctNgrams(tokens, 4),
        ...(at >= 0 && {
          differs: { at, gap: await gapAt(target, prefix, tokens.slice(0, at), createSampler(sampling)) },
        }),
      });
    }
    return results;
  } finally {
    await prefix.dispose();
  }
}

type Figures = Omit<Summary, 'reason' | 'tau' | 'tokens'>;

async function run(
  options: Parameters<typeof decode>[0],
): Promise<{ readonly tokens: readonly number[]; readonly summary: Figures }> {
  const decoding = decode(options);
  const tokens: number[] = [];
  for (;;) {
    const { value, done } = await decoding.next();
    if (done) {
      const { reason: _, tau: __, tokens: ___, ...summary } = value;
      return { tokens, summary };
    }
    tokens.push(...value.tokens);
  }
}

async function runPeer(peer: Peer, prompt: readonly number[], newTokens: number): ReturnType<typeof run> {
  const { tokens, prefillMs, decodeMs } = await peer.decode({ prompt, newTokens });
  const none = { draftMs: 0, proposed: [], accepted: [] };
  return { tokens, summary: { forwards: tokens.length, prefillMs, decodeMs, verifyMs: decodeMs, ...none } };
}

/** The difference of the two largest numbers that the token after the prompt and the given ones was chosen by. */
async function gapAt(
  target: CachedDecoder,
  { prompt, cache, result }: Prefix,
  tokens: readonly number[],
  sampler: Sampler,
): Promise<number> {
  const gap = (logits: readonly number[]) => {
    const scores = Array.from(sampler.scores(logits, prompt.length + tokens.length));
    const [first, second] = scores.toSorted((a, b) => b - a) as [number, number];
    return first - second;
  };
  if (tokens.length === 0) return gap(toNumbers(await result.logits.read()));
  using after = await target.step(cache, { tokens });
  const found = gap(toNumbers(await after.logits.read()));
  await cache.truncate(prompt.length);
  return found;
}

/** Different n-grams among all of them; 1 for a text shorter than that. */
export function distinctNgrams(tokens: readonly number[], n: number): number {
  const all = Array.from({ length: Math.max(0, tokens.length - n + 1) }, (_, i) =>
    tokens.slice(i, i + n).join(),
  );
  return all.length === 0 ? 1 : new Set(all).size / all.length;
}
