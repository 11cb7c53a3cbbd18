/**
 * Keys and values of attention that stay on a device from call to call, written in place and read in place.
 *
 * A kernel that multiplies few queries with many keys wants the keys on the left of the product (ONNX Runtime packs
 * the right operand anew at every call): scores are K qᵀ, outputs Vᵀ Pᵀ. So keys lie as [chunks, heads, chunk, D + 1]
 * and values as [chunks, heads, D, chunk], a chunk being a batch of the product, and a cache grows by whole chunks.
 * The last column of the keys is 0 where there is a key and −1e30 where there is none yet: a query that ends in a 1
 * sees only what is there, without a mask. `bench/attention-layouts.ts` of the models compares layouts.
 */

import type { DType } from './array.ts';
import type { Device } from './device.ts';
import { DeviceError } from './device-error.ts';
import type { DeviceArray } from './resident.ts';
import type { CachePart } from './runtime/kv-buffers.ts';

/** How large a cache is. */
export interface KvCacheOptions {
  readonly layers: number;
  readonly kvHeads: number;
  /** D. */
  readonly headDim: number;
  /** Most rows that it will ever hold; memory is taken as it fills. */
  readonly capacity: number;
  /** Rows of a chunk; default 512. */
  readonly chunk?: number;
}

/** One layer's keys or values as an argument of a compiled function, read where they lie. */
export interface CacheView {
  readonly cache: KvCache;
  readonly part: CachePart;
  readonly layer: number;
  readonly dtype: DType;
  /** As of now: it grows with the cache. */
  readonly shape: readonly number[];
}

/** Rows of a cache to write: row `rows[i]` of both arrays [layers, T, heads, D] goes to place `places[i]`. */
export interface CacheWrite {
  readonly keys: DeviceArray;
  readonly values: DeviceArray;
  readonly rows: readonly number[];
  readonly places: readonly number[];
}

/** Keys and values of the tokens that a decoder has seen, on the device, in all layers. */
export class KvCache {
  readonly device: Device;
  /** The device's name for it. */
  readonly key: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
  readonly chunk: number;
  #length = 0;
  #disposed = false;

  private constructor(device: Device, options: KvCacheOptions) {
    const { layers, kvHeads, headDim, capacity, chunk = 512 } = options;
    for (const [name, value] of Object.entries({ layers, kvHeads, headDim, capacity, chunk })) {
      if (!Number.isInteger(value) || value < 1) throw new DeviceError(`a cache with ${name} ${value}`);
    }
    this.device = device;
    this.key = device.newKey();
    this.layers = layers;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.capacity = capacity;
    this.chunk = Math.min(chunk, capacity);
  }

  static async create(device: Device, options: KvCacheOptions): Promise<KvCache> {
    const cache = new KvCache(device, options);
    const { key, layers, kvHeads, headDim, capacity, chunk } = cache;
    await device.request({ kind: 'cache', cache: key, layers, kvHeads, headDim, capacity, chunk });
    return cache;
  }

