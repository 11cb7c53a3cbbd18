/**
 * Symbolic tensors. A `Tensor` is a value of a graph that has not run: a shape, a dtype, and the node that
 * will make it. Numbers stand at the edges only (`NdArray`), so nothing here is ever freed by hand.
 *
 * The methods of `Tensor` are declared where each operator is (`ops/*.ts`), by declaration merging.
 */

import type { DType, NdArray } from './array.ts';
import { type Dim, type Shape, showShape } from './dims.ts';
import type { Attributes, Operator } from './operator.ts';

/** What is known of a value before the graph runs. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** One application of an operator. */
export interface Node<A extends Attributes = Attributes> {
  readonly operator: Operator<A>;
  readonly inputs: readonly Tensor[];
  readonly attributes: A;
  readonly outputs: readonly Tensor[];
  /** The modules in whose `forward` the node was made, for error messages. */
  readonly scope: Scope | undefined;
}

/** Where a value enters a graph: an argument, a weight, or a constant. */
export type Source =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'parameter' }
  | { readonly kind: 'constant'; readonly value: NdArray };

/** A value of a graph: a symbol that operators make others from. It holds no numbers. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: operators add their methods where they are defined
export class Tensor implements TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
  /** The node that makes this value; absent for a leaf. */
  readonly node: Node | undefined;
  /** Which output of `node` this is. */
  readonly index: number;
  /** What a leaf is; absent for a computed value. */
  readonly source: Source | undefined;

  constructor(type: TensorType, from: { node: Node; index: number } | Source) {
    this.shape = type.shape;
    this.dtype = type.dtype;
    const computed = 'node' in from;
    this.node = computed ? from.node : undefined;
    this.index = computed ? from.index : 0;
    this.source = computed ? undefined : from;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The size of one axis; negative axes count from the end. */
  dim(axis: number): Dim {
    return this.shape[normalizeAxis(axis, this.rank)]!;
  }

  /** The size of one axis as a number; throws when it is free. */
  size(axis: number): number {
    const dim = this.dim(axis);
    if (typeof dim !== 'number') throw new TensorError(`axis ${axis} of ${this} is free, a number is needed`);
    return dim;
  }

  toString(): string {
    return `${this.dtype}${showShape(this.shape)}`;
  }
}

export interface Tensor {
  /** Arithmetic operators on tensors would silently give NaN or text: refuse instead. */
  valueOf(): never;
}

Tensor.prototype.valueOf = function (this: Tensor): never {
  throw new TensorError(
    `a tensor (${this}) is not a number: use its methods (add, mul, ...) instead of + and *`,
  );
};

/** A leaf that is trained or loaded: its value lives outside the graph, keyed by this object. */
export class Parameter extends Tensor {
  constructor(shape: Shape, dtype: DType = 'float32') {
    super({ shape, dtype }, { kind: 'parameter' });
  }
}

/** A mistake in building a graph. The message names the modules, the operator and the shapes. */
export class TensorError extends Error {
  constructor(message: string) {
    const path = scopePath(currentScope);
    super(path ? `${path}: ${message}` : message);
    this.name = 'TensorError';
  }
}

/** `axis` as an index from the front; throws when it is outside the rank. */
export function normalizeAxis(axis: number, rank: number): number {
  const index = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= rank) {
    throw new TensorError(`axis ${axis} is outside rank ${rank}`);
  }
  return index;
}

/** A chain of the modules whose `forward` is under way. */
export interface Scope {
  readonly module: object;
  readonly parent: Scope | undefined;
}

let currentScope: Scope | undefined;

/** The module that is being traced. */
export function getScope(): Scope | undefined {
  return currentScope;
}

/** Runs `body` as part of `module`, so that errors can say where they happened. */
export function withScope<T>(module: object, body: () => T): T {
  const parent = currentScope;
  currentScope = { module, parent };
  try {
    return body();
  } finally {
    currentScope = parent;
  }
}

/** `DiT.blocks.3.attn`: the outermost module's class, then the property names down to the innermost. */
function scopePath(scope: Scope | undefined): string {
  const modules: object[] = [];
  for (let s = scope; s; s = s.parent) modules.unshift(s.module);
  return modules
    .map(
      (module, i) => (i === 0 ? undefined : propertyPath(modules[i - 1]!, module)) ?? module.constructor.name,
    )
    .join('.');
}

function propertyPath(owner: object, target: object): string | undefined {
  for (const [key, value] of Object.entries(owner)) {
    if (value === target) return key;
    if (Array.isArray(value)) {
      const at = value.indexOf(target);
      if (at >= 0) return `${key}.${at}`;
    }
  }
  return undefined;
}
