/**
 * A pass over an ONNX graph that keeps convolutions in ONNX Runtime's blocked layout (see `blocked.ts`) while rows are
 * taken out of the batch between them. ONNX Runtime itself leaves that layout at each Gather, and with it the fused
 * convolutions around: normalisation, residual sum and ReLU in one kernel. A blocked value has its rows one after
 * another, so a Gather of rows is the same in both layouts.
 *
 * For graphs whose weights are known. Like ONNX Runtime's own pass, it fuses a convolution with what follows it; a
 * shortcut that picks positions and adds channels of zeros becomes a convolution of its own.
 */

import { type NdArray, ndarray, sizeOf, toNumbers } from './array.ts';
import { domain } from './blocked.ts';
import { type Shape, sameShape } from './dims.ts';
import type { OnnxNode } from './onnx.ts';

/** What is known of a graph that is put into the blocked layout. */
export interface BlockedInferenceOptions {
  /** b: channels of a block, as the processor's kernels have it. */
  readonly block: number;
  readonly initializers: ReadonlyMap<string, NdArray>;
  /** What is known of values by name; names in them are free dimensions. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Adds an initializer and returns its name. */
  readonly constant: (value: NdArray) => string;
}

/** What ONNX Runtime's own pass keeps blocked and this one does not. */
const left: ReadonlySet<string> = new Set([
  ...['AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'MaxPool', 'Concat', 'Mul', 'Sum'],
  ...['Clip', 'HardSigmoid', 'LeakyRelu', 'Sigmoid', 'Tanh', 'Resize', 'Transpose'],
]);

/**
 * Whether a graph is better off with this pass than with ONNX Runtime's own even where no rows are taken out: weights
 * are known, and there is nothing that only the other knows. This one also fuses a residual that comes from a plain
 * value, and a mean over positions stays blocked.
 */
export function suitsBlockedInference(
  nodes: readonly OnnxNode[],
  { initializers, shapes }: Pick<BlockedInferenceOptions, 'initializers' | 'shapes'>,
): boolean {
  // what is no map of channels has no layout to lose
  const isMap = (name: string) => (shapes.get(name)?.length ?? 4) === 4 && !initializers.has(name);
  const plainConv = ({ inputs, attributes: { group } }: OnnxNode) =>
    initializers.has(inputs[1]!) && group !== undefined && 'int' in group && group.int === 1;
  return nodes.every((node) =>
    node.type === 'Conv' ? plainConv(node) : !left.has(node.type) || !node.inputs.some(isMap),
  );
}

/** The same graph under the same names of inputs and outputs. */
export function toBlockedInference(nodes: readonly OnnxNode[], options: BlockedInferenceOptions): OnnxNode[] {
  return new BlockedInference(nodes, options).run();
}

/** A convolution that may still take in what follows it. */
interface Pending {
  readonly node: OnnxNode;
  readonly input: string;
  /** [O, I, kH, kW] */
  readonly weight: NdArray;
  readonly bias: Float32Array;
  /** A blocked value that is added. */
  readonly residual?: string;
  readonly relu: boolean;
}

/** Rows and columns of a value at even distances, not computed yet: `node` would in the plain layout. */
interface Sampled {
  readonly node: OnnxNode;
  /** The value that they are of. */
  readonly source: string;
  readonly strides: readonly [rows: number, columns: number];
}

/** A value that is blocked, with its logical channels. */
interface Blocked {
  readonly name: string;
  readonly channels: number;
}

class BlockedInference {
  readonly #nodes: readonly OnnxNode[];
  readonly #options: BlockedInferenceOptions;
  readonly #out: OnnxNode[] = [];
  /** By plain name. */
  readonly #pending = new Map<string, Pending>();
  readonly #sampled = new Map<string, Sampled>();
  readonly #blocked = new Map<string, Blocked>();
  /** Values that do not exist in the plain layout yet. */
  readonly #missing = new Set<string>();
  readonly #uses = new Map<string, number>();
  #count = 0;

  constructor(nodes: readonly OnnxNode[], options: BlockedInferenceOptions) {
    this.#nodes = nodes;
    this.#options = options;
    for (const { inputs } of nodes)
      for (const input of inputs) this.#uses.set(input, (this.#uses.get(input) ?? 0) + 1);
  }

  run(): OnnxNode[] {
    for (const node of this.#nodes) {
      if (this.#replace(node)) continue;
      for (const input of node.inputs) this.#plain(input);
      this.#out.push(node);
    }
    return this.#out;
  }

  #replace(node: OnnxNode): boolean {
    if (node.domain !== '') return false;
    if (node.type === 'Conv') return this.#conv(node);
    if (node.type === 'BatchNormalization') return this.#normalization(node);
    if (node.type === 'Add') return this.#add(node);
    if (node.type === 'Relu') return this.#relu(node);
    if (node.type === 'Gather') return this.#gather(node);
    if (node.type === 'Slice') return this.#slice(node);
    if (node.type === 'Pad') return this.#pad(node);
    if (node.type === 'ReduceMean') return this.#mean(node);
    return false;
  }

  #emit(type: string, inputs: readonly string[], attributes: OnnxNode['attributes'], of = ''): string {
    const output = `i${this.#count++}`;
    this.#out.push({ type, domain: of, name: `blocked.${output}`, inputs, outputs: [output], attributes });
    return output;
  }

  #made(node: OnnxNode, value: Blocked): true {
    this.#blocked.set(node.outputs[0]!, value);
    this.#missing.add(node.outputs[0]!);
    return true;
  }

  /** Makes sure that a value exists in the plain layout. */
  #plain(name: string): void {
    const sampled = this.#sampled.get(name);
    if (sampled && this.#sampled.delete(name)) {
      for (const input of sampled.node.inputs) this.#plain(input);
      this.#out.push(sampled.node);
      return;
    }
    const blocked = this.#asBlocked(name);
    if (!blocked || !this.#missing.delete(name)) return;
    const attributes = { channels: { int: blocked.channels } };
    const [inputs, outputs] = [[blocked.name], [name]];
    this.#out.push({ type: 'ReorderOutput', domain, name: `blocked.${name}`, inputs, outputs, attributes });
  }

  /** The value in the blocked layout; `undefined` where it is plain only. */
  #asBlocked(name: string): Blocked | undefined {
    const known = this.#blocked.get(name);
    if (known) return known;
    const pending = this.#pending.get(name);
    if (!pending) return undefined;
    const { node, input, weight, bias, residual, relu } = pending;
    const channels = weight.shape[0]!;
    const inputs = [input, this.#weight(weight), this.#options.constant(ndarray(bias, [channels]))];
    const attributes = { ...node.attributes, ...(relu ? { activation: { string: 'Relu' } } : {}) };
    const made = this.#emit('Conv', residual ? [...inputs, residual] : inputs, attributes, domain);
    const blocked = { name: made, channels };
    this.#blocked.set(name, blocked);
    this.#missing.add(name);
    return blocked;
  }

  /** [O, I, kH, kW] as the kernels read it: blocks of O, blocks of I, taps, I, O; few I stay as they are. */
  #weight({ shape, data }: NdArray): string {
    const { block } = this.#options;
    const [out, channels] = shape as [number, number];
    const taps = sizeOf(shape.slice(2));
    const inner = Math.min(block, channels);
    const ordered = new Float32Array(data.length);
    let at = 0;
    for (let o = 0; o < out; o += block)
      for (let i = 0; i < channels; i += inner)
        if (channels < block) {
          for (let c = 0; c < channels; c++)
            for (let tap = 0; tap < taps; tap++)
              for (let k = 0; k < block; k++)
                ordered[at++] = Number(data[((o + k) * channels + c) * taps + tap]);
        } else {
          for (let tap = 0; tap < taps; tap++)
            for (let c = 0; c < block; c++)
              for (let k = 0; k < block; k++)
                ordered[at++] = Number(data[((o + k) * channels + i + c) * taps + tap]);
        }
    return this.#options.constant(ndarray(ordered, shape));
  }

  #conv(node: OnnxNode): boolean {
    const { block, initializers } = this.#options;
    const [x, w, b] = node.inputs as [string, string, string | undefined];
    const weight = initializers.get(w);
    const bias = b === undefined ? undefined : initializers.get(b);
    if (weight?.dtype !== 'float32' || weight.shape.length !== 4 || (b !== undefined && !bias)) return false;
    const [out, channels] = weight.shape as [number, number];
    const { group } = node.attributes;
    if (!(group && 'int' in group && group.int === 1) || out % block !== 0) return false;
    const few = channels < block;
    if (!few && channels % block !== 0) return false;
    if (few) this.#plain(x);
    const input = few ? x : (this.#asBlocked(x)?.name ?? this.#reordered(x, channels));
    const start = bias ? Float32Array.from(bias.data, Number) : new Float32Array(out);
    this.#pending.set(node.outputs[0]!, { node, input, weight, bias: start, relu: false });
    return true;
  }

  #reordered(plain: string, channels: number): string {
    const name = this.#emit('ReorderInput', [plain], {}, domain);
    this.#blocked.set(plain, { name, channels });
    return name;
  }

  /** A convolution that nothing else reads and that has no residual yet. */
  #open(name: string): Pending | undefined {
    const pending = this.#pending.get(name);
    const free = pending && !this.#blocked.has(name) && this.#uses.get(name) === 1 && !pending.relu;
    return free ? pending : undefined;
  }

  #normalization(node: OnnxNode): boolean {
    const [x, ...names] = node.inputs as [string, ...string[]];
    const pending = this.#open(x);
    const values = names.map((name) => this.#options.initializers.get(name));
    const { epsilon, training_mode: training } = node.attributes;
    if (!pending || pending.residual || training || !(epsilon && 'float' in epsilon)) return false;
    if (values.some((each) => each === undefined)) return false;
    const [scale, shift, mean, variance] = values.map((each) => toNumbers(each!));
    const slope = scale!.map((s, c) => s / Math.sqrt(variance![c]! + epsilon.float));
    const { shape } = pending.weight;
    const size = sizeOf(shape.slice(1));
    const scaled = Float32Array.from(toNumbers(pending.weight), (v, i) => v * slope[Math.floor(i / size)]!);
    const bias = pending.bias.map((b, c) => (b - mean![c]!) * slope[c]! + shift![c]!);
    this.#pending.set(node.outputs[0]!, { ...pending, weight: ndarray(scaled, shape), bias });
    return true;
  }

  /** A convolution plus what has the same shape. */
  #add(node: OnnxNode): boolean {
    const [a, b] = node.inputs as [string, string];
    const [left, right] = [a, b].map((name) => this.#options.shapes.get(name));
    if (a === b || !left || !right || !sameShape(left, right)) return false;
    const inner = [a, b].find((name) => this.#open(name)?.residual === undefined && this.#open(name));
    if (inner === undefined) return false;
    const pending = this.#open(inner)!;
    const other = inner === a ? b : a;
    const residual = this.#asBlocked(other)?.name ?? this.#reordered(other, pending.weight.shape[0]!);
    this.#pending.set(node.outputs[0]!, { ...pending, residual });
    return true;
  }

  #relu(node: OnnxNode): boolean {
    const pending = this.#open(node.inputs[0]!);
    if (!pending) return false;
    this.#pending.set(node.outputs[0]!, { ...pending, relu: true });
    return true;
  }

  #gather(node: OnnxNode): boolean {
    const [x, rows] = node.inputs as [string, string];
    const { axis } = node.attributes;
    const blocked = axis && 'int' in axis && axis.int === 0 ? this.#asBlocked(x) : undefined;
    if (!blocked) return false;
    const name = this.#emit('Gather', [blocked.name, rows], { axis: { int: 0 } });
    return this.#made(node, { name, channels: blocked.channels });
  }

  /** Every s-th row or column from the first on. */
  #slice(node: OnnxNode): boolean {
    const [x, ...names] = node.inputs as [string, ...string[]];
    const before = this.#sampled.get(x);
    const source = before?.source ?? x;
    const shape = this.#options.shapes.get(x);
    const [starts, ends, axes, steps] = names.map((name) => {
      const value = this.#options.initializers.get(name);
      return value && toNumbers(value);
    });
    if (!starts || !ends || !axes || !steps || shape?.length !== 4 || !this.#isBlocked(source)) return false;
    const strides: [number, number] = before ? [...before.strides] : [1, 1];
    for (const [i, axis] of axes.entries()) {
      const size = shape[axis];
      if ((axis !== 2 && axis !== 3) || typeof size !== 'number') return false;
      const step = steps[i]!;
      const last = (Math.ceil(size / step) - 1) * step;
      if (starts[i] !== 0 || ends[i]! <= last || step < 1) return false;
      strides[axis - 2]! *= step;
    }
    this.#sampled.set(node.outputs[0]!, { node, source, strides });
    return true;
  }

  /**
   * Channels of zeros around those of a value, or of its rows and columns at even distances: a convolution with one tap
   * that picks channels, in one kernel and without leaving the layout.
   */
  #pad(node: OnnxNode): boolean {
    const { block, initializers, shapes } = this.#options;
    const [x, padsName = '', fill = ''] = node.inputs as [string, string?, string?];
    const { mode } = node.attributes;
    const pads = initializers.get(padsName);
    const value = fill === '' ? 0 : initializers.get(fill)?.data[0];
    const channels = shapes.get(x)?.[1];
    const { source = x, strides = [1, 1] } = this.#sampled.get(x) ?? {};
    if (node.inputs.length > 3 || (mode && !('string' in mode && mode.string === 'constant'))) return false;
    if (!pads || value === undefined || Number(value) !== 0 || typeof channels !== 'number') return false;
    const [before = 0, after = 0] = [1, 5].map((at) => toNumbers(pads)[at]);
    if (toNumbers(pads).some((pad, at) => (at % 4 === 1 ? pad < 0 : pad !== 0))) return false;
    const out = before + channels + after;
    if (out % block !== 0 || channels % block !== 0 || !this.#isBlocked(source)) return false;
    const weight = new Float32Array(out * channels);
    for (let c = 0; c < channels; c++) weight[(before + c) * channels + c] = 1;
    const attributes = {
      strides: { ints: [...strides] },
      pads: { ints: [0, 0, 0, 0] },
      dilations: { ints: [1, 1] },
      kernel_shape: { ints: [1, 1] },
      group: { int: 1 },
    };
    const inputs = [this.#asBlocked(source)!.name, this.#weight(ndarray(weight, [out, channels, 1, 1]))];
    return this.#made(node, { name: this.#emit('Conv', inputs, attributes, domain), channels: out });
  }

  #isBlocked(name: string): boolean {
    return this.#blocked.has(name) || this.#pending.has(name);
  }

  /** The mean over positions: [N, C, 1, 1], where a block's channels lie as in the plain order. */
  #mean(node: OnnxNode): boolean {
    const [x, axes = ''] = node.inputs as [string, string?];
    const { initializers, shapes, constant } = this.#options;
    const list = initializers.get(axes)?.data;
    if (shapes.get(x)?.length !== 4 || !list || [...list].map(Number).join() !== '2,3') return false;
    const blocked = this.#asBlocked(x);
    if (!blocked) return false;
    const means = this.#emit('GlobalAveragePool', [blocked.name], {}, domain);
    const { keepdims } = node.attributes;
    const keep = keepdims && 'int' in keepdims ? keepdims.int === 1 : true;
    // 0: as many rows as there are
    const shape = keep ? [0, blocked.channels, 1, 1] : [0, blocked.channels];
    const inputs = [means, constant(ndarray(shape, [shape.length], 'int64'))];
    this.#out.push({ ...node, type: 'Reshape', inputs, attributes: {} });
    return true;
  }
}
