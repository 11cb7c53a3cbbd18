/** Pooling over one or two spatial axes, channels first: x [N, C, L] or [N, C, H, W]. */

import { ndarray } from '../array.ts';
import { concrete, productOf, type Shape } from '../dims.ts';
import { apply, applyMany, defineOperator, type Lowering, refuse } from '../operator.ts';
import type { Node, Tensor } from '../tensor.ts';
import { constant, zeros } from './constant.ts';
import { outputSize } from './conv.ts';
import { gather, scatterAdd, takeAlongAxis } from './indexing.ts';
import { defineMethods } from './methods.ts';
import type { ReduceOptions } from './reduce.ts';
import { resize2d } from './resize.ts';
import { type AxisMap, axisMap, mapAxes, transposed } from './separable.ts';

/** Of `maxPool` and `averagePool`. */
export interface PoolOptions {
  /** Default: the kernel, so that windows do not overlap. */
  readonly stride?: number | readonly number[];
  /** At both ends of each axis, at most half the kernel; default 0. */
  readonly padding?: number | readonly number[];
}

interface PoolAttributes {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
  readonly [key: string]: unknown;
}

type PerAxis = number | readonly number[];

function normalize(
  name: string,
  x: Tensor,
  kernel: PerAxis,
  options: PoolOptions & { readonly dilation?: PerAxis },
): PoolAttributes {
  const axes = x.rank - 2;
  if (axes !== 1 && axes !== 2) refuse(name, [x], 'the input must be [N, C, L] or [N, C, H, W]');
  const perAxis = (what: string, value: PerAxis, least: number): number[] => {
    const list = typeof value === 'number' ? Array.from({ length: axes }, () => value) : [...value];
    if (list.length !== axes || list.some((item) => !Number.isInteger(item) || item < least)) {
      refuse(name, [x], `${what} ${list} is not ${axes} integers of at least ${least}`);
    }
    return list;
  };
  const sizes = perAxis('kernel', kernel, 1);
  const pads = perAxis('padding', options.padding ?? 0, 0);
  sizes.forEach((size, i) => {
    if (pads[i]! > size / 2) refuse(name, [x], `padding ${pads[i]} is more than half the kernel ${size}`);
  });
  return {
    kernel: sizes,
    strides: perAxis('stride', options.stride ?? sizes, 1),
    pads,
    dilations: perAxis('dilation', options.dilation ?? 1, 1),
  };
}

function pooledShape(name: string, x: Tensor, { kernel, strides, pads, dilations }: PoolAttributes): Shape {
  const spatial = kernel.map((size, i) => {
    const pooled = outputSize(x.shape[i + 2]!, size, strides[i]!, 2 * pads[i]!, dilations[i]!);
    if (typeof pooled === 'number' && pooled < 1) {
      refuse(
        name,
        [x],
        `the kernel ${kernel} with dilation ${dilations} is larger than padded axis ${i + 2}`,
      );
    }
    return pooled;
  });
  return [...x.shape.slice(0, 2), ...spatial];
}

function onnxPool({ kernel, strides, pads, dilations }: PoolAttributes) {
  return {
    kernel_shape: { ints: kernel },
    strides: { ints: strides },
    pads: { ints: [...pads, ...pads] },
    dilations: { ints: dilations },
  };
}

const maxPoolOperator = defineOperator<PoolAttributes>({
  name: 'maxPool',
  doc: 'Largest of each window, and its position in the flat input, first of equals (ONNX MaxPool).',
  infer(inputs, attributes) {
    const shape = pooledShape('maxPool', inputs[0]!, attributes);
    return [
      { shape, dtype: inputs[0]!.dtype },
      { shape, dtype: 'int64' },
    ];
  },
  lower(onnx, inputs, node) {
    const pool = onnxPool(node.attributes);
    const isFixed = node.inputs[0]!.shape.slice(2).every((dim) => typeof dim === 'number');
    // WebGPU's kernel knows no indices (ORT 1.30). Where nothing reads them, none of their nodes remain.
    if (onnx.provider === 'webgpu' && isFixed) {
      return [onnx.emit('MaxPool', inputs, pool), emitIndices(onnx, inputs[0]!, node)];
    }
    return onnx.emitMany('MaxPool', inputs, 2, pool);
  },
  grad: ([g], { inputs, outputs }) => {
    const x = inputs[0]!;
    if (!g) return [undefined];
    const flat = zeros([productOf(x.shape)], x.dtype);
    return [scatterAdd(flat, outputs[1]!.reshape([-1]), g.reshape([-1]), 0).reshape(x.shape)];
  },
});

