/**
 * The side of a device that touches ONNX Runtime. It runs in a worker (`worker-node.ts`, `worker-web.ts`), holds
 * sessions and stores, and answers one request at a time, in order.
 */

import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from 'onnxruntime-common';
import { allocate, type DType, type NdArray, sizeOf } from '../array.ts';
import { isOnProcessor, type Provider } from '../provider.ts';
import { type CachePart, KvBuffers, type KvShape } from './kv-buffers.ts';

/** What the host needs of onnxruntime-node or onnxruntime-web. */
export interface Ort {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
}

/** How a session reads and writes the arrays of a store: ONNX names beside the store's keys. */
export interface StoreBinding {
  readonly store: number;
  readonly reads: readonly (readonly [input: string, key: string])[];
  readonly writes: readonly (readonly [output: string, key: string])[];
}

/** What the device's thread can be asked for. */
export type Request =
  | {
      readonly kind: 'session';
      readonly session: number;
      readonly model: Uint8Array;
      readonly outputs: readonly string[];
      /** Those of `outputs` that stay here. */
      readonly kept: readonly string[];
      readonly binding: StoreBinding | undefined;
      /** Where weights lie that the model does not hold. */
      readonly folder: string | undefined;
      readonly profile: string | undefined;
    }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly feeds: { readonly [name: string]: NdArray };
      /** Further inputs: the stores in which earlier runs left them. */
      readonly resident: { readonly [input: string]: number };
      /** Further inputs: parts of key/value caches. */
      readonly cached: {
        readonly [input: string]: {
          readonly cache: number;
          readonly part: CachePart;
          readonly layer: number;
        };
      };
      /** The stores to make of the outputs that stay here. */
      readonly keep: { readonly [output: string]: number };
    }
  | { readonly kind: 'release'; readonly session: number }
  | { readonly kind: 'put'; readonly store: number; readonly values: { readonly [key: string]: NdArray } }
  | { readonly kind: 'get'; readonly store: number; readonly keys: readonly string[] }
  | { readonly kind: 'drop'; readonly store: number }
  | ({ readonly kind: 'cache'; readonly cache: number } & KvShape)
  | {
      readonly kind: 'cache write';
      readonly cache: number;
      readonly keys: number;
      readonly values: number;
      readonly rows: readonly number[];
      readonly places: readonly number[];
    }
  | {
      readonly kind: 'cache copy';
      readonly cache: number;
      readonly from: number;
      readonly places: readonly number[];
    }
  | { readonly kind: 'cache truncate'; readonly cache: number; readonly length: number }
  | { readonly kind: 'cache drop'; readonly cache: number };

/** A result that stays is a store of this one entry. */
export const residentKey = 'value';

/** Arrays by output name or store key; nothing for requests that only act. */
export type Reply = { readonly [name: string]: NdArray };

interface LoadedSession {
  readonly session: InferenceSession;
  readonly outputs: readonly string[];
  readonly binding: StoreBinding | undefined;
  readonly profile: boolean;
}

/**
 * Where the values of stores are, by what the runtime can do:
 * - `in place`: main memory, two buffers a key. A step reads one and writes the other, then they change places.
 * - `fresh`: main memory, a new buffer from every step (onnxruntime-web leaves buffers that it is given unwritten).
 * - `gpu`: GPU buffers, a new one from every step, the old one freed.
 */
export type StoreKind = 'in place' | 'fresh' | 'gpu';

/** The buffers of a key; `next` only in stores that are written in place. */
interface Slot {
  current: OrtTensor;
  next: OrtTensor | undefined;
}

/** How the device's thread sets up ONNX Runtime. */
export interface HostOptions {
  readonly provider: Provider;
  readonly threads: number;
  readonly stores: StoreKind;
}

/** The device's thread: sessions, stores and arrays by number. */
export class Host {
  readonly #ort: Ort;
  readonly #options: HostOptions;
  readonly #sessions = new Map<number, LoadedSession>();
  readonly #stores = new Map<number, Map<string, Slot>>();
  readonly #caches = new Map<number, KvBuffers>();