  /** Places that are or were written, the highest plus one. */
  get length(): number {
    return this.#length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Bytes of the chunks in use. */
  get bytes(): number {
    return 4 * this.layers * this.#chunks() * this.kvHeads * this.chunk * (2 * this.headDim + 1);
  }

  /** For functions that read layer `layer`: keys [chunks, heads, chunk, D + 1], values [chunks, heads, D, chunk]. */
  view(layer: number): { readonly keys: CacheView; readonly values: CacheView } {
    if (!Number.isInteger(layer) || layer < 0 || layer >= this.layers)
      throw new DeviceError(`layer ${layer} of a cache of ${this.layers}`);
    return { keys: this.#part('keys', layer), values: this.#part('values', layer) };
  }

  #part(part: CachePart, layer: number): CacheView {
    const { kvHeads, headDim, chunk } = this;
    const inner = part === 'keys' ? [chunk, headDim + 1] : [headDim, chunk];
    const chunks = () => this.#chunks();
    return {
      cache: this,
      part,
      layer,
      dtype: 'float32',
      get shape() {
        return [chunks(), kvHeads, ...inner];
      },
    };
  }

  /** An empty cache has one chunk, in which nothing is visible. */
  #chunks(): number {
    return Math.max(1, Math.ceil(this.#length / this.chunk));
  }

  /** Adds rows of a result at the end, in the order given. Needs no waiting: later calls see them. */
  append(keys: DeviceArray, values: DeviceArray, rows: readonly number[]): Promise<void> {
    return this.write({ keys, values, rows, places: rows.map((_, i) => this.#length + i) });
  }

  /** Writes rows of a result to given places. Throws a DeviceError for what does not fit. */
  async write({ keys, values, rows, places }: CacheWrite): Promise<void> {
    if (this.#disposed) throw new DeviceError('the cache was disposed of');
    const { layers, kvHeads, headDim, capacity } = this;
    const [, time] = keys.shape;
    for (const array of [keys, values]) {
      if (array.device !== this.device) throw new DeviceError('rows of another device');
      if (array.disposed) throw new DeviceError('the rows were disposed of');
      if (array.dtype !== 'float32' || `${array.shape}` !== `${[layers, time, kvHeads, headDim]}`)
        throw new DeviceError(
          `rows for this cache are float32[${layers},T,${kvHeads},${headDim}], got ${array.dtype}[${array.shape}]`,
        );
    }
    const row = rows.find((each) => !Number.isInteger(each) || each < 0 || each >= time!);
    if (row !== undefined) throw new DeviceError(`row ${row} of ${time}`);
    const place = places.find((each) => !Number.isInteger(each) || each < 0 || each >= capacity);
    if (place !== undefined) throw new DeviceError(`place ${place} of a cache of ${capacity}`);
    if (rows.length !== places.length)
      throw new DeviceError(`${rows.length} rows for ${places.length} places`);
    this.#length = Math.max(this.#length, ...places.map((each) => each + 1));
    await this.device.request({
      kind: 'cache write',
      cache: this.key,
      keys: keys.key,
      values: values.key,
      rows,
      places,
    });
  }

  /** Adds what another cache of the same kind has in the given places at the end of this one. */
  async copy(from: KvCache, places: readonly number[]): Promise<void> {
    if (this.#disposed || from.disposed) throw new DeviceError('the cache was disposed of');
    const kind = ({ layers, kvHeads, headDim }: KvCache) => `${layers} layers of ${kvHeads} × ${headDim}`;
    if (from.device !== this.device || kind(from) !== kind(this))
      throw new DeviceError(`a cache of ${kind(this)} cannot copy from one of ${kind(from)}`);
    const wrong = places.find((each) => !Number.isInteger(each) || each < 0 || each >= from.length);
    if (wrong !== undefined) throw new DeviceError(`place ${wrong} of ${from.length}`);
    if (this.#length + places.length > this.capacity)
      throw new DeviceError(
        `${places.length} places more than ${this.#length} of a cache of ${this.capacity}`,
      );
    this.#length += places.length;
    await this.device.request({ kind: 'cache copy', cache: this.key, from: from.key, places });
  }

  /** Forgets the places from `length` on. */
  async truncate(length: number): Promise<void> {
    if (this.#disposed) throw new DeviceError('the cache was disposed of');
    if (!Number.isInteger(length) || length < 0 || length > this.#length)
      throw new DeviceError(`truncate to ${length} of ${this.#length}`);
    this.#length = length;
    await this.device.request({ kind: 'cache truncate', cache: this.key, length });
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    // a device that is closed has freed all it had
    await this.device.request({ kind: 'cache drop', cache: this.key }).catch(() => undefined);
  }
}

/** Is it what `KvCache` gives for an argument of a compiled function? */
export function isCacheView(value: unknown): value is CacheView {
  return typeof value === 'object' && value !== null && 'cache' in value && value.cache instanceof KvCache;
}
