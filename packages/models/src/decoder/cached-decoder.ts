/**
 * A decoder on a device, with its cache: one compiled graph takes blocks of a prompt, single tokens and trees of
 * tokens alike, since how many there are and how much the cache holds are free dimensions.
 */

import {
  argMax,
  cachedAttention,
  type Device,
  type DeviceArray,
  gather,
  KvCache,
  keepOnDevice,
  maskedAttention,
  type NdArray,
  ndarray,
  type QueryCount,
  rotary,
  stack,
  type Tensor,
  toNumbers,
  type WeightValues,
} from '@working-papers/tensor';
import { compileByCount } from './by-count.ts';
import type { DecoderConfig } from './config.ts';
import type { Decoder } from './decoder.ts';
import { ropeTables } from './rope.ts';
import { sideBySide } from './side-by-side.ts';

/** Rows of a chunk of the cache: with many small ones, weighting the chunks' outputs takes as long as making them. */
const cacheChunk = 1024;

/** Added to the score of what a query may not see. */
const unseen = -1e30;

/** Tokens to compute, and what they see of each other. */
export interface DecodeStep {
  readonly tokens: ArrayLike<number>;
  /** Of each token; default: those after what the cache holds. */
  readonly positions?: ArrayLike<number>;
  /** Which tokens see which of the others, [T, T]: see `visibility`. Default: causal. */
  readonly bias?: NdArray;
  /** The tokens whose next one is asked for; default the last. */
  readonly read?: readonly number[];
}

/** What comes of a step; to be disposed of. */
export interface DecodeResult extends Disposable {
  /** The likeliest next token, for each token asked for. */
  readonly best: readonly number[];
  /** [R, V], on the device until it is read. */
  readonly logits: DeviceArray;
  /** Of the tokens, [L, T, Hkv, dh], for `KvCache.append`. */
  readonly keys: DeviceArray;
  readonly values: DeviceArray;
}

/** Of `prefill`. */
export interface PrefillOptions {
  /** Tokens of a block; default 256, down to 32 where the text before it is long. */
  readonly block?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number) => void;
}

/** A compiled decoder whose keys and values stay on the device. */
export interface CachedDecoder {
  readonly device: Device;
  readonly config: DecoderConfig;
  /** An empty cache for at most `capacity` tokens, of all layers. */
  createCache(capacity: number): Promise<KvCache>;
  /** Computes tokens that follow what the cache holds. The cache stays as it is. */
  step(cache: KvCache, step: DecodeStep): Promise<DecodeResult>;
  /** Puts tokens into the cache; resolves to the result of the last block, whose last token is asked for. */
  prefill(cache: KvCache, tokens: ArrayLike<number>, options?: PrefillOptions): Promise<DecodeResult>;
  dispose(): Promise<void>;
}

/** The bias [S, T] in which token t sees token s where `sees(t, s)` says so. */
export function visibility(
  keys: number,
  queries: number,
  sees: (query: number, key: number) => boolean,
): NdArray {
  const data = new Float32Array(keys * queries);
  for (let key = 0; key < keys; key++)
    for (let query = 0; query < queries; query++) if (!sees(query, key)) data[key * queries + query] = unseen;
  return ndarray(data, [keys, queries]);
}

/** What a compiled function reads of a layer's cache. */
export function cacheSpec({ numKvHeads, headDim }: DecoderConfig, chunk = cacheChunk) {
  return {
    keys: { shape: ['chunks', numKvHeads, chunk, headDim + 1] },
    values: { shape: ['chunks', numKvHeads, headDim, chunk] },
  } as const;
}

interface Traced {
  readonly tokens: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly bias: Tensor;
  readonly read: Tensor;
}

type CacheTensors = readonly { readonly keys: Tensor; readonly values: Tensor }[];

/**
 * Tokens of a block of the prompt: the larger, the fewer passes over the weights, but all their scores are in memory
 * at once.
 */
const [fewestInBlock, mostInBlock, scoreBytes] = [32, 256, 2 ** 25];

/** The decoder as a graph: T tokens after a cache → logits of those asked for, and the tokens' keys and values. */
function trace(
  { model, attention = 'hybrid' }: CachedDecoderOptions,
  inputs: Traced,
  cache: CacheTensors,
  queries: QueryCount,
) {
  const attend = attention === 'hybrid' ? cachedAttention : maskedAttention;
  const { numHeads, numKvHeads, headDim } = model.config;
  const { tokens, cos, sin, bias, read } = inputs;
  const time = tokens.dim(0);
  const own: { readonly keys: Tensor; readonly values: Tensor }[] = [];
  let x = model.model.embedTokens.forward(tokens); // (T, D)
  model.model.layers.forEach(({ selfAttn, mlp, inputLayernorm, postAttentionLayernorm }, i) => {
    const { qProj, kProj, vProj, oProj } = selfAttn;
    const heads = sideBySide(inputLayernorm.forward(x), [qProj, kProj, vProj], queries).reshape([
      time,
      numHeads + 2 * numKvHeads,
      headDim,
    ]);
    const turned = rotary(heads.slice(1, 0, numHeads + numKvHeads), cos, sin);
    const q = turned.slice(1, 0, numHeads);
    const keys = turned.slice(1, numHeads); // (T, Hkv, dh)
    const values = heads.slice(1, numHeads + numKvHeads);
    own.push({ keys, values });
    x = x.add(oProj.forward(attend(q, cache[i]!, { keys, values, bias }, queries)));
    const [gate, up] = sideBySide(
      postAttentionLayernorm.forward(x),
      [mlp.gateProj, mlp.upProj],
      queries,
    ).split(2, -1) as [Tensor, Tensor];
    x = x.add(mlp.downProj.forward(gate.silu().mul(up)));
  });
  const logits = model.logits(model.model.norm.forward(gather(x, read))); // (R, V)
  return {
    best: argMax(logits, -1),
    logits: keepOnDevice(logits),
    keys: keepOnDevice(stack(own.map(({ keys }) => keys))), // (L, T, Hkv, dh)
    values: keepOnDevice(stack(own.map(({ values }) => values))),
  };
}