  constructor(ort: Ort, options: HostOptions) {
    this.#ort = ort;
    this.#options = options;
  }

  async handle(request: Request): Promise<Reply> {
    switch (request.kind) {
      case 'session':
        return this.#load(request);
      case 'run':
        return this.#run(request);
      case 'release':
        return this.#release(request.session);
      case 'put':
        return this.#put(request.store, request.values);
      case 'get':
        return this.#get(request.store, request.keys);
      case 'drop':
        for (const slot of this.#stores.get(request.store)?.values() ?? []) disposeSlot(slot);
        this.#stores.delete(request.store);
        return {};
      case 'cache':
        this.#caches.set(request.cache, new KvBuffers(request));
        return {};
      case 'cache write':
        return this.#writeCache(request);
      case 'cache copy':
        this.#caches.get(request.cache)!.copy(this.#caches.get(request.from)!, request.places);
        return {};
      case 'cache truncate':
        this.#caches.get(request.cache)!.truncate(request.length);
        return {};
      case 'cache drop':
        this.#caches.delete(request.cache);
        return {};
    }
  }

  async #writeCache(request: Extract<Request, { kind: 'cache write' }>): Promise<Reply> {
    const rowsOf = async (store: number) =>
      (await fromOrt(this.#stores.get(store)!.get(residentKey)!.current)).data as Float32Array;
    const [keys, values] = [await rowsOf(request.keys), await rowsOf(request.values)];
    this.#caches.get(request.cache)!.write(keys, values, request.rows, request.places);
    return {};
  }

  async #load(request: Extract<Request, { kind: 'session' }>): Promise<Reply> {
    const { provider, threads, stores } = this.#options;
    const { binding, folder, kept } = request;
    const staying = [...kept, ...(binding?.writes ?? []).map(([output]) => output)];
    const location =
      stores === 'gpu' && staying.length > 0
        ? {
            preferredOutputLocation: Object.fromEntries(
              staying.map((output) => [output, 'gpu-buffer' as const]),
            ),
          }
        : {};
    const session = await this.#ort.InferenceSession.create(request.model, {
      executionProviders: isOnProcessor(provider) ? [provider] : [provider, 'cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // 3: errors only; ONNX Runtime warns about every initializer that an optimisation leaves unused
      logSeverityLevel: 3,
      ...location,
      // Every session has threads of its own, which wait by spinning for a while after a run: with several graphs in
      // turn they would take the cores from the one that runs (a chain of nine ran 2.5 times as long).
      extra: {
        session: {
          ...(provider === 'cpu' && { force_spinning_stop: '1' }),
          ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }),
        },
        // large weights too are put side by side, and widened, once
        ...(folder !== undefined && {
          optimization: { constant_folding_max_output_size_in_bytes: String(2 ** 40) },
        }),
      },
      // A plan of all buffers, made of the first run, is one more block beside what that run has taken: training needs
      // less memory without it, and no more time.
      ...(isOnProcessor(provider) ? { enableMemPattern: false } : {}),
      ...(request.profile ? { enableProfiling: true, profileFilePrefix: request.profile } : {}),
    });
    this.#sessions.set(request.session, {
      session,
      outputs: request.outputs,
      binding,
      profile: request.profile !== undefined,
    });
    return {};
  }

  async #run(request: Extract<Request, { kind: 'run' }>): Promise<Reply> {
    const loaded = this.#sessions.get(request.session)!;
    const feeds: Record<string, OrtTensor> = {};
    for (const [name, array] of Object.entries(request.feeds)) feeds[name] = this.#toOrt(array);
    for (const [name, store] of Object.entries(request.resident))
      feeds[name] = this.#stores.get(store)!.get(residentKey)!.current;
    for (const [name, { cache, part, layer }] of Object.entries(request.cached)) {
      const { data, dims } = this.#caches.get(cache)!.view(part, layer);
      feeds[name] = new this.#ort.Tensor('float32', data, dims);
    }
    const fetches: Record<string, OrtTensor | null> = {};
    for (const name of loaded.outputs) fetches[name] = null;
    const { binding } = loaded;
    const slots = binding && this.#stores.get(binding.store)!;
    if (binding && slots) {
      for (const [input, key] of binding.reads) feeds[input] = slots.get(key)!.current;
      for (const [output, key] of binding.writes) {
        const slot = slots.get(key)!;
        if (this.#options.stores === 'in place') slot.next ??= this.#empty(slot.current);
        fetches[output] = slot.next ?? null;
      }
    }

    const results = await loaded.session.run(feeds, fetches as InferenceSession.OnnxValueMapType);

    if (binding && slots) {
      for (const [output, key] of binding.writes) {
        const slot = slots.get(key)!;
        const written = results[output] as OrtTensor;
        if (slot.next) {
          [slot.current, slot.next] = [slot.next, slot.current];
          discardCopy(written, slot.current);
        } else {
          slot.current.dispose();
          slot.current = written;
        }
      }
    }
    const reply: Record<string, NdArray> = {};
    for (const name of loaded.outputs) {
      const result = results[name] as OrtTensor;
      const store = request.keep[name];
      if (store === undefined) reply[name] = await fromOrt(result);
      else this.#stores.set(store, new Map([[residentKey, { current: result, next: undefined }]]));
    }
    return reply;
  }

  async #release(id: number): Promise<Reply> {
    const loaded = this.#sessions.get(id);
    this.#sessions.delete(id);
    if (loaded?.profile) loaded.session.endProfiling();
    await loaded?.session.release();
    return {};
  }

  #put(store: number, values: { readonly [key: string]: NdArray }): Reply {
    let slots = this.#stores.get(store);
    if (!slots) {
      slots = new Map();
      this.#stores.set(store, slots);
    }
    const taken = new Set<ArrayBufferLike>();
    for (const [key, array] of Object.entries(values)) {
      const old = slots.get(key);
      if (old) disposeSlot(old);
      // steps write into these buffers: two parameters that start as one array must not share it
      const data = taken.has(array.data.buffer) ? array.data.slice() : array.data;
      taken.add(data.buffer);
      slots.set(key, { current: this.#toOrt({ ...array, data }), next: undefined });
    }
    return {};
  }

  async #get(store: number, keys: readonly string[]): Promise<Reply> {
    const slots = this.#stores.get(store);
    const reply: Record<string, NdArray> = {};
    for (const key of keys) {
      const array = await fromOrt(slots!.get(key)!.current);
      // the store keeps its buffer: what leaves must be a copy, since replies are transferred
      reply[key] = { ...array, data: array.data.slice() };
    }
    return reply;
  }

  #toOrt(array: NdArray): OrtTensor {
    const { Tensor } = this.#ort;
    return new Tensor(array.dtype as 'float32', array.data as Float32Array, array.shape as number[]);
  }

  #empty(like: OrtTensor): OrtTensor {
    const dtype = like.type as DType;
    return this.#toOrt({ dtype, shape: like.dims, data: allocate(dtype, sizeOf(like.dims)) });
  }
}

/**
 * onnxruntime-node writes into the buffer that it is given and returns a copy beside. Detached, the copy's memory is
 * free at once; left to the garbage collector, whole models pile up between two collections.
 */
function discardCopy(copy: OrtTensor, original: OrtTensor): void {
  const { buffer } = copy.data as Float32Array;
  if (buffer !== (original.data as Float32Array).buffer && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

function disposeSlot(slot: Slot): void {
  slot.current.dispose();
  slot.next?.dispose();
}

async function fromOrt(tensor: OrtTensor): Promise<NdArray> {
  const data = (await tensor.getData()) as unknown as NdArray['data'];
  const dtype = tensor.type as DType;
  // where the engine has Float16Array, ONNX Runtime uses it; our float16 is its bits
  const plain =
    dtype === 'float16' && !(data instanceof Uint16Array) ? bitsOf(data as ArrayBufferView) : data;
  return { dtype, shape: tensor.dims, data: plain };
}

function bitsOf(view: ArrayBufferView): Uint16Array {
  return new Uint16Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength / 2);
}