/** MaxPool's indices out of other nodes: which tap of the window is largest, and where that tap lies. */
function emitIndices(
  onnx: Lowering,
  x: string,
  { inputs, outputs, attributes }: Node<PoolAttributes>,
): string {
  const { kernel, strides, pads, dilations } = attributes;
  const { shape, dtype } = inputs[0]!;
  const axes = kernel.map((_, i) => i + 2);
  const sizes = concrete(shape.slice(2));
  const pooled = concrete(outputs[0]!.shape.slice(2));
  const padded = onnx.emit('Pad', [
    x,
    onnx.ints([0, 0, ...pads, 0, 0, ...pads]), // not by `axes`: see `pad`
    onnx.scalar(Number.NEGATIVE_INFINITY, dtype),
  ]);
  /** Row-major place of an index of the spatial axes. */
  const placeOf = (index: readonly number[]) => index.reduce((place, at, i) => place * sizes[i]! + at, 0);
  const taps = indicesOf(kernel).map((tap) => tap.map((at, i) => at * dilations[i]!));
  const layers = taps.map((tap) => {
    const ends = tap.map((start, i) => start + (pooled[i]! - 1) * strides[i]! + 1);
    const slice = [padded, onnx.ints(tap), onnx.ints(ends), onnx.ints(axes), onnx.ints(strides)];
    return onnx.emit('Unsqueeze', [onnx.emit('Slice', slice), onnx.ints([0])]);
  });
  const stacked = onnx.emit('Concat', layers, { axis: { int: 0 } });
  const tap = onnx.emit('ArgMax', [stacked], { axis: { int: 0 }, keepdims: { int: 0 } }); // [N, C, ...]
  const offset = onnx.emit('Gather', [onnx.ints(taps.map(placeOf)), tap], { axis: { int: 0 } });

  const corners = indicesOf(pooled).map((at) => placeOf(at.map((o, i) => o * strides[i]! - pads[i]!)));
  const corner = onnx.constant(ndarray(corners, pooled, 'int64'));
  const [zero, one] = [onnx.scalar(0, 'int64'), onnx.scalar(1, 'int64')];
  const planes = onnx.emit('Range', [zero, onnx.dim(productOf(shape.slice(0, 2))), one]);
  const starts = onnx.emit('Mul', [planes, onnx.scalar(productOf(sizes) as number, 'int64')]);
  const plane = onnx.emit('Reshape', [starts, onnx.shape([...shape.slice(0, 2), ...axes.map(() => 1)])]);
  return onnx.emit('Add', [onnx.emit('Add', [offset, corner]), plane]);
}

/** All indices of a shape in row-major order. */
function indicesOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (list, size) => list.flatMap((index) => Array.from({ length: size }, (_, at) => [...index, at])),
    [[]],
  );
}

/**
 * The largest of each window of `kernel` elements, PyTorch's max_pool1d and max_pool2d by the rank of x. Padding counts
 * as −∞. The gradient goes to the first of equal elements. ONNX MaxPool.
 */
export function maxPool(
  x: Tensor,
  kernel: PerAxis,
  options: PoolOptions & { readonly dilation?: PerAxis } = {},
): Tensor {
  return applyMany(maxPoolOperator, [x], normalize('maxPool', x, kernel, options))[0]!;
}

interface AverageAttributes extends PoolAttributes {
  readonly countPadding: boolean;
}

/** The share of each element in each window of an axis. */
function averageMaps(x: Shape, { kernel, strides, pads, countPadding }: AverageAttributes): AxisMap[] {
  return concrete(x.slice(2), 'averagePool').map((size, axis) => {
    const [k, stride, padding] = [kernel[axis]!, strides[axis]!, pads[axis]!];
    const outputs = Math.floor((size + 2 * padding - k) / stride) + 1;
    return axisMap(size, outputs, (o) => {
      const start = o * stride - padding;
      const [from, to] = [Math.max(start, 0), Math.min(start + k, size)];
      const weight = 1 / (countPadding ? k : to - from);
      return Array.from({ length: to - from }, (_, i) => [from + i, weight]);
    });
  });
}

const averagePoolOperator = defineOperator<AverageAttributes>({
  name: 'averagePool',
  doc: 'Arithmetic mean of each window (ONNX AveragePool).',
  infer: (inputs, attributes) => ({
    shape: pooledShape('averagePool', inputs[0]!, attributes),
    dtype: inputs[0]!.dtype,
  }),
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit('AveragePool', inputs, {
      ...onnxPool(attributes),
      count_include_pad: { int: attributes.countPadding ? 1 : 0 },
    }),
  grad: ([g], { inputs, attributes }) => {
    const { kernel, strides, pads } = attributes;
    const { shape } = inputs[0]!;
    const tiles = kernel.every(
      (k, i) => k === strides[i] && pads[i] === 0 && (shape[i + 2] as number) % k === 0,
    );
    if (tiles && kernel.length === 2) {
      const size = [shape[2]!, shape[3]!] as const;
      return [resize2d(g!.mul(1 / (kernel[0]! * kernel[1]!)), { size })];
    }
    return [mapAxes(g!, averageMaps(shape, attributes).map(transposed))];
  },
});

/** Of `averagePool`. */
export interface AveragePoolOptions extends PoolOptions {
  /** Padding counts as zeros (default) or not at all. */
  readonly countIncludePad?: boolean;
}

