/**
 * MagicDec's self-speculation (Chen et al. 2024, arXiv 2408.11049): the target drafts for itself, looking at a cache
 * of fixed size: the beginning of the prompt, its end, and what was generated.
 */

import type { CachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import type { KvCache } from '@working-papers/tensor';
import type { Accepted, Drafter, DraftSession, Text } from './drafter.ts';
import { chainTree, type TokenTree } from './tree.ts';

export interface MagicDecOptions {
  readonly target: CachedDecoder;
  /** Tokens of a chain: γ; default 4. */
  readonly tokens?: number;
  /** First tokens of the prompt that stay visible; default 32. */
  readonly first?: number;
  /** Last tokens of the prompt that stay visible; default 1,024. */
  readonly last?: number;
}

export function magicDec(options: MagicDecOptions): Drafter {
  const { target, tokens = 4, first = 32, last = 1024 } = options;
  return {
    name: 'MagicDec',
    async start(text) {
      const length = text.cache.length;
      const kept = Array.from({ length }, (_, i) => i).filter((i) => i < first || i >= length - last);
      const room = text.capacity - text.promptLength + tokens;
      const cache = await target.createCache(kept.length + room);
      await cache.copy(text.cache, kept);
      return new MagicDecSession(target, text, cache, tokens);
    },
    dispose: async () => {},
  };
}

class MagicDecSession implements DraftSession {
  readonly #target: CachedDecoder;
  readonly #text: Text;
  readonly #cache: KvCache;
  readonly #tokens: number;
  /** Of the cache, without guesses. */
  #length: number;

  constructor(target: CachedDecoder, text: Text, cache: KvCache, tokens: number) {
    this.#target = target;
    this.#text = text;
    this.#cache = cache;
    this.#tokens = tokens;
    this.#length = cache.length;
  }

  async propose(room: number): Promise<TokenTree> {
    const guesses: number[] = [];
    const root = this.#text.tokens.length - 1;
    for (let i = 0; i < Math.min(this.#tokens, room); i++) {
      const token = guesses.at(-1) ?? this.#text.tokens[root]!;
      using result = await this.#target.step(this.#cache, { tokens: [token], positions: [root + i] });
      await this.#cache.append(result.keys, result.values, [0]);
      guesses.push(result.best[0]!);
    }
    return chainTree(guesses);
  }

  /** The guesses' keys saw a part of the text only: verification's, which saw all, take their places. */
  async accept({ path, result }: Accepted): Promise<void> {
    await this.#cache.truncate(this.#length);
    await this.#cache.append(result.keys, result.values, [0, ...path.map((node) => node + 1)]);
    this.#length = this.#cache.length;
  }

  dispose(): Promise<void> {
    return this.#cache.dispose();
  }
}