/** Of `openCachedDecoder`. */
export interface CachedDecoderOptions {
  readonly device: Device;
  readonly model: Decoder;
  readonly weights: WeightValues;
  /**
   * How tokens attend to the cache and to each other; default `hybrid`, which masks only what is not in the cache.
   * `masked` copies and masks everything: for comparison.
   */
  readonly attention?: 'hybrid' | 'masked';
  /**
   * Bytes of weights up to which they are in memory twice, in a graph for few tokens and in one for many; default
   * 256 MB. Larger models have one graph for both, which takes a little longer for either.
   */
  readonly twiceUpTo?: number;
}

function compile(options: CachedDecoderOptions, queries: QueryCount) {
  const { device, model, weights } = options;
  const { config } = model;
  const half = config.headDim / 2;
  return device.compile((inputs, cache) => trace(options, inputs, cache, queries), {
    inputs: [
      {
        tokens: { shape: ['tokens'], dtype: 'int32' },
        cos: { shape: ['tokens', half] },
        sin: { shape: ['tokens', half] },
        bias: { shape: ['tokens', 'tokens'] },
        read: { shape: ['read'], dtype: 'int32' },
      },
      Array.from({ length: config.numLayers }, () => cacheSpec(config)),
    ] as const,
    weights,
    name: 'decoder',
  });
}

/** Compiles the decoder; its weights become part of the graph. */
export async function openCachedDecoder(options: CachedDecoderOptions): Promise<CachedDecoder> {
  const { device, model, weights } = options;
  const { config } = model;
  const compiled = (queries: QueryCount) => compile(options, queries);
  const graphs = await compileByCount(weights, compiled, options.twiceUpTo);
  const blockAfter = (length: number) => {
    const most = scoreBytes / (4 * config.numHeads * Math.max(1, length));
    return Math.min(mostInBlock, Math.max(fewestInBlock, 2 ** Math.floor(Math.log2(most))));
  };
  const causal = new Map<number, NdArray>();
  const causalBias = (count: number): NdArray => {
    const known = causal.get(count) ?? visibility(count, count, (query, key) => key <= query);
    causal.set(count, known);
    return known;
  };

  const step = async (cache: KvCache, given: DecodeStep): Promise<DecodeResult> => {
    const { tokens, read = [tokens.length - 1] } = given;
    const count = tokens.length;
    const positions = given.positions ?? Array.from({ length: count }, (_, i) => cache.length + i);
    const { cos, sin } = ropeTables(config.rope, positions);
    const inputs = {
      tokens: ndarray(tokens, [count], 'int32'),
      cos,
      sin,
      bias: given.bias ?? causalBias(count),
      read: ndarray(read, [read.length], 'int32'),
    };
    const views = Array.from({ length: config.numLayers }, (_, layer) => cache.view(layer));
    const run = graphs.of((count * config.numHeads) / config.numKvHeads);
    const { best, logits, keys, values } = await run(inputs, views);
    return {
      best: toNumbers(best),
      logits,
      keys,
      values,
      [Symbol.dispose]() {
        for (const array of [logits, keys, values]) array.dispose();
      },
    };
  };

  return {
    device,
    config,
    createCache: (capacity) =>
      KvCache.create(device, {
        layers: config.numLayers,
        kvHeads: config.numKvHeads,
        headDim: config.headDim,
        capacity: Math.ceil(capacity / cacheChunk) * cacheChunk,
        chunk: cacheChunk,
      }),
    step,
    async prefill(cache, tokens, { block, signal, onProgress } = {}) {
      if (tokens.length === 0) throw new RangeError('prefill: the prompt has no tokens');
      const list = Array.from(tokens);
      for (let at = 0; ; ) {
        signal?.throwIfAborted();
        const part = list.slice(at, at + (block ?? blockAfter(cache.length)));
        at += part.length;
        const result = await step(cache, { tokens: part });
        await cache.append(
          result.keys,
          result.values,
          part.map((_, i) => i),
        );
        onProgress?.(at);
        if (at >= list.length) return result;
        result[Symbol.dispose]();
      }
    },
    dispose: graphs.dispose,
  };
}
