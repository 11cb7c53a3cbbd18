/**
 * Prompt lookup decoding (Saxena 2023): the text's last n-gram is looked up in what came before, and what followed it
 * there is proposed. No model, good where texts repeat themselves.
 */

import type { Drafter, Text } from './drafter.ts';
import { chainTree, emptyTree } from './tree.ts';

export interface PromptLookupOptions {
  /** Longest n-gram to match; shorter ones are tried after. Default 3. */
  readonly ngram?: number;
  /** Tokens proposed; default 10. */
  readonly tokens?: number;
}

export function promptLookup(options: PromptLookupOptions = {}): Drafter {
  const { ngram = 3, tokens: count = 10 } = options;
  return {
    name: 'prompt lookup',
    async start(text) {
      const index = new NgramIndex(text, ngram);
      return {
        async propose(room) {
          const at = index.find();
          if (at === undefined) return emptyTree;
          return chainTree(text.tokens.slice(at, at + Math.min(count, room)));
        },
        accept: async () => {},
        dispose: async () => {},
      };
    },
    dispose: async () => {},
  };
}

/** Where each n-gram of a growing text was last followed by something. */
class NgramIndex {
  readonly #text: Text;
  readonly #tables: readonly Map<string, number>[];
  /** Tokens whose n-grams are in the tables. */
  #known = 0;

  constructor(text: Text, longest: number) {
    this.#text = text;
    this.#tables = Array.from({ length: longest }, () => new Map());
  }

  /** The place after the latest earlier occurrence of the text's longest known ending. */
  find(): number | undefined {
    const { tokens } = this.#text;
    // the ending itself stays out: it is followed by nothing yet
    for (; this.#known < tokens.length - 1; this.#known++)
      for (const [i, table] of this.#tables.entries()) {
        const from = this.#known - i;
        if (from >= 0) table.set(tokens.slice(from, this.#known + 1).join(), this.#known + 1);
      }
    for (let n = this.#tables.length; n >= 1; n--) {
      const found = n <= tokens.length ? this.#tables[n - 1]!.get(tokens.slice(-n).join()) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
