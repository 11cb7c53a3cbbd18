/**
 * Speculative decoding without loss: a drafter proposes a tree, the target verifies all of it in one call, and what is
 * emitted is what the target alone would have emitted, greedily or drawn with the same seed (section 5 of the spec's
 * paper, arXiv 2502.17421; the draws follow the target, so no rejection is needed).
 */

import type { CachedDecoder, DecodeResult } from '@working-papers/models/decoder/cached-decoder';
import type { KvCache } from '@working-papers/tensor';
import type { Drafter, DraftSession, Text } from './drafter.ts';
import { createSampler, type Sampler, type SamplingOptions } from './sampling.ts';
import { childOf, depths, emptyTree, type TokenTree, treeVisibility } from './tree.ts';

/** A request that the model cannot answer: names the value and the limit. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** A prompt in a cache, to be continued several times. */
export interface Prefix {
  readonly prompt: readonly number[];
  readonly cache: KvCache;
  /** Of the prompt's last block. */
  readonly result: DecodeResult;
  readonly milliseconds: number;
  dispose(): Promise<void>;
}

export interface DecodeOptions extends SamplingOptions {
  readonly target: CachedDecoder;
  readonly drafter: Drafter;
  readonly prompt: readonly number[];
  /** The prompt as `prepare` left it: not computed again, and left as it was. */
  readonly prefix?: Prefix;
  readonly maxNewTokens: number;
  /** Tokens that end the text; the one that comes is emitted, nothing after it. */
  readonly endTokens?: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** Tokens of the prompt that are done. */
  readonly onPrefill?: (done: number) => void;
}

/** What one call of the target emitted. */
export interface Round {
  /** In order; the last one is the target's own, the others were guessed. */
  readonly tokens: readonly number[];
  /** What was proposed, and the nodes of it that were right. */
  readonly tree: TokenTree;
  readonly path: readonly number[];
}

export interface Summary {
  readonly reason: 'end token' | 'length';
  /** Emitted tokens. */
  readonly tokens: number;
  /** Calls of the target, the prompt's counted as one. */
  readonly forwards: number;
  /** Tokens that each call emitted on average: τ. */
  readonly tau: number;
  readonly prefillMs: number;
  /** From the prompt's end to the last token, both parts below included. */
  readonly decodeMs: number;
  readonly draftMs: number;
  readonly verifyMs: number;
  /** How often a node of depth d was proposed, and how often one was right, from depth 1 on. */
  readonly proposed: readonly number[];
  readonly accepted: readonly number[];
}

/** Throws a DecodeError or RangeError before anything is computed. */
function check({
  target,
  prompt,
  maxNewTokens,
}: Pick<DecodeOptions, 'target' | 'prompt' | 'maxNewTokens'>): void {
  const { maxPositions, vocabSize } = target.config;
  if (prompt.length === 0) throw new DecodeError('the prompt is empty: 0 tokens, expected 1 or more');
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw new DecodeError(`new tokens: ${maxNewTokens}, expected 1 or more`);
  const wanted = prompt.length + maxNewTokens;
  if (wanted > maxPositions)
    throw new DecodeError(
      `${prompt.length} tokens of prompt and ${maxNewTokens} new ones are ${wanted}, the model has ${maxPositions} positions`,
    );
  const strange = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (strange !== undefined)
    throw new DecodeError(`token ${strange} in the prompt: the model has tokens 0 to ${vocabSize - 1}`);
}

/** The text that decoding and drafting look at, and how it grows. */
class GrowingText implements Text {
  readonly tokens: number[];
  readonly promptLength: number;
  readonly cache: KvCache;
  readonly capacity: number;

  constructor(prompt: readonly number[], cache: KvCache, capacity: number) {
    this.tokens = [...prompt];
    this.promptLength = prompt.length;
    this.cache = cache;
    this.capacity = capacity;
  }
}

/** Computes a prompt, with room for `maxNewTokens` behind it. Throws as `decode` does. */
export async function prepare(
  options: Pick<DecodeOptions, 'target' | 'prompt' | 'maxNewTokens' | 'signal' | 'onPrefill'>,
): Promise<Prefix> {
  check(options);
  const { target, prompt, maxNewTokens, signal, onPrefill } = options;
  const cache = await target.createCache(prompt.length + maxNewTokens);
  try {
    const started = performance.now();
    const progress = onPrefill && { onProgress: onPrefill };
    const result = await target.prefill(cache, prompt, { signal, ...progress });
    return {
      prompt,
      cache,
      result,
      milliseconds: performance.now() - started,
      async dispose() {
        result[Symbol.dispose]();
        await cache.dispose();
      },
    };
  } catch (error) {
    await cache.dispose();
    throw error;
  }
}

