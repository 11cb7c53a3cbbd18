/**
 * Adapter guidance distillation (Perez Jensen and Sadat 2025, arXiv 2503.07274): small networks beside the attention
 * modules of a frozen diffusion transformer, which add what classifier-free guidance would have changed.
 */

import type { DiT, DiTHooks } from '@working-papers/models/dit';
import { Module } from '@working-papers/nn/module';
import { concat, type Tensor } from '@working-papers/tensor';
import {
  type Adapter,
  type AdapterOptions,
  type Conditions,
  CrossAttentionAdapter,
  GatedAdapter,
  OffsetAdapter,
  PositionAdapter,
} from './adapters.ts';

export const adapterKinds = ['offset', 'attention', 'position', 'gated'] as const;
export type AdapterKind = (typeof adapterKinds)[number];

/** What an adapter set is made of besides the network's own sizes; plain JSON. */
export interface AdapterSetOptions extends AdapterOptions {
  readonly kind: AdapterKind;
}

/** The sizes of the network that adapters stand beside. */
export interface NetworkSize {
  readonly depth: number;
  readonly width: number;
  readonly tokens: number;
}

export function sizeOfNetwork({ blocks, hiddenSize, posEmbed }: DiT): NetworkSize {
  return { depth: blocks.length, width: hiddenSize, tokens: posEmbed.shape[1] as number };
}

function createAdapter({ kind, ...options }: AdapterSetOptions, { width, tokens }: NetworkSize): Adapter {
  switch (kind) {
    case 'offset':
      return new OffsetAdapter(width, options);
    case 'attention':
      return new CrossAttentionAdapter(width, options);
    case 'position':
      return new PositionAdapter(width, tokens, options);
    case 'gated':
      return new GatedAdapter(width, options);
  }
}

/** An adapter under its name in files, with what multiplies it. */
class AdaptedBlock extends Module {
  readonly attn: Adapter;
  readonly #linear: boolean;

  constructor(attn: Adapter, linear: boolean) {
    super();
    this.attn = attn;
    this.#linear = linear;
  }

  /** Of what is prepared for one picture. */
  get preparedShape(): readonly number[] {
    return this.#linear ? [this.#preparedSize + 1] : this.attn.preparedShape;
  }

  get #preparedSize(): number {
    return this.attn.preparedShape.reduce((a, b) => a * b, 1);
  }

  /** Conditions → [N, ...preparedShape]; ω − 1 is the last number of a linear one. */
  prepare(conditions: Conditions): Tensor {
    const prepared = this.attn.prepare(conditions);
    if (!this.#linear) return prepared;
    const flat = prepared.reshape([prepared.dim(0), this.#preparedSize]);
    return concat([flat, conditions.scale.sub(1).unsqueeze(-1)], -1);
  }

  /** As an adapter's `apply`. */
  apply(prepared: Tensor, input: Tensor): Tensor {
    if (!this.#linear) return this.attn.apply(prepared, input);
    const size = this.#preparedSize;
    const own = prepared.slice(-1, 0, size).reshape([prepared.dim(0), ...this.attn.preparedShape]);
    return this.attn.apply(own, input).mul(prepared.slice(-1, size).unsqueeze(-1));
  }
}

/** Adapters and a network do not belong together, or were told too little. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
}

/** One adapter beside every attention module of a DiT; `blocks.{i}.attn.*`. */
export class GuidanceAdapters extends Module {
  readonly blocks: readonly AdaptedBlock[];
  readonly options: AdapterSetOptions;
  readonly network: NetworkSize;

  constructor(options: AdapterSetOptions, network: NetworkSize) {
    super();
    this.options = options;
    this.network = network;
    this.blocks = Array.from(
      { length: network.depth },
      () => new AdaptedBlock(createAdapter(options, network), options.linear ?? false),
    );
  }

  /** Throws an AdapterError unless the network has the blocks, width and tokens that the adapters are made for. */
  checkFits(network: DiT): void {
    const found = sizeOfNetwork(network);
    const differs = (key: keyof NetworkSize) => found[key] !== this.network[key];
    const byPlace = this.options.kind === 'position';
    if (differs('depth') || differs('width') || (byPlace && differs('tokens'))) {
      const describe = ({ depth, width, tokens }: NetworkSize) =>
        `${depth} blocks of width ${width}${byPlace ? ` with ${tokens} tokens` : ''}`;
      throw new AdapterError(
        `these adapters are for ${describe(this.network)}, the model has ${describe(found)}`,
      );
    }
  }

  /** What does not depend on the picture, one tensor a block. Throws an AdapterError where ω or the time is missing. */
  prepare(conditions: Conditions): Tensor[] {
    const { useTimestep = true, useClass = true } = this.options;
    const needed = { scale: true, time: useTimestep, label: useClass } as const;
    for (const [name, isNeeded] of Object.entries(needed)) {
      if (isNeeded && !conditions[name as keyof Conditions])
        throw new AdapterError(
          `adapters need the ${name === 'scale' ? 'guidance scale' : name} of each picture`,
        );
    }
    return this.blocks.map((block) => block.prepare(conditions));
  }

  /** Puts the adapters beside the attention modules of the network whose forward gets these hooks. */
  hooks(prepared: readonly Tensor[]): DiTHooks {
    return {
      branch: ({ block, kind, input }, compute) =>
        kind === 'attn' ? compute().add(this.blocks[block]!.apply(prepared[block]!, input)) : compute(),
    };
  }
}

/** The network's own embeddings of time and label, beside the scale. */
export function conditionsOf(network: DiT, level: Tensor, labels: Tensor, scale: Tensor): Conditions {
  const time = network.tEmbedder.forward(level);
  return { scale, time, label: network.yEmbedder.embeddingTable.forward(labels) };
}

/**
 * The guided network in one call: what it sees [N, C, S, S], its numbers for the levels, labels and ω (each [N]) →
 * what CFG would have made of two. Without adapters, or with untrained ones, the conditional network.
 */
export function student(
  network: DiT,
  adapters: GuidanceAdapters,
): (x: Tensor, level: Tensor, labels: Tensor, scale: Tensor) => Tensor {
  adapters.checkFits(network);
  return (x, level, labels, scale) => {
    const prepared = adapters.prepare(conditionsOf(network, level, labels, scale));
    return network.forward(x, level, labels, adapters.hooks(prepared));
  };
}
