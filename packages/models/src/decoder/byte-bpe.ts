/**
 * A byte-level BPE tokenizer, trained from text and written as the `tokenizer.json` that Hugging Face's libraries read
 * (Sennrich et al. 2016, arXiv 1508.07909; bytes and their spelling as in GPT-2).
 */

/** Of `trainByteBpe`. */
export interface ByteBpeOptions {
  /** All tokens: the special ones, 256 bytes, and merges. */
  readonly vocabSize: number;
  /** Special tokens, the first ones of the vocabulary; default BOS and EOS. */
  readonly special?: readonly string[];
  /** Called now and then with the merges found. */
  readonly onProgress?: (merges: number) => void;
}

/** The special token before every text. */
export const beginOfText = '<|begin|>';
/** The special token after every text. */
export const endOfText = '<|end|>';

/** Where words end: GPT-2's pattern, with digits in runs of at most three. */
const wordPattern = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A printable character for each byte: itself where it has one, from U+0100 on otherwise. */
export function byteCharacters(): readonly string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

interface Word {
  symbols: number[];
  readonly count: number;
}

/** Trains on texts; the same texts give the same tokenizer. Returns the contents of a `tokenizer.json`. */
export function trainByteBpe(texts: Iterable<string>, options: ByteBpeOptions): object {
  const { vocabSize, special = [beginOfText, endOfText], onProgress } = options;
  const characters = byteCharacters();
  const tokens = [...special, ...characters];
  if (!Number.isInteger(vocabSize) || vocabSize < tokens.length)
    throw new RangeError(`a byte vocabulary needs ${tokens.length} tokens, got ${vocabSize}`);
  const words = countWords(texts, special.length);
  const merges: [string, string][] = [];
  const pairs = new Pairs(words);
  while (tokens.length < vocabSize) {
    const best = pairs.best(tokens);
    if (!best) break;
    const [a, b] = best;
    merges.push([tokens[a]!, tokens[b]!]);
    pairs.merge(a, b, tokens.length);
    tokens.push(tokens[a]! + tokens[b]!);
    if (merges.length % 50 === 0) onProgress?.(merges.length);
  }
  return tokenizerJson(tokens, special, merges);
}

/** Distinct words as byte tokens, with how often they come. */
function countWords(texts: Iterable<string>, firstByte: number): Word[] {
  const counts = new Map<string, number>();
  const pattern = new RegExp(wordPattern, 'gu');
  for (const text of texts)
    for (const [word] of text.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => byte + firstByte),
    count,
  }));
}

/** How often each pair of neighbours comes, kept up to date while pairs are merged. */
class Pairs {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  /** Words in which a pair is, or was. */
  readonly #places = new Map<number, Set<number>>();

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach((word, i) => {
      this.#add(word, i, 1);
    });
  }

  /** Pairs are numbers: a vocabulary has fewer than 2^26 tokens. */
  static key(a: number, b: number): number {
    return a * 2 ** 26 + b;
  }

  #add({ symbols, count }: Word, index: number, sign: 1 | -1): void {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const key = Pairs.key(symbols[i]!, symbols[i + 1]!);
      const sum = (this.#counts.get(key) ?? 0) + sign * count;
      if (sum === 0) this.#counts.delete(key);
      else this.#counts.set(key, sum);
      if (sign < 0) continue;
      const places = this.#places.get(key);
      if (places) places.add(index);
      else this.#places.set(key, new Set([index]));
    }
  }

  /** The most frequent pair, of equals the first in the order of their tokens; none that comes once only. */
  best(tokens: readonly string[]): [number, number] | undefined {
    let [most, chosen] = [1, -1];
    for (const [key, count] of this.#counts) {
      if (count > most || (count === most && chosen >= 0 && key < chosen)) {
        most = count;
        chosen = key;
      }
    }
    if (chosen < 0 || most < 2) return undefined;
    const [a, b] = [Math.floor(chosen / 2 ** 26), chosen % 2 ** 26];
    return a < tokens.length && b < tokens.length ? [a, b] : undefined;
  }

  merge(a: number, b: number, merged: number): void {
    const key = Pairs.key(a, b);
    for (const index of this.#places.get(key) ?? []) {
      const word = this.#words[index]!;
      this.#add(word, index, -1);
      const symbols: number[] = [];
      for (let i = 0; i < word.symbols.length; i++) {
        const both = word.symbols[i] === a && word.symbols[i + 1] === b;
        symbols.push(both ? merged : word.symbols[i]!);
        if (both) i++;
      }
      word.symbols = symbols;
      this.#add(word, index, 1);
    }
    this.#places.delete(key);
  }
}

function tokenizerJson(
  tokens: readonly string[],
  special: readonly string[],
  merges: readonly [string, string][],
): object {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const [begin] = special;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: wordPattern }, behavior: 'Isolated', invert: false },
        bytes,
      ],
    },
    post_processor: begin === undefined ? null : beginning(begin),
    decoder: bytes,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Every text begins with the first special token. */
function beginning(token: string): object {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (id: string) => ({ Sequence: { id, type_id: id === 'A' ? 0 : 1 } });
  return {
    type: 'TemplateProcessing',
    single: [special, text('A')],
    pair: [special, text('A'), special, text('B')],
    special_tokens: { [token]: { id: token, ids: [0], tokens: [token] } },
  };
}
