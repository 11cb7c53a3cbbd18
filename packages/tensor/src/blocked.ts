/**
 * A pass over an ONNX graph that moves convolutions with weights known only at run time, as in a training step, into
 * ONNX Runtime's blocked layout (NCHWc): [N, C / b, H, W, b], where its direct kernels run at twice the rate of
 * im2col. ONNX Runtime does this by itself only where the weights are part of the model.
 *
 * Values stay blocked through what surrounds a convolution (element by element, normalisation by channel, sums over a
 * channel) and are brought back only for nodes that need the plain layout. A blocked value keeps its logical shape
 * [N, C, H, W] in the graph, as ONNX Runtime's own blocked values do.
 */

import { type NdArray, ndarray, sizeOf } from './array.ts';
import { encodeModel, type OnnxNode } from './onnx.ts';
import { withSums } from './onnx-passes.ts';
import { elementwise, inferType, type KnownType, reductions } from './onnx-types.ts';
import type { OnnxAttributes } from './operator.ts';

/** What is known of a graph that is put into the blocked layout. */
export interface BlockedOptions {
  /** b: channels of a block, as the processor's kernels have it. */
  readonly block: number;
  /** What is known of values by name. */
  readonly types: ReadonlyMap<string, KnownType>;
  readonly initializers: ReadonlyMap<string, NdArray>;
  /** Adds an initializer and returns its name. */
  readonly constant: (value: NdArray) => string;
}

/** The same graph with convolutions in the blocked layout, under the same names of inputs and outputs. */
export function toBlocked(nodes: readonly OnnxNode[], options: BlockedOptions): OnnxNode[] {
  return new BlockedLayout(options).run(nodes);
}

/** Where ONNX Runtime has its operators of the blocked layout. */
export const domain = 'com.microsoft.nchwc';

/**
 * A model that reorders x [1, 64, 1, 2], and 0, 1, 2, ... as x: the 1, second position of the first channel, lands
 * behind the first positions of the block's channels.
 */
export function reorderProbe(): { model: Uint8Array<ArrayBuffer>; x: NdArray } {
  const shape = [1, 64, 1, 2];
  const value = (name: string) => ({ name, dtype: 'float32' as const, shape });
  const node = {
    type: 'ReorderInput',
    domain,
    name: 'reorder',
    inputs: ['x'],
    outputs: ['y'],
    attributes: {},
  };
  const graph = { name: 'reorder', nodes: [node], inputs: [value('x')], outputs: [value('y')] };
  const x = ndarray(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
    shape,
  );
  return { model: encodeModel({ ...graph, initializers: new Map() }), x };
}

class BlockedLayout {
  readonly #options: BlockedOptions;
  readonly #types: Map<string, KnownType>;
  readonly #out: OnnxNode[] = [];
  /** Values that exist blocked, by plain name. */
  readonly #blocked = new Map<string, string>();
  /** The two blocked values that a product of whole values was made of. */
  readonly #factors = new Map<string, readonly [string, string]>();
  /** How often each value of the given graph is read. */
  readonly #reads = new Map<string, number>();
  /** Values that do not exist in the plain layout yet, with the node of the given graph that makes them. */
  readonly #pending = new Map<string, OnnxNode>();
  #count = 0;

  constructor(options: BlockedOptions) {
    this.#options = options;
    this.#types = new Map(options.types);
  }

  run(nodes: readonly OnnxNode[]): OnnxNode[] {
    for (const name of nodes.flatMap(({ inputs }) => inputs))
      this.#reads.set(name, (this.#reads.get(name) ?? 0) + 1);
    for (const node of nodes) {
      inferType(node, this.#types, this.#options.initializers);
      if (!this.#replace(node)) this.#keep(node);
    }
    return withSums(this.#out, domain, new Set(this.#blocked.values()));
  }

  #keep(node: OnnxNode): void {
    for (const input of node.inputs) this.#plain(input);
    this.#out.push(node);
  }

  /** Whether the node has been emitted in the blocked layout. */
  #replace(node: OnnxNode): boolean {
    if (node.domain === domain && node.type === 'ReorderInput') return this.#reordered(node);
    if (node.domain !== '') return false;
    if (node.type === 'Conv') return this.#conv(node);
    if (node.type === 'BatchNormalization') return this.#batchNorm(node);
    if (reductions.has(node.type)) return this.#reduce(node);
    if (elementwise.has(node.type)) return this.#perChannel(node) || this.#elementwise(node);
    return false;
  }

  /** A lowering asked for the blocked layout: mostly the value is there already. */
  #reordered(node: OnnxNode): boolean {
    const blocked = this.#asBlocked(node.inputs[0]!);
    if (blocked === undefined) return false;
    this.#write('Identity', [blocked], node.outputs[0]!);
    return true;
  }

