/**
 * Devices: where graphs run. Every device works in a thread of its own, so neither a server's event loop nor a
 * page stalls while a graph runs.
 */

import {
  defaultProvider,
  defaultThreads,
  keepAlive,
  missing,
  providers,
  readsFiles,
  spawn,
  stores,
} from '#runtime';
import { argumentsInOrder, checkInputs, symbols, type TensorsOf } from './arguments.ts';
import type { FileArray, NdArray } from './array.ts';
import { reorderProbe } from './blocked.ts';
import { DeviceError } from './device-error.ts';
import { evaluateDim, showShape } from './dims.ts';
import { type CacheView, isCacheView } from './kv-cache.ts';
import { lower, type Model } from './lower.ts';
import { tracingFor } from './ops/by-rows.ts';
import type { Provider } from './provider.ts';
import { DeviceArray, Resident, refuseUnknownSize } from './resident.ts';
import type { Message, Port } from './runtime/channel.ts';
import type { Reply, Request, StoreBinding } from './runtime/host.ts';
import { Store } from './store.ts';
import type { Parameter, Tensor } from './tensor.ts';
import { type ArgumentsOf, type ArraysOf, flattenTree, mapTree, type Tree } from './tree.ts';

/** Of `openDevice`. */
export interface DeviceOptions {
  /** Where to run; default `cpu` in Node, `wasm` in a browser. */
  readonly provider?: Provider;
  /** Threads of one operator; default: the machine's cores. Results depend on it in the last bits. */
  readonly threads?: number;
  /** In a browser: the address of the folder that holds onnxruntime-web's `.wasm` files. */
  readonly assets?: string;
}

/** Opens a device. Throws a DeviceError that says what to install when the provider is not there. */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const provider = options.provider ?? defaultProvider;
  if (!providers.includes(provider)) {
    throw new DeviceError(`unknown device '${provider}': here are ${providers.join(', ')}`);
  }
  const threads = options.threads ?? defaultThreads();
  if (!Number.isInteger(threads) || threads < 1)
    throw new DeviceError(`threads must be 1 or more, got ${threads}`);
  const device = new Device(provider, threads, await spawn());
  try {
    await device.open(options.assets);
    if (provider === 'cpu') await device.findChannelBlock();
    // A provider that is not there shows itself only when a session is made.
    if (provider !== 'cpu') await device.compile((x) => x.add(1), { inputs: [{ shape: [1] }] });
  } catch (error) {
    await device.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new DeviceError(missing(provider, reason.split('\n')[0]!) ?? reason);
  }
  return device;
}

/** What parameters of a compiled function are: arrays in memory, or in files of one folder. */
export type WeightValues = ReadonlyMap<Parameter, NdArray | FileArray>;

/** Of `compile` and `compileStep`; parameters have their values in `weights` or in `store`. */
export interface CompileOptions {
  /** Values of parameters, made part of the model: fastest to run, fixed until compiled again. */
  readonly weights?: WeightValues;
  /** A store that holds the parameters instead; `updates` of the function are written to it. */
  readonly store?: Store;
  /** Writes ONNX Runtime's profile to files that begin with this path; ended by `dispose`. */
  readonly profile?: string;
  readonly name?: string;
}

/**
 * A compiled function: arrays in, arrays out, in the places where the traced function had tensors. What the function
 * marked with `keepOnDevice` comes out as a `DeviceArray`; any argument may be one.
 */
export interface Compiled<A extends readonly unknown[], R> {
  (...inputs: { [K in keyof A]: ArgumentsOf<A[K]> }): Promise<ArraysOf<R>>;
  /** What was compiled, without its bytes, which the device's thread has taken. */
  readonly model: Omit<Model, 'bytes'>;
  dispose(): Promise<void>;
}

/** The result of a traced function that also writes to the store. */
export interface Step<R> {
  readonly outputs: R;
  /** New values of parameters: they replace the old ones when the call is done. */
  readonly updates: ReadonlyMap<Parameter, Tensor>;
}

/** Where graphs run: one of ONNX Runtime's providers, in a thread of its own. Made by `openDevice`. */
export class Device {
  readonly provider: Provider;
  readonly threads: number;
  readonly #port: Port;
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  #nextId = 0;
  #channelBlock: number | undefined;
  #failure: Error | undefined;