/** The same prompt once more, to be continued beside the first: copied, not computed. */
export async function copyPrefix(target: CachedDecoder, prefix: Prefix): Promise<Prefix> {
  const cache = await target.createCache(prefix.cache.capacity);
  try {
    await cache.copy(
      prefix.cache,
      prefix.prompt.map((_, place) => place),
    );
  } catch (error) {
    await cache.dispose();
    throw error;
  }
  return { ...prefix, cache, dispose: () => cache.dispose() };
}

/** Yields what each call of the target emits; returns how it went. Throws what `signal` was aborted with. */
export async function* decode(options: DecodeOptions): AsyncGenerator<Round, Summary, undefined> {
  check(options);
  const { target, drafter, prompt, maxNewTokens, endTokens = [], signal } = options;
  const sampler = createSampler(options);
  const ends = new Set(endTokens);
  const capacity = prompt.length + maxNewTokens;
  if (options.prefix && (options.prefix.prompt !== prompt || options.prefix.cache.capacity < capacity))
    throw new DecodeError(`a prefix of another prompt, or with less room than ${maxNewTokens} tokens`);
  const prefix = options.prefix ?? (await prepare(options));
  const { cache } = prefix;
  let session: DraftSession | undefined;
  try {
    const text = new GrowingText(prompt, cache, capacity);
    const first = await chooser(prefix.result, sampler, (_) => prompt.length)(0);
    text.tokens.push(first);
    session = await drafter.start(text);
    const begun = performance.now();
    const counts = {
      forwards: 1,
      draftMs: 0,
      verifyMs: 0,
      proposed: [] as number[],
      accepted: [] as number[],
    };
    const emitted = () => text.tokens.length - prompt.length;
    const summary = (reason: Summary['reason']): Summary => ({
      reason,
      tokens: emitted(),
      tau: emitted() / counts.forwards,
      prefillMs: prefix.milliseconds,
      decodeMs: performance.now() - begun,
      ...counts,
    });
    yield { tokens: [first], tree: emptyTree, path: [] };
    while (!ends.has(text.tokens.at(-1)!) && emitted() < maxNewTokens) {
      signal?.throwIfAborted();
      const drafting = performance.now();
      // the last token of the text is the target's own: a path may be one shorter than what is left
      const tree = await session.propose(maxNewTokens - emitted() - 1);
      const verifying = performance.now();
      counts.draftMs += verifying - drafting;
      const round = await verify(target, text, tree, sampler, ends);
      counts.forwards++;
      await session.accept(round);
      round.result[Symbol.dispose]();
      counts.verifyMs += performance.now() - verifying;
      const depthOf = depths(tree);
      for (const depth of depthOf) counts.proposed[depth - 1] = (counts.proposed[depth - 1] ?? 0) + 1;
      for (const node of round.path)
        counts.accepted[depthOf[node]! - 1] = (counts.accepted[depthOf[node]! - 1] ?? 0) + 1;
      yield { tokens: round.tokens, tree, path: round.path };
    }
    return summary(ends.has(text.tokens.at(-1)!) ? 'end token' : 'length');
  } finally {
    await session?.dispose();
    if (options.prefix) await cache.truncate(prompt.length);
    else await prefix.dispose();
  }
}

/** The target's token after row i of a result; `positionOf` says which position of the text that is. */
function chooser(
  result: DecodeResult,
  sampler: Sampler,
  positionOf: (row: number) => number,
): (row: number) => Promise<number> {
  if (sampler.greedy) return async (row) => result.best[row]!;
  const read = result.logits.read();
  return async (row) => {
    const { data, shape } = await read;
    const width = shape[1]!;
    return sampler.choose((data as Float32Array).subarray(row * width, (row + 1) * width), positionOf(row));
  };
}

/** Verifies a tree, lets the text and the cache grow, and says by what. */
async function verify(
  target: CachedDecoder,
  text: GrowingText,
  tree: TokenTree,
  sampler: Sampler,
  ends: ReadonlySet<number>,
): Promise<Round & { readonly result: DecodeResult }> {
  const root = text.tokens.length - 1;
  const rows = [text.tokens[root]!, ...tree.tokens];
  const depthOf = [0, ...depths(tree)];
  const result = await target.step(text.cache, {
    tokens: rows,
    positions: depthOf.map((depth) => root + depth),
    bias: treeVisibility(tree),
    read: rows.map((_, i) => i),
  });
  const choose = chooser(result, sampler, (row) => root + depthOf[row]! + 1);
  const path: number[] = [];
  const tokens: number[] = [];
  for (let node = -1; ; ) {
    const token = await choose(node + 1);
    tokens.push(token);
    if (ends.has(token)) break;
    const child = childOf(tree, node, token);
    if (child === undefined) break;
    path.push(child);
    node = child;
  }
  await text.cache.append(result.keys, result.values, [0, ...path.map((node) => node + 1)]);
  text.tokens.push(...tokens);
  return { tokens, tree, path, result };
}
