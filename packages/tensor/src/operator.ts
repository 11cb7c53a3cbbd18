/** What an operator is: its shape rule, its lowering to ONNX, its gradient, in one object in one place. */

import type { DType, NdArray } from './array.ts';
import type { Dim, Shape } from './dims.ts';
import type { AttributeValue } from './onnx.ts';
import type { Provider } from './provider.ts';
import { getScope, type Node, Tensor, TensorError, type TensorType } from './tensor.ts';

/** Plain data only: attributes are compared by their JSON text. */
export type Attributes = { readonly [key: string]: unknown };

/** What a lowering may use. Values of the ONNX graph are known by name. */
export interface Lowering {
  /** The execution provider that the graph is made for. */
  readonly provider: Provider;
  /** Channels of a block, where convolutions run in ONNX Runtime's blocked layout. */
  readonly channelBlock: number | undefined;
  /** Appends an ONNX node with one output and returns the output's name. */
  emit(type: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string;
  /** Appends an ONNX node with several outputs; the count decides how many are asked for. */
  emitMany(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: OnnxAttributes,
    domain?: string,
  ): string[];
  /** What the graph calls a value that an input of the lowered node was made of. */
  nameOf(tensor: Tensor): string;
  /** A number that no other call on this graph returns. */
  serial(): number;
  /** An initializer, shared between equal small arrays. */
  constant(value: NdArray): string;
  /** A large constant that is made once a graph: the key says all that it depends on. */
  table(key: string, make: () => NdArray): string;
  /** A scalar constant of `dtype`. */
  scalar(value: number, dtype: DType): string;
  /** A 1-D int64 constant. */
  ints(values: readonly number[]): string;
  /** A 1-D int64 value that holds the shape: constant when it is fixed, computed from the inputs otherwise. */
  shape(shape: Shape): string;
  /** A scalar int64 value of one dimension. */
  dim(dim: Dim): string;
}

/** Attributes of a node by name; undefined ones are left out. */
export type OnnxAttributes = { readonly [name: string]: AttributeValue | undefined };

/** One operator with all that is known of it: shapes, lowering, gradient. */
export interface Operator<A extends Attributes = Attributes> {
  readonly name: string;
  /** One line: what it computes, with the reference of its definition. */
  readonly doc: string;
  /** The shape rule: types of the outputs, or a thrown `TensorError` that says what does not fit. */
  infer(inputs: readonly Tensor[], attributes: A): TensorType | readonly TensorType[];
  /** Names of dimensions that this node brings into being, since their sizes depend on values. */
  newDims?(attributes: A): readonly string[];
  /** Emits ONNX nodes and returns the names of the outputs. */
  lower(onnx: Lowering, inputs: readonly string[], node: Node<A>): string | readonly string[];
  /**
   * The vector-Jacobian product: gradients of the inputs from the gradients of the outputs (`undefined` where
   * nothing flows). `null` marks an operator that is not differentiable; its inputs count as constants.
   */
  readonly grad:
    | ((gradients: readonly (Tensor | undefined)[], node: Node<A>) => readonly (Tensor | undefined)[])
    | null;
}

const registry = new Map<string, Operator>();

/** All operators by name, in order of definition. */
export function operators(): ReadonlyMap<string, Operator> {
  return registry;
}

/** Registers an operator and returns it. */
export function defineOperator<A extends Attributes>(operator: Operator<A>): Operator<A> {
  if (registry.has(operator.name)) throw new Error(`operator '${operator.name}' is defined twice`);
  registry.set(operator.name, operator as unknown as Operator);
  return operator;
}

/** Applies an operator with several outputs. */
export function applyMany<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly Tensor[],
  attributes: A,
): readonly Tensor[] {
  let inferred: TensorType | readonly TensorType[];
  try {
    inferred = operator.infer(inputs, attributes);
  } catch (error) {
    if (error instanceof TypeError)
      throw new TensorError(`${operator.name} ${inputs.join(', ')}: ${error.message}`);
    throw error;
  }
  const types = Array.isArray(inferred) ? (inferred as readonly TensorType[]) : [inferred as TensorType];
  const outputs: Tensor[] = [];
  const node = { operator, inputs, attributes, outputs, scope: getScope() } as unknown as Node;
  types.forEach((type, index) => {
    outputs.push(new Tensor(type, { node, index }));
  });
  return outputs;
}

/** Applies an operator with one output. */
export function apply<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly Tensor[],
  attributes: A,
): Tensor {
  return applyMany(operator, inputs, attributes)[0]!;
}

/** Throws the error of a shape rule: `matmul [8,64,256] x [384,768]: inner dimensions 256 and 384 differ`. */
export function refuse(operator: string, inputs: readonly TensorType[], why: string): never {
  throw new TensorError(`${operator} ${inputs.map((t) => `[${t.shape.join(',')}]`).join(' x ')}: ${why}`);
}