/** The mean of each window of `kernel` elements, PyTorch's avg_pool1d and avg_pool2d by the rank of x. */
export function averagePool(x: Tensor, kernel: PerAxis, options: AveragePoolOptions = {}): Tensor {
  const pool = normalize('averagePool', x, kernel, options);
  const attributes = { ...pool, countPadding: options.countIncludePad ?? true };
  pooledShape('averagePool', x, attributes);
  // ONNX Runtime's kernel is for float32
  return x.dtype === 'float32'
    ? apply(averagePoolOperator, [x], attributes)
    : mapAxes(x, averageMaps(x.shape, attributes));
}

/** The mean over all spatial axes: [N, C, ...] to [N, C], or to [N, C, 1, ...] with `keepDims`. */
export function globalAveragePool(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.rank < 3) refuse('globalAveragePool', [x], 'the input must be [N, C, ...]');
  return x.mean(
    x.shape.slice(2).map((_, i) => i + 2),
    options,
  );
}

/** PyTorch's bins: output o covers ⌊o · size / outputs⌋ to ⌈(o + 1) · size / outputs⌉. */
function bins(size: number, outputs: number): { start: number; end: number }[] {
  return Array.from({ length: outputs }, (_, o) => ({
    start: Math.floor((o * size) / outputs),
    end: Math.ceil(((o + 1) * size) / outputs),
  }));
}

function adaptiveSizes(name: string, x: Tensor, outputs: PerAxis): { sizes: number[]; wanted: number[] } {
  const axes = x.rank - 2;
  if (axes !== 1 && axes !== 2) refuse(name, [x], 'the input must be [N, C, L] or [N, C, H, W]');
  const wanted = typeof outputs === 'number' ? Array.from({ length: axes }, () => outputs) : [...outputs];
  if (wanted.length !== axes || wanted.some((size) => !Number.isInteger(size) || size < 1)) {
    refuse(name, [x], `output size ${wanted} is not ${axes} positive integers`);
  }
  const sizes = x.shape.slice(2).map((_, i) => x.size(i + 2));
  if (sizes.includes(0)) refuse(name, [x], 'a spatial axis is empty');
  return { sizes, wanted };
}

/**
 * The means of `outputs` bins an axis (one number or one an axis), the bins of PyTorch's adaptive_avg_pool1d and 2d.
 * Spatial sizes must be fixed.
 */
export function adaptiveAveragePool(x: Tensor, outputs: PerAxis): Tensor {
  const { sizes, wanted } = adaptiveSizes('adaptiveAveragePool', x, outputs);
  if (wanted.every((size) => size === 1)) return globalAveragePool(x, { keepDims: true });
  if (sizes.every((size, i) => size % wanted[i]! === 0)) {
    return averagePool(
      x,
      sizes.map((size, i) => size / wanted[i]!),
    );
  }
  const maps = sizes.map((size, axis) => {
    const ranges = bins(size, wanted[axis]!);
    return axisMap(size, ranges.length, (o) => {
      const { start, end } = ranges[o]!;
      return Array.from({ length: end - start }, (_, i) => [start + i, 1 / (end - start)]);
    });
  });
  return mapAxes(x, maps);
}

/** The largest of each bin; bins as in `adaptiveAveragePool`. The gradient goes to the first of equal elements. */
export function adaptiveMaxPool(x: Tensor, outputs: PerAxis): Tensor {
  const { sizes, wanted } = adaptiveSizes('adaptiveMaxPool', x, outputs);
  if (sizes.every((size, i) => size % wanted[i]! === 0)) {
    return maxPool(
      x,
      sizes.map((size, i) => size / wanted[i]!),
    );
  }
  // Every bin at the length of the longest, its last element repeated.
  let spread = x;
  const lengths = sizes.map((size, i) => {
    const ranges = bins(size, wanted[i]!);
    const length = Math.max(...ranges.map(({ start, end }) => end - start));
    const indices = ranges.flatMap(({ start, end }) =>
      Array.from({ length }, (_, at) => Math.min(start + at, end - 1)),
    );
    spread = gather(spread, constant(ndarray(indices, [indices.length], 'int64')), i + 2);
    return length;
  });
  const batch = x.shape.slice(0, 2);
  const split = spread.reshape([...batch, ...wanted.flatMap((size, i) => [size, lengths[i]!])]); // [N, C, h, kh, w, kw]
  const order = [0, 1, ...wanted.map((_, i) => 2 + 2 * i), ...wanted.map((_, i) => 3 + 2 * i)];
  const windows = split.transpose(order).reshape([...batch, ...wanted, -1]);
  return takeAlongAxis(windows, windows.argMax(-1, { keepDims: true })).squeeze(-1);
}

declare module '../tensor.ts' {
  interface Tensor {
    maxPool(kernel: PerAxis, options?: PoolOptions & { readonly dilation?: PerAxis }): Tensor;
    averagePool(kernel: PerAxis, options?: AveragePoolOptions): Tensor;
    globalAveragePool(options?: ReduceOptions): Tensor;
    adaptiveAveragePool(outputs: PerAxis): Tensor;
    adaptiveMaxPool(outputs: PerAxis): Tensor;
  }
}

defineMethods({ maxPool, averagePool, globalAveragePool, adaptiveAveragePool, adaptiveMaxPool });
