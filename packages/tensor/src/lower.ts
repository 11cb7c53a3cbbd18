/**
 * Turns symbolic tensors into an ONNX model. Dead nodes never appear (only what the outputs need is visited)
 * and equal sub-expressions are emitted once (nodes are numbered by operator, attributes and inputs).
 */

import {
  type DType,
  type FileArray,
  folderOf,
  isFileArray,
  type NdArray,
  ndarray,
  sizeOf,
  zerosArray,
} from './array.ts';
import { topologicalOrder } from './autodiff.ts';
import { toBlocked } from './blocked.ts';
import { suitsBlockedInference, toBlockedInference } from './blocked-inference.ts';
import { type Dim, type Shape, termsOf } from './dims.ts';
import { type AttributeValue, encodeModel, type OnnxNode, type OnnxValue, onnxType } from './onnx.ts';
import { withoutIdentities, withoutUnused } from './onnx-passes.ts';
import type { KnownType } from './onnx-types.ts';
import type { Lowering, OnnxAttributes } from './operator.ts';
import type { Provider } from './provider.ts';
import type { Node, Parameter, Tensor } from './tensor.ts';

/** An ONNX model and what its inputs and outputs are called. */
export interface Model {
  /** The `.onnx` file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Names of the graph's inputs that are arguments (an argument that nothing uses is absent). */
  readonly inputs: ReadonlySet<string>;
  /** Parameters that are graph inputs, by ONNX name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** One ONNX name for each requested output, in order, all different. */
  readonly outputs: readonly string[];
  readonly nodeCount: number;
  /** Where the weights are that lie in files. */
  readonly folder: string | undefined;
}

/** Of `lower`. */
export interface LowerOptions {
  readonly provider?: Provider;
  /** Channels of a block in ONNX Runtime's blocked layout; without it convolutions stay in the plain one. */
  readonly channelBlock?: number | undefined;
  readonly name?: string;
  /** Parameters whose values become part of the model. */
  readonly weights?: ReadonlyMap<Parameter, NdArray | FileArray>;
  /** ONNX names of the other parameters; without one they are `p0`, `p1`, ... */
  readonly parameterNames?: ReadonlyMap<Parameter, string>;
  /** All arguments: those that nothing computes with can still say what a free dimension is. */
  readonly arguments?: readonly Tensor[];
  /** Names for the outputs; default `out0`, `out1`, ... */
  readonly outputNames?: readonly string[];
}

/** Lowers `outputs` and all they depend on. Throws when a free dimension is read off no argument. */
export function lower(outputs: readonly Tensor[], options: LowerOptions = {}): Model {
  return new GraphBuilder(options).build(outputs);
}

class GraphBuilder implements Lowering {
  readonly provider: Provider;
  readonly channelBlock: number | undefined;
  readonly #options: LowerOptions;
  readonly #nodes: OnnxNode[] = [];
  readonly #names = new Map<Tensor, string>();
  readonly #inputs = new Map<string, OnnxValue>();
  readonly #arguments = new Set<string>();
  readonly #parameters = new Map<string, Parameter>();
  readonly #initializers = new Map<string, NdArray>();
  readonly #files = new Map<string, FileArray>();
  /** Weights as their files have them, by the names of the widened ones. */
  readonly #halves = new Map<string, string>();
  /** By content where they are small, else by identity. */
  readonly #constants = new Map<string | NdArray, string>();
  readonly #dims = new Map<Dim, string>();
  /** Outputs whose size along an axis is a dimension that only a run knows, by its name. */
  readonly #born = new Map<string, Tensor>();
  readonly #known = new Map<string, readonly string[]>();
  #current = '';
  #serial = 0;
  #weightCount = 0;

  constructor(options: LowerOptions) {
    this.provider = options.provider ?? 'cpu';
    this.channelBlock = options.channelBlock;
    this.#options = options;
  }

