/**
 * Seeded random numbers on the host: the same seed gives the same numbers on every machine.
 *
 * Philox4x32-10 is counter-based: a block number and a key in, four random words out. So a place in a stream is
 * one number, and streams with different keys are independent.
 * Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, section 4.3.
 */

type Key = readonly [number, number];
type Block = readonly [number, number, number, number];

/** Where a generator stands; plain JSON. */
export interface RandomState {
  readonly key: Key;
  /** 32-bit words drawn so far. */
  readonly position: number;
}

/** The fourth counter word: keeps the numbers of a stream apart from the keys of its forks. */
const domain = { numbers: 0, numberLabel: 1, stringLabel: 2 } as const;

/** A stream of random numbers that depend on the seed alone, on every machine and in every runtime. */
export class Random {
  readonly #key: Key;
  #position: number;
  #block: Block = [0, 0, 0, 0];
  #blockIndex = -1;

  /** `seed` is a non-negative safe integer, or a state to go on from. Throws a RangeError for any other number. */
  constructor(seed: number | RandomState) {
    if (typeof seed !== 'number') {
      this.#key = [seed.key[0], seed.key[1]];
      this.#position = seed.position;
      return;
    }
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new RangeError(`seed ${seed} is not a non-negative integer`);
    this.#key = split(seed);
    this.#position = 0;
  }

  state(): RandomState {
    return { key: this.#key, position: this.#position };
  }

  /**
   * An independent stream for `label`. It depends on this stream's seed and the label only, not on how much was
   * drawn, so that work can be handed out in any order.
   */
  fork(label: string | number): Random {
    let key = this.#key;
    if (typeof label === 'number') {
      if (!Number.isSafeInteger(label) || label < 0)
        throw new RangeError(`label ${label} is not a natural number`);
      key = forkKey(key, split(label), 0, domain.numberLabel);
    } else {
      const bytes = new TextEncoder().encode(label);
      const padded = new Uint8Array(Math.ceil((bytes.length + 1) / 8) * 8);
      padded.set(bytes);
      padded[bytes.length] = 0x80;
      const view = new DataView(padded.buffer);
      for (let at = 0; at < padded.length; at += 8) {
        key = forkKey(
          key,
          [view.getUint32(at, true), view.getUint32(at + 4, true)],
          at / 8,
          domain.stringLabel,
        );
      }
    }
    return new Random({ key, position: 0 });
  }

  /** 32 random bits, unsigned. */
  uint32(): number {
    const index = Math.floor(this.#position / 4);
    if (index !== this.#blockIndex) {
      const [low, high] = split(index);
      this.#block = philox([low, high, 0, domain.numbers], this.#key);
      this.#blockIndex = index;
    }
    return this.#block[this.#position++ % 4]!;
  }

  /** Uniform in [0, 1) with 53 random bits, or in [low, high). */
  uniform(low = 0, high = 1): number {
    const upper = this.uint32() >>> 5;
    const lower = this.uint32() >>> 6;
    return low + ((high - low) * (upper * 0x4000000 + lower)) / 2 ** 53;
  }

  /** A uniform integer in [0, end), without bias. Throws a RangeError unless 0 < end <= 2^32. */
  integer(end: number): number {
    if (!Number.isInteger(end) || end < 1 || end > 2 ** 32) throw new RangeError(`integer below ${end}`);
    const accepted = 2 ** 32 - (2 ** 32 % end);
    let word = this.uint32();
    while (word >= accepted) word = this.uint32();
    return word % end;
  }

  /** A normal number. */
  normal(mean = 0, std = 1): number {
    return mean + std * this.#normals()[0];
  }

  /** Two independent standard normal numbers: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958. */
  #normals(): [number, number] {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  }

  /** `length` uniform numbers in [low, high). */
  uniforms(length: number, low = 0, high = 1): Float32Array {
    return Float32Array.from({ length }, () => this.uniform(low, high));
  }

  /** `length` normal numbers. */
  normals(length: number, mean = 0, std = 1): Float32Array {
    const out = new Float32Array(length);
    for (let i = 0; i < length; i += 2) {
      const [first, second] = this.#normals();
      out[i] = mean + std * first;
      if (i + 1 < length) out[i + 1] = mean + std * second;
    }
    return out;
  }

  /** The numbers 0 to length - 1 in random order. */
  permutation(length: number): Uint32Array {
    return this.shuffle(Uint32Array.from({ length }, (_, i) => i));
  }

  /** Shuffles `items` in place (Fisher-Yates) and returns them. */
  shuffle<Items extends unknown[] | Uint32Array | Int32Array | Float32Array>(items: Items): Items {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const item = items[i];
      items[i] = items[j];
      items[j] = item;
    }
    return items;
  }
}

/** A safe integer as two 32-bit words, low first. */
function split(value: number): Key {
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

function forkKey(key: Key, words: Key, chunk: number, tag: number): Key {
  const [low, high] = philox([words[0], words[1], chunk, tag], key);
  return [low, high];
}

/** One block of Philox4x32-10: four unsigned 32-bit words from a counter and a key. */
export function philox(counter: Block, key: Key): Block {
  let [c0, c1, c2, c3] = [counter[0], counter[1], counter[2], counter[3]];
  let [k0, k1] = [key[0], key[1]];
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The upper 32 bits of the product of two 32-bit words, by halves of 16 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + (middle >>> 16) + (carry >>> 16);
}
