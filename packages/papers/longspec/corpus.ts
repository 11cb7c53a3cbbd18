/** Texts as tokens, and windows of them as training examples. */

import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TextTokenizer } from '@working-papers/models/decoder/tokenizer';
import { DataError, type Dataset } from '@working-papers/nn/data';

export interface Document {
  readonly name: string;
  readonly text: string;
}

/** Text files, or the `.txt` files of folders, in the order of their names. Throws a DataError where there are none. */
export async function readDocuments(paths: readonly string[]): Promise<Document[]> {
  const files: string[] = [];
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (!found) throw new DataError(`${path} is not there: expected a text file or a folder of .txt files`);
    if (!found.isDirectory()) files.push(path);
    else
      for (const name of (await readdir(path)).sort())
        if (name.endsWith('.txt')) files.push(join(path, name));
  }
  if (files.length === 0) throw new DataError(`${paths.join(', ')}: no .txt files`);
  return Promise.all(
    files.map(async (file) => ({ name: basename(file), text: await readFile(file, 'utf8') })),
  );
}

/** Documents for training, and every n-th of them kept from it. */
export function holdOut<T>(documents: readonly T[], every = 8): { readonly seen: T[]; readonly unseen: T[] } {
  const isHeld = (i: number) => documents.length > 1 && i % every === Math.min(every, documents.length) - 1;
  return { seen: documents.filter((_, i) => !isHeld(i)), unseen: documents.filter((_, i) => isHeld(i)) };
}

/** Tokens of each document, paragraph by paragraph, without special tokens. */
export function tokenize(
  tokenizer: TextTokenizer,
  documents: readonly Document[],
  onProgress?: (done: number) => void,
): Int32Array[] {
  return documents.map(({ text }, i) => {
    // pieces that end where a word begins have the tokens of the whole
    const pieces = text.split(/(?<=\n\n)(?=\S)/u);
    const ids = pieces.flatMap((piece) => tokenizer.encode(piece, { special: false }));
    onProgress?.(i + 1);
    return Int32Array.from(ids);
  });
}

/**
 * Windows of `length` tokens at random places, each behind the token `begin` (as every text in use): a model with no
 * such beginning has no place for attention that is not needed. Windows are as many as the text has room for.
 */
export function windows(
  documents: readonly Int32Array[],
  length: number,
  begin: number,
): Dataset<Int32Array> {
  const long = documents.filter((tokens) => tokens.length >= length);
  if (long.length === 0) {
    const longest = documents.reduce((most, tokens) => Math.max(most, tokens.length), 0);
    throw new DataError(`windows of ${length} tokens: the longest text has ${longest}`);
  }
  const ends: number[] = [];
  let places = 0;
  for (const tokens of long) {
    places += tokens.length - length + 1;
    ends.push(places);
  }
  return {
    length: Math.max(1, Math.floor(long.reduce((sum, tokens) => sum + tokens.length, 0) / length)),
    get(_, random) {
      const place = Math.floor(random.uniform() * places);
      const at = ends.findIndex((end) => place < end);
      const tokens = long[at]!;
      const start = place - (ends[at]! - (tokens.length - length + 1));
      const window = new Int32Array(length + 1);
      window[0] = begin;
      window.set(tokens.subarray(start, start + length), 1);
      return window;
    },
  };
}