  build(outputs: readonly Tensor[]): Model {
    const order = topologicalOrder(outputs);
    // Leaves first: free dimensions are read off the arguments.
    const leaves = new Set<Tensor>();
    for (const node of order) for (const input of node.inputs) if (input.source) leaves.add(input);
    for (const output of outputs) if (output.source) leaves.add(output);
    for (const leaf of leaves) this.#leaf(leaf);
    for (const node of order) this.#findNewDims(node);
    for (const node of order) this.#lower(node);

    const outputNames = outputs.map((_, i) => this.#options.outputNames?.[i] ?? `out${i}`);
    const produced = outputs.map((output, i) => {
      const name = outputNames[i]!;
      this.#current = 'output';
      this.#push('Identity', [this.#names.get(output)!], [name], {}, '');
      return { name, dtype: output.dtype, shape: output.shape };
    });
    const born = new Set(this.#born.values());
    const nodes = withoutUnused(withoutIdentities(this.#inLayout(), new Set(outputNames)), outputNames);
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    const bytes = encodeModel({
      name: this.#options.name ?? 'graph',
      nodes,
      inputs: [...this.#inputs.values()],
      outputs: produced,
      // named, so that ONNX Runtime sees which values are of one size: only those can share memory
      values: [...born].map((value) => ({
        dtype: value.dtype,
        shape: value.shape,
        name: this.#names.get(value)!,
      })),
      // tables of what was split before it was written, for one, are read by no node
      initializers: new Map([...this.#initializers].filter(([name]) => read.has(name))),
      files: this.#files,
    });
    return {
      bytes,
      inputs: this.#arguments,
      parameters: this.#parameters,
      outputs: outputNames,
      nodeCount: this.#nodes.length,
      folder: this.#folder(),
    };
  }

  #folder(): string | undefined {
    const folders = new Set([...this.#files.values()].map(({ path }) => folderOf(path)));
    if (folders.size > 1)
      throw new RangeError(`weights lie in several folders, one is possible: ${[...folders].join(', ')}`);
    return [...folders][0];
  }

  #lower(node: Node): void {
    // a dimension that it makes was asked for before
    if (this.#names.has(node.outputs[0]!)) return;
    const inputs = node.inputs.map((input) => this.#names.get(input)!);
    const key = `${node.operator.name}(${inputs.join(',')})${JSON.stringify(node.attributes)}`;
    let names = this.#known.get(key);
    if (!names) {
      this.#current = node.operator.name;
      const lowered = this.#empty(node) ?? node.operator.lower(this, inputs, node);
      names = typeof lowered === 'string' ? [lowered] : lowered;
      this.#known.set(key, names);
    }
    node.outputs.forEach((output, i) => {
      this.#names.set(output, names[i]!);
    });
    for (const name of node.operator.newDims?.(node.attributes) ?? []) {
      const output = node.outputs.find(({ shape }) => shape.includes(name))!;
      if (this.#names.get(output) !== this.#names.get(this.#born.get(name)!)) otherSize(name);
    }
  }

  /** The first node that makes a dimension stands for all that make it: they must be the same computation. */
  #findNewDims({ operator, attributes, outputs }: Node): void {
    for (const name of operator.newDims?.(attributes) ?? []) {
      const has = ({ shape }: { readonly shape: Shape }): boolean => shape.includes(name);
      if ([...this.#inputs.values(), ...(this.#options.arguments ?? [])].some(has)) otherSize(name);
      if (!this.#born.has(name)) this.#born.set(name, outputs.find(has)!);
    }
  }

  /** The nodes, convolutions in the layout that the provider's kernels are fastest in. */
  #inLayout(): readonly OnnxNode[] {
    const block = this.#options.channelBlock;
    if (block === undefined || !this.#nodes.some(({ type }) => type === 'Conv')) return this.#nodes;
    const constant = (value: NdArray) => this.constant(value);
    const shapes = new Map([...this.#names].map(([{ shape }, name]) => [name, shape]));
    const known = { initializers: this.#initializers, shapes };
    if (this.#born.size > 0 || suitsBlockedInference(this.#nodes, known))
      return toBlockedInference(this.#nodes, { ...known, block, constant });
    const types = new Map<string, KnownType>();
    for (const [{ dtype, shape }, name] of this.#names) {
      if (shape.every((dim) => typeof dim === 'number')) types.set(name, { dtype, shape: shape as number[] });
    }
    for (const [name, { dtype, shape }] of this.#initializers) types.set(name, { dtype, shape });
    return toBlocked(this.#nodes, { block, types, initializers: this.#initializers, constant });
  }

  /** Outputs without elements need no kernel; GPU kernels fail on them. */
  #empty({ outputs }: Node): string[] | undefined {
    const fixed = outputs.every(
      ({ shape }) => shape.includes(0) && shape.every((dim) => typeof dim === 'number'),
    );
    if (!fixed) return undefined;
    return outputs.map(({ shape, dtype }) => this.constant(zerosArray(shape as number[], dtype)));
  }

  #leaf(leaf: Tensor): void {
    const source = leaf.source!;
    if (source.kind === 'constant') {
      this.#names.set(leaf, this.constant(source.value));
      return;
    }
    if (source.kind === 'parameter') {
      const parameter = leaf as Parameter;
      const value = this.#options.weights?.get(parameter);
      // a store calls its parameters p0, p1, ...: what becomes part of the model must not take their names
      const fresh = value ? `w${this.#weightCount++}` : `p${this.#parameters.size}`;
      const name = this.#options.parameterNames?.get(parameter) ?? fresh;
      this.#names.set(leaf, name);
      if (value) {
        if (isFileArray(value)) this.#file(leaf, name, value);
        else this.#initializers.set(name, value);
        return;
      }
      this.#parameters.set(name, parameter);
    } else {
      this.#names.set(leaf, source.name);
      this.#arguments.add(source.name);
    }
    const name = this.#names.get(leaf)!;
    this.#inputs.set(name, { name, dtype: leaf.dtype, shape: leaf.shape });
  }

  /** ONNX Runtime widens halves once, as it does all that is constant. */
  #file(leaf: Tensor, name: string, value: FileArray): void {
    this.#files.set(name, value);
    if (value.stored === value.dtype) return;
    this.#current = 'weights';
    const widened = this.emit('Cast', [name], { to: { int: onnxType(value.dtype) } });
    this.#halves.set(widened, name);
    this.#names.set(leaf, widened);
  }

  #push(
    type: string,
    inputs: readonly string[],
    outputs: string[],
    attributes: OnnxAttributes,
    domain: string,
  ) {
    const name = `${this.#current}.${this.#nodes.length}`;
    this.#nodes.push({ type, domain, name, inputs, outputs, attributes });
  }

  emitMany(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes: OnnxAttributes = {},
    domain = '',
  ): string[] {
    const names = Array.from({ length: outputs }, (_, i) => `v${this.#nodes.length}${i ? `.${i}` : ''}`);
    this.#push(type, inputs, names, attributes, domain);
    return names;
  }

  emit(type: string, inputs: readonly string[], attributes: OnnxAttributes = {}, domain = ''): string {
    const key = `${domain}:${type}(${inputs.join(',')})${attributesKey(attributes)}`;
    const known = this.#known.get(key);
    if (known) return known[0]!;
    const table = type === 'Gather' ? this.#halves.get(inputs[0]!) : undefined;
    if (table !== undefined) {
      // rows are widened as they are read: a wide copy of the whole table would be in memory beside it
      const rows = this.emit(type, [table, ...inputs.slice(1)], attributes, domain);
      return this.emit('Cast', [rows], { to: { int: onnxType('float32') } });
    }
    const names = this.emitMany(type, inputs, 1, attributes, domain);
    this.#known.set(key, names);
    return names[0]!;
  }

  nameOf(tensor: Tensor): string {
    return this.#names.get(tensor)!;
  }

  serial(): number {
    return ++this.#serial;
  }

  constant(value: NdArray): string {
    const small = sizeOf(value.shape) <= 64;
    const key = small ? `${value.dtype}[${value.shape.join(',')}]${value.data.join(',')}` : value;
    const known = this.#constants.get(key);
    if (known) return known;
    const name = `c${this.#initializers.size}`;
    this.#initializers.set(name, value);
    this.#constants.set(key, name);
    return name;
  }

  table(key: string, make: () => NdArray): string {
    const known = this.#constants.get(key);
    if (known) return known;
    const name = this.constant(make());
    this.#constants.set(key, name);
    return name;
  }

  scalar(value: number, dtype: DType): string {
    return this.constant(ndarray([value], [], dtype));
  }

  ints(values: readonly number[]): string {
    return this.constant(ndarray(values, [values.length], 'int64'));
  }

  shape(shape: Shape): string {
    if (shape.every((dim) => typeof dim === 'number')) return this.ints(shape as number[]);
    const parts = shape.map((dim) =>
      typeof dim === 'number' ? this.ints([dim]) : this.emit('Unsqueeze', [this.dim(dim), this.ints([0])]),
    );
    return parts.length === 1 ? parts[0]! : this.emit('Concat', parts, { axis: { int: 0 } });
  }

  dim(dim: Dim): string {
    if (typeof dim === 'number') return this.scalar(dim, 'int64');
    const known = this.#dims.get(dim);
    if (known) return known;
    const sum = termsOf(dim).map(({ coefficient, factors }) => {
      const values = factors.map((factor) => {
        if ('name' in factor) return this.#readDim(factor.name);
        // ONNX Div truncates; dimensions are not negative, so that is the floor
        return this.emit('Div', [this.dim(factor.floor), this.scalar(factor.by, 'int64')]);
      });
      if (coefficient !== 1 || values.length === 0) values.push(this.scalar(coefficient, 'int64'));
      return values.reduce((a, b) => this.emit('Mul', [a, b]));
    });
    const name = sum.reduce((a, b) => this.emit('Add', [a, b]));
    this.#dims.set(dim, name);
    return name;
  }

  #readDim(name: string): string {
    const born = this.#born.get(name);
    if (born) {
      const current = this.#current;
      for (const node of topologicalOrder([born])) this.#lower(node);
      this.#current = current;
      return this.#sizeOf(this.#names.get(born)!, born.shape.indexOf(name));
    }
    const has = ({ shape }: { readonly shape: Shape }): boolean => shape.includes(name);
    if (![...this.#inputs.values()].some(has)) {
      const argument = this.#options.arguments?.find(has);
      if (argument) this.#leaf(argument);
    }
    for (const input of this.#inputs.values()) {
      const axis = input.shape.indexOf(name);
      if (axis < 0) continue;
      return this.#sizeOf(input.name, axis);
    }
    throw new RangeError(`dimension '${name}' is an axis of no argument`);
  }

  #sizeOf(value: string, axis: number): string {
    const size = this.emit('Shape', [value], { start: { int: axis }, end: { int: axis + 1 } });
    return this.emit('Squeeze', [size, this.ints([0])]);
  }
}

function otherSize(name: string): never {
  throw new RangeError(`the dimension '${name}' has another size already`);
}

function attributesKey(attributes: OnnxAttributes): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) parts.push(`${name}=${attributeText(value)}`);
  }
  return parts.join(';');
}

function attributeText(value: AttributeValue): string {
  if ('tensor' in value) return `${value.tensor.dtype}:${value.tensor.shape}:${value.tensor.data}`;
  return JSON.stringify(value);
}
