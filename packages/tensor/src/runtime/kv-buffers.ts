/** The memory of a key/value cache; `kv-cache.ts` says how it lies and why. */

/** Which half of a cache. */
export type CachePart = 'keys' | 'values';

/** How large a cache is, in the layout of its buffers. */
export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
  readonly chunk: number;
}

/** What a place without a key gives every query. */
const absent = -1e30;

/** A cache's memory, written and read in place. */
export class KvBuffers {
  readonly #shape: KvShape;
  readonly #keys: readonly Float32Array[];
  readonly #values: readonly Float32Array[];
  /** Chunks in use, the one of an empty cache included. */
  #chunks = 0;
  #length = 0;

  constructor(shape: KvShape) {
    this.#shape = shape;
    const { layers, kvHeads, headDim, capacity, chunk } = shape;
    const places = Math.ceil(capacity / chunk) * chunk * kvHeads;
    // zeros of this size come from the system as they are touched
    const each = (size: number) => Array.from({ length: layers }, () => new Float32Array(places * size));
    this.#keys = each(headDim + 1);
    this.#values = each(headDim);
    this.#use(1);
  }

  #use(chunks: number): void {
    const { kvHeads, headDim, chunk } = this.#shape;
    for (const keys of this.#keys) {
      const end = chunks * kvHeads * chunk;
      for (let row = this.#chunks * kvHeads * chunk; row < end; row++)
        keys[row * (headDim + 1) + headDim] = absent;
    }
    this.#chunks = Math.max(this.#chunks, chunks);
  }

  /** The chunks in use of one layer, not copied. */
  view(part: CachePart, layer: number): { data: Float32Array; dims: number[] } {
    const { kvHeads, headDim, chunk } = this.#shape;
    const chunks = Math.max(1, Math.ceil(this.#length / chunk));
    const inner = part === 'keys' ? [chunk, headDim + 1] : [headDim, chunk];
    const dims = [chunks, kvHeads, ...inner];
    const buffer = (part === 'keys' ? this.#keys : this.#values)[layer]!;
    return {
      data: buffer.subarray(
        0,
        dims.reduce((a, b) => a * b),
      ),
      dims,
    };
  }

  /** `keys` and `values` are [layers, T, heads, D]. */
  write(keys: Float32Array, values: Float32Array, rows: readonly number[], places: readonly number[]): void {
    const { layers, kvHeads, headDim, chunk } = this.#shape;
    const time = keys.length / (layers * kvHeads * headDim);
    this.#length = Math.max(this.#length, ...places.map((place) => place + 1));
    const chunks = Math.ceil(this.#length / chunk);
    if (chunks > this.#chunks) this.#use(chunks);
    for (let layer = 0; layer < layers; layer++) {
      const [toKeys, toValues] = [this.#keys[layer]!, this.#values[layer]!];
      for (let i = 0; i < rows.length; i++) {
        const place = places[i]!;
        const [c, at] = [Math.floor(place / chunk), place % chunk];
        for (let head = 0; head < kvHeads; head++) {
          const from = ((layer * time + rows[i]!) * kvHeads + head) * headDim;
          const key = ((c * kvHeads + head) * chunk + at) * (headDim + 1);
          const value = (c * kvHeads + head) * headDim * chunk + at;
          for (let d = 0; d < headDim; d++) {
            toKeys[key + d] = keys[from + d]!;
            toValues[value + d * chunk] = values[from + d]!;
          }
          toKeys[key + headDim] = 0;
        }
      }
    }
  }

  /** Appends what another one of the same kind has in the given places. */
  copy(from: KvBuffers, places: readonly number[]): void {
    const { layers, kvHeads, headDim } = this.#shape;
    const row = kvHeads * headDim;
    const [keys, values] = [0, 1].map(() => new Float32Array(layers * places.length * row)) as [
      Float32Array,
      Float32Array,
    ];
    const chunk = from.#shape.chunk;
    for (let layer = 0; layer < layers; layer++) {
      const [fromKeys, fromValues] = [from.#keys[layer]!, from.#values[layer]!];
      for (let i = 0; i < places.length; i++) {
        const [c, at] = [Math.floor(places[i]! / chunk), places[i]! % chunk];
        for (let head = 0; head < kvHeads; head++) {
          const to = ((layer * places.length + i) * kvHeads + head) * headDim;
          const key = ((c * kvHeads + head) * chunk + at) * (headDim + 1);
          const value = (c * kvHeads + head) * headDim * chunk + at;
          for (let d = 0; d < headDim; d++) {
            keys[to + d] = fromKeys[key + d]!;
            values[to + d] = fromValues[value + d * chunk]!;
          }
        }
      }
    }
    const start = this.#length;
    this.write(
      keys,
      values,
      places.map((_, i) => i),
      places.map((_, i) => start + i),
    );
  }

  truncate(length: number): void {
    const { kvHeads, headDim, chunk } = this.#shape;
    for (const keys of this.#keys) {
      for (let place = length; place < this.#length; place++) {
        const [c, at] = [Math.floor(place / chunk), place % chunk];
        for (let head = 0; head < kvHeads; head++)
          keys[((c * kvHeads + head) * chunk + at) * (headDim + 1) + headDim] = absent;
      }
    }
    this.#length = length;
  }
}
