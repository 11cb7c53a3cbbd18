import { build, dense } from './dense.ts';
import { type Dense, register } from './registry.ts';

/** The draw's hash of a 32-bit word: two rounds of xor-shift and multiplication. */
function hash(word: number): number {
  let x = word >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0xd35a2d97) >>> 0;
  return (x ^ (x >>> 15)) >>> 0;
}

const modulus = 2 ** 32;

function wordOf(value: number): number {
  return ((value % modulus) + modulus) % modulus;
}

/** The key of a seed of one or two numbers. */
export function keyOf(seed: readonly number[]): [number, number] {
  let [left, right] =
    seed.length === 1
      ? [wordOf(seed[0]!), wordOf(Math.floor(seed[0]! / modulus))]
      : [wordOf(seed[0]!), wordOf(seed[1]!)];
  for (const constant of [0x6a09e667, 0xbb67ae85, 0x3c6ef372]) {
    [left, right] = [right, (left ^ hash((right + constant) % modulus)) >>> 0];
  }
  return [left, right];
}

/** Word i of a draw. */
export function wordsOf(key: readonly number[], stream: number, count: number): number[] {
  const step = (hash(key[0]! ^ hash(2 * stream + 1)) | 1) >>> 0;
  const offset = hash(key[1]! ^ hash(2 * stream + 2));
  return Array.from({ length: count }, (_, i) => hash(wordOf(Math.imul(i, step) + offset)));
}

interface Draw {
  count: number;
  stream: number;
}

register('randomKey', ([seed]) => dense([2], keyOf([...seed!.data])));

register('randomUniform', ([key], attributes, _, resolve): Dense => {
  const { count, stream } = attributes as unknown as Draw;
  const words = wordsOf([...key!.data], stream, resolve.dim(count));
  return build([words.length], ([i]) => Math.floor(words[i!]! / 256) / 2 ** 24);
});

register('randomMask', ([key], attributes, _, resolve) => {
  const { count, stream, threshold, scale } = attributes as unknown as Draw & {
    threshold: number;
    scale: number;
  };
  const words = wordsOf([...key!.data], stream, resolve.dim(count));
  return build([words.length], ([i]) => (words[i!]! < threshold ? 0 : scale));
});