  #emit(type: string, inputs: readonly string[], attributes: OnnxAttributes = {}, of = ''): string {
    const output = `b${this.#count++}`;
    this.#write(type, inputs, output, attributes, of);
    return output;
  }

  #write(type: string, inputs: readonly string[], output: string, attributes: OnnxAttributes = {}, of = '') {
    this.#out.push({ type, domain: of, name: `blocked.${output}`, inputs, outputs: [output], attributes });
  }

  #ints(values: readonly number[]): string {
    return this.#options.constant(ndarray(values, [values.length], 'int64'));
  }

  #reshape(value: string, shape: readonly number[]): string {
    return this.#emit('Reshape', [value, this.#ints(shape)]);
  }

  /** Says that the node's output is the blocked value `name`. */
  #made(node: OnnxNode, name: string): true {
    this.#blocked.set(node.outputs[0]!, name);
    this.#pending.set(node.outputs[0]!, node);
    return true;
  }

  /** Makes sure that a value exists in the plain layout. */
  #plain(name: string): void {
    const node = this.#pending.get(name);
    if (!node) return;
    this.#pending.delete(name);
    const { dtype, shape } = this.#types.get(name)!;
    if (dtype !== 'float32') {
      // only float32 can be reordered; the node is cheap and its inputs can
      this.#keep(node);
      return;
    }
    this.#write('ReorderOutput', [this.#blocked.get(name)!], name, { channels: { int: shape[1]! } }, domain);
  }

  /** The value in the blocked layout, or `undefined` where it has none. */
  #asBlocked(name: string): string | undefined {
    const known = this.#blocked.get(name);
    if (known !== undefined) return known;
    const type = this.#types.get(name);
    if (type?.dtype !== 'float32' || !this.#fits(type.shape)) return undefined;
    const made = this.#emit('ReorderInput', [name], {}, domain);
    this.#blocked.set(name, made);
    return made;
  }

  #fits(shape: readonly number[]): boolean {
    return shape.length === 4 && shape[1]! % this.#options.block === 0 && sizeOf(shape) > 0;
  }

  #conv(node: OnnxNode): boolean {
    const { block, initializers } = this.#options;
    const [x, w, bias] = node.inputs as [string, string, string | undefined];
    const [tx, ty] = [this.#types.get(x), this.#types.get(node.outputs[0]!)];
    const { group, kernel_shape: kernel } = node.attributes;
    // weights that are part of the model are reordered once, by ONNX Runtime itself
    if (!tx || !ty || ty.dtype !== 'float32' || !this.#fits(ty.shape) || initializers.has(w)) return false;
    if (!(group && 'int' in group && group.int === 1 && kernel && 'ints' in kernel)) return false;
    const [channels, out, taps] = [tx.shape[1]!, ty.shape[1]!, sizeOf(kernel.ints)];
    const few = channels < block;
    if (!few && !this.#fits(tx.shape)) return false;
    // without taps to gather the plain kernel is one product: not worth a reordering
    if (taps === 1 && !this.#blocked.has(x)) return false;
    const input = few ? x : this.#asBlocked(x)!;
    if (few) this.#plain(x);
    this.#plain(w);
    const [split, order] = few
      ? [
          [out / block, block, channels * taps],
          [0, 2, 1],
        ]
      : [
          [out / block, block, channels / block, block, taps],
          [0, 2, 4, 3, 1],
        ];
    const ordered = this.#emit('Transpose', [this.#reshape(w, split)], { perm: { ints: order } });
    const weight = this.#reshape(ordered, [out, channels, ...kernel.ints]);
    const inputs = [input, weight, ...(bias === undefined ? [] : [bias])];
    if (bias !== undefined) this.#plain(bias);
    return this.#made(node, this.#emit('Conv', inputs, node.attributes, domain));
  }

  /** slope · x + shift for each channel, as a convolution of each channel with one tap; both [C]. */
  #affine(x: string, channels: number, slope: string, shift?: string): string {
    return this.#perPlane(x, this.#reshape(slope, [channels, 1, 1, 1]), channels, [1, 1], shift);
  }

  /** A convolution of each channel with a kernel of its own, without padding. */
  #perPlane(x: string, weight: string, channels: number, kernel: readonly number[], bias?: string): string {
    return this.#emit(
      'Conv',
      [x, weight, ...(bias === undefined ? [] : [bias])],
      {
        strides: { ints: [1, 1] },
        pads: { ints: [0, 0, 0, 0] },
        dilations: { ints: [1, 1] },
        kernel_shape: { ints: kernel },
        group: { int: channels },
      },
      domain,
    );
  }

  #batchNorm(node: OnnxNode): boolean {
    const [x, scale, bias, mean, variance] = node.inputs as [string, string, string, string, string];
    const blocked = this.#blocked.get(x);
    const { epsilon, training_mode: training } = node.attributes;
    if (blocked === undefined || !(epsilon && 'float' in epsilon)) return false;
    if (training) return this.#batchNormTraining(node, blocked, epsilon.float);
    for (const input of [scale, bias, mean, variance]) this.#plain(input);
    const channels = this.#types.get(x)!.shape[1]!;
    let slope = scale;
    if (!(this.#isFilledWith(variance, 1) && epsilon.float === 0)) {
      const offset = this.#options.constant(ndarray([epsilon.float], [], 'float32'));
      const deviation = this.#emit('Sqrt', [this.#emit('Add', [variance, offset])]);
      slope = this.#emit('Div', [scale, deviation]);
    }
    const shift = this.#isFilledWith(mean, 0)
      ? bias
      : this.#emit('Sub', [bias, this.#emit('Mul', [mean, slope])]);
    return this.#made(node, this.#affine(blocked, channels, slope, shift));
  }

  /** By the statistics of the batch: the mean, then the variance of what is left, then one multiple of that. */
  #batchNormTraining(node: OnnxNode, x: string, epsilon: number): boolean {
    const [name, scale, bias] = node.inputs as [string, string, string];
    const [, mean, variance] = node.outputs as [string, string, string];
    for (const input of [scale, bias]) this.#plain(input);
    const { shape } = this.#types.get(name)!;
    const channels = shape[1]!;
    this.#write('Reshape', [this.#overChannels('ReduceMean', x, shape), this.#ints([channels])], mean);
    const one = this.#options.constant(ndarray(new Float32Array(channels).fill(1), [channels]));
    const centred = this.#affine(x, channels, one, this.#emit('Neg', [mean]));
    const squares = this.#products('ReduceMean', [centred, centred], shape);
    this.#write('Reshape', [squares, this.#ints([channels])], variance);
    const offset = this.#options.constant(ndarray([epsilon], [], 'float32'));
    const deviation = this.#emit('Sqrt', [this.#emit('Add', [variance, offset])]);
    return this.#made(node, this.#affine(centred, channels, this.#emit('Div', [scale, deviation]), bias));
  }

  /** A reduction over batch and positions: [C / b, b]. */
  #overChannels(type: string, blocked: string, [n, channels, height, width]: readonly number[]): string {
    const { block } = this.#options;
    const parts = this.#reshape(blocked, [n!, channels! / block, height! * width!, block]);
    const drop = { keepdims: { int: 0 } };
    // two short reductions: ONNX Runtime has fast kernels for one run of axes, none for two
    const rows = this.#emit(type, [parts, this.#ints([2])], drop);
    return this.#emit(type, [rows, this.#ints([0])], drop);
  }

  /**
   * A reduction of x · y over batch and positions: [1, C]. The planes of y are the kernels of a convolution of x's, one
   * each: nothing is written that is as large as they are.
   */
  #products(type: string, [x, y]: readonly [string, string], shape: readonly number[]): string {
    const [n, channels, height, width] = shape as [number, number, number, number];
    // each plane is one running sum, which loses digits over very many terms
    if (height * width > 4096) return this.#overChannels(type, this.#emit('Mul', [x, y]), shape);
    const planes = n * channels;
    const kernels = this.#reshape(y, [planes, 1, height, width]);
    const sums = this.#perPlane(this.#reshape(x, [1, planes, height, width]), kernels, planes, [
      height,
      width,
    ]);
    const each = type === 'ReduceMean' ? 1 / (n * height * width) : 1;
    const row = this.#options.constant(ndarray(new Float32Array(n).fill(each), [1, n]));
    return this.#emit('MatMul', [row, this.#reshape(sums, [n, channels])]);
  }

  #isFilledWith(name: string, value: number): boolean {
    const data = this.#options.initializers.get(name)?.data;
    return data?.every((each: number | bigint) => Number(each) === value) ?? false;
  }

  /** Sums and means of a channel over batch and positions. */
  #reduce(node: OnnxNode): boolean {
    const [x, axes = ''] = node.inputs as [string, string?];
    const blocked = this.#blocked.get(x);
    const { keepdims } = node.attributes;
    const list = this.#options.initializers.get(axes)?.data;
    if (blocked === undefined || !list || [...list].map(Number).sort().join() !== '0,2,3') return false;
    const { shape } = this.#types.get(x)!;
    const factors = this.#reads.get(x) === 1 ? this.#factors.get(x) : undefined;
    const total =
      node.type === 'ReduceSumSquare'
        ? this.#products('ReduceSum', [blocked, blocked], shape)
        : factors
          ? this.#products(node.type, factors, shape)
          : this.#overChannels(node.type, blocked, shape);
    const keep = keepdims && 'int' in keepdims ? keepdims.int === 1 : true;
    this.#write('Reshape', [total, this.#ints(keep ? [1, shape[1]!, 1, 1] : [shape[1]!])], node.outputs[0]!);
    return true;
  }

  /** x · v, x + v and x − v with one number a channel. */
  #perChannel(node: OnnxNode): boolean {
    if (!['Mul', 'Add', 'Sub'].includes(node.type)) return false;
    const [first, second] = node.inputs as [string, string];
    const pairs =
      node.type === 'Sub'
        ? [[first, second]]
        : [
            [first, second],
            [second, first],
          ];
    for (const [x, v] of pairs as [string, string][]) {
      const blocked = this.#blocked.get(x);
      const channels = this.#types.get(x)?.shape[1];
      if (blocked === undefined || channels === undefined || channels === 1 || !this.#isChannels(v, channels))
        continue;
      if (this.#types.get(x)!.dtype !== 'float32') continue;
      this.#plain(v);
      const flat = this.#reshape(v, [channels]);
      const one = () => this.#options.constant(ndarray(new Float32Array(channels).fill(1), [channels]));
      const made =
        node.type === 'Mul'
          ? this.#affine(blocked, channels, flat)
          : this.#affine(blocked, channels, one(), node.type === 'Add' ? flat : this.#emit('Neg', [flat]));
      return this.#made(node, made);
    }
    return false;
  }

  #isChannels(name: string, channels: number): boolean {
    const shape = this.#types.get(name)?.shape;
    return shape !== undefined && [`${channels},1,1`, `1,${channels},1,1`].includes(shape.join());
  }

  /** All operands of the output's shape blocked, the others single numbers. */
  #elementwise(node: OnnxNode): boolean {
    const type = this.#types.get(node.outputs[0]!);
    if (!type || !this.#fits(type.shape) || (type.dtype !== 'float32' && type.dtype !== 'bool')) return false;
    const full: string[] = [];
    for (const input of node.inputs) {
      if (input === '') continue;
      const shape = this.#types.get(input)?.shape;
      if (!shape) return false;
      if (shape.join() === type.shape.join()) full.push(input);
      else if (sizeOf(shape) !== 1) return false;
    }
    const missing = full.filter((name) => !this.#blocked.has(name));
    const pending = full.filter((name) => this.#pending.has(name));
    // whichever layout needs fewer reorderings
    if (missing.length === full.length || missing.length > pending.length) return false;
    if (missing.some((name) => this.#types.get(name)!.dtype !== 'float32')) return false;
    const inputs = node.inputs.map((input) => {
      if (full.includes(input)) return this.#asBlocked(input)!;
      this.#plain(input);
      return input;
    });
    if (node.type === 'Mul' && full.length === 2)
      this.#factors.set(node.outputs[0]!, inputs as [string, string]);
    return this.#made(node, this.#emit(node.type, inputs, node.attributes));
  }
}