  /** Use `openDevice`. */
  constructor(provider: Provider, threads: number, port: Port) {
    this.provider = provider;
    this.threads = threads;
    this.#port = port;
    port.onAnswer((answer) => {
      const waiter = this.#waiting.get(answer.id);
      // closing turned all waiters away; an answer may have been on its way
      if (!waiter) return;
      this.#waiting.delete(answer.id);
      if ('error' in answer) waiter.reject(new DeviceError(answer.error));
      else waiter.resolve(answer.reply);
    });
    port.onFailure((error) => this.#fail(new DeviceError(error.message)));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  #send(message: (id: number) => Message, transfer: ArrayBuffer[] = []): Promise<Reply> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#port.post(message(id), transfer);
    });
    return keepAlive(reply);
  }

  /** For `openDevice`. */
  async open(assets: string | undefined): Promise<void> {
    const { provider, threads } = this;
    await this.#send((id) => ({ id, open: { provider, threads, stores: stores(provider), assets } }));
  }

  /**
   * For `openDevice`: asks ONNX Runtime how many channels a block of its blocked layout has on this processor, by
   * reordering numbers and looking where they land. Processors without such kernels answer with an error.
   */
  async findChannelBlock(): Promise<void> {
    const session = this.newKey();
    const { model, x } = reorderProbe();
    try {
      const about = { outputs: ['y'], kept: [], binding: undefined, profile: undefined, folder: undefined };
      await this.request({ kind: 'session', session, model, ...about }, [model.buffer]);
      const { y } = await this.request({
        kind: 'run',
        session,
        feeds: { x },
        resident: {},
        cached: {},
        keep: {},
      });
      // the second position of the first channel lies behind the first positions of the block's channels
      const block = Array.from(y!.data, Number).indexOf(1);
      if (block > 1) this.#channelBlock = block;
      await this.request({ kind: 'release', session });
    } catch {
      this.#channelBlock = undefined;
    }
  }

  /** For `Store` and compiled functions. */
  request(request: Request, transfer: ArrayBuffer[] = []): Promise<Reply> {
    return this.#send((id) => ({ id, request }), transfer);
  }

  /** A number that no other session or store of this device has. */
  newKey(): number {
    return this.#nextId++;
  }

  /** A place on the device for values that live across calls: weights, optimiser state, caches. */
  async store(values: ReadonlyMap<Parameter, NdArray>): Promise<Store> {
    const store = new Store(this);
    await store.write(values);
    return store;
  }

  /**
   * Traces `f` once with symbols of the given inputs and compiles it. Parameters that `f` uses must have a value in
   * `weights` or in `store`.
   */
  async compile<const A extends readonly unknown[], R>(
    f: (...inputs: { [K in keyof A]: TensorsOf<A[K]> }) => R,
    options: CompileOptions & { readonly inputs: A },
  ): Promise<Compiled<{ [K in keyof A]: TensorsOf<A[K]> }, R>> {
    const inputs = symbols(options.inputs);
    const outputs = this.#trace<A, R>(f, inputs);
    return this.#finish(inputs, { outputs, updates: new Map() }, options);
  }

  /** Like `compile`, for a function that also updates parameters of the store. */
  async compileStep<const A extends readonly unknown[], R>(
    f: (...inputs: { [K in keyof A]: TensorsOf<A[K]> }) => Step<R>,
    options: CompileOptions & { readonly inputs: A; readonly store: Store },
  ): Promise<Compiled<{ [K in keyof A]: TensorsOf<A[K]> }, R>> {
    const inputs = symbols(options.inputs);
    return this.#finish(inputs, this.#trace<A, Step<R>>(f, inputs), options);
  }

  #trace<A extends readonly unknown[], R>(
    f: (...inputs: { [K in keyof A]: TensorsOf<A[K]> }) => R,
    inputs: readonly Tree[],
  ): R {
    return tracingFor(this.provider, () => f(...(inputs as unknown as { [K in keyof A]: TensorsOf<A[K]> })));
  }

  async #finish<A extends readonly unknown[], R>(
    inputs: readonly Tree[],
    step: Step<R>,
    options: CompileOptions,
  ): Promise<Compiled<A, R>> {
    const { store, weights } = options;
    if (store && store.device !== this) throw new DeviceError('the store lies on another device');
    const leaves = flattenTree(step.outputs as Tree<Tensor | Resident>);
    const results = leaves.map((leaf) => (leaf instanceof Resident ? leaf.tensor : leaf));
    const given = inputs.flatMap((tree) => flattenTree(tree) as readonly Tensor[]);
    for (const leaf of leaves) if (leaf instanceof Resident) refuseUnknownSize(leaf.tensor, given);
    const updates = [...step.updates];
    for (const [parameter, value] of updates) {
      if (showShape(parameter.shape) !== showShape(value.shape) || parameter.dtype !== value.dtype) {
        throw new DeviceError(`the update of a parameter ${parameter} is ${value}`);
      }
    }
    const parameterNames = store?.names;
    const model = lower([...results, ...updates.map(([, value]) => value)], {
      provider: this.provider,
      channelBlock: this.#channelBlock,
      name: options.name ?? 'graph',
      arguments: inputs.flatMap((tree) => flattenTree(tree)),
      ...(weights ? { weights } : {}),
      ...(parameterNames ? { parameterNames } : {}),
    });
    const outputs = model.outputs.slice(0, results.length);
    const kept = outputs.filter((_, i) => leaves[i] instanceof Resident);
    let binding: StoreBinding | undefined;
    if (model.parameters.size > 0 || updates.length > 0) {
      if (!store) {
        const [parameter] = model.parameters.values();
        throw new DeviceError(`a parameter ${parameter} has no value: give weights or a store`);
      }
      binding = {
        store: store.key,
        reads: [...model.parameters].map(([input, parameter]) => [input, store.keyOf(parameter)] as const),
        writes: updates.map(
          ([parameter], i) => [model.outputs[results.length + i]!, store.keyOf(parameter)] as const,
        ),
      };
    }
    const { bytes, folder } = model;
    if (folder !== undefined && !readsFiles)
      throw new DeviceError('weights in files can be used in Node only');
    const session = this.newKey();
    await this.request(
      { kind: 'session', session, model: bytes, outputs, kept, binding, folder, profile: options.profile },
      [bytes.buffer],
    );
    const symbolsInOrder = inputs.flatMap((tree) => flattenTree(tree));

    let disposed = false;

    const run = async (...trees: unknown[]): Promise<ArraysOf<R>> => {
      if (disposed) throw new DeviceError('the compiled function was disposed of');
      if (binding && store?.disposed) throw new DeviceError('the store was disposed of');
      const arrays = argumentsInOrder(inputs, trees);
      const free = checkInputs(symbolsInOrder, arrays);
      const feeds: Record<string, NdArray> = {};
      const resident: Record<string, number> = {};
      const cached: Record<string, { cache: number; part: CacheView['part']; layer: number }> = {};
      symbolsInOrder.forEach((symbol, i) => {
        const { name } = symbol.source as { name: string };
        const array = arrays[i]!;
        if (isCacheView(array)) {
          const { cache, part, layer } = array;
          if (cache.device !== this) throw new DeviceError(`argument ${i} lies on another device`);
          if (cache.disposed) throw new DeviceError(`argument ${i} is of a cache that was disposed of`);
          if (model.inputs.has(name)) cached[name] = { cache: cache.key, part, layer };
        } else if (array instanceof DeviceArray) {
          if (array.device !== this)
            throw new DeviceError(`argument ${i} lies on another device: read it first`);
          if (array.disposed) throw new DeviceError(`argument ${i} was disposed of`);
          if (model.inputs.has(name)) resident[name] = array.key;
        } else if (model.inputs.has(name)) feeds[name] = array;
      });
      const keep = Object.fromEntries(kept.map((output) => [output, this.newKey()]));
      const reply = await this.request({ kind: 'run', session, feeds, resident, cached, keep });
      let at = 0;
      return mapTree<Tensor | Resident, NdArray | DeviceArray>(step.outputs as Tree, ({ dtype, shape }) => {
        const output = outputs[at++]!;
        const key = keep[output];
        if (key === undefined) return reply[output]!;
        return new DeviceArray(this, key, { dtype, shape: shape.map((dim) => evaluateDim(dim, free)) });
      }) as ArraysOf<R>;
    };
    return Object.assign(run, {
      model,
      dispose: async () => {
        if (disposed) return;
        disposed = true;
        await this.request({ kind: 'release', session });
      },
    }) as unknown as Compiled<A, R>;
  }

  /** Ends the device's thread and frees all it holds. */
  async close(): Promise<void> {
    this.#fail(new DeviceError('the device is closed'));
    await this.#port.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
