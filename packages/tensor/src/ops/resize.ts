/** Images at another size, and read at given places. */

import { ndarray } from '../array.ts';
import { gradients } from '../autodiff.ts';
import { concrete, type Dim, divDims, floorDivDim, mulDims, type Shape, sameShape } from '../dims.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import type { Node, Tensor } from '../tensor.ts';
import { arange, constant } from './constant.ts';
import { gather } from './indexing.ts';
import { defineMethods } from './methods.ts';
import { type AxisMap, axisMap, emitMapAxes, mapAxes, transposed } from './separable.ts';

interface ResizeAttributes {
  readonly size: Shape;
  /** The factors when they were given and are not just size / input size. */
  readonly scales: readonly number[] | null;
  readonly mode: 'nearest' | 'bilinear';
  readonly alignCorners: boolean;
  readonly [key: string]: unknown;
}

/** The input element that each output reads: ⌊o · in / out⌋ in float32, as PyTorch computes it. */
function nearestIndices(size: number, outputs: number, scale: number | undefined): number[] {
  const step = Math.fround(scale === undefined ? size / outputs : 1 / scale);
  return Array.from({ length: outputs }, (_, o) => Math.min(Math.floor(Math.fround(o * step)), size - 1));
}

function nearestMap(size: number, outputs: number, scale: number | undefined): AxisMap {
  const indices = nearestIndices(size, outputs, scale);
  return axisMap(size, outputs, (o) => [[indices[o]!, 1]]);
}

function linearMap(size: number, outputs: number, scale: number | undefined, alignCorners: boolean): AxisMap {
  const step = alignCorners
    ? outputs > 1
      ? (size - 1) / (outputs - 1)
      : 0
    : scale
      ? 1 / scale
      : size / outputs;
  return axisMap(size, outputs, (o) => {
    const at = alignCorners ? o * step : Math.max(0, (o + 0.5) * step - 0.5);
    const low = Math.min(Math.floor(at), size - 1);
    const share = Math.min(at - low, 1);
    return [
      [low, 1 - share],
      [Math.min(low + 1, size - 1), share],
    ];
  });
}

function mapsOf(input: Shape, { size, scales, mode, alignCorners }: ResizeAttributes): AxisMap[] {
  const from = concrete(input.slice(2), 'the gradient of resize2d');
  return concrete(size).map((outputs, i) =>
    mode === 'nearest'
      ? nearestMap(from[i]!, outputs, scales?.[i])
      : linearMap(from[i]!, outputs, scales?.[i], alignCorners),
  );
}

const resizeOperator = defineOperator<ResizeAttributes>({
  name: 'resize2d',
  doc: 'Images at another size, nearest or bilinear, as torch.nn.functional.interpolate (ONNX Resize, Gather, MatMul).',
  infer: ([x], { size }) => ({ shape: [...x!.shape.slice(0, 2), ...size], dtype: x!.dtype }),
  lower: lowerResize,
  grad: ([g], { inputs, attributes }) => [mapAxes(g!, mapsOf(inputs[0]!.shape, attributes).map(transposed))],
});

/**
 * Nearest with whole factors: Resize copies rows (6 times as fast as two Gathers); other factors: Gather, since
 * Resize rounds some positions otherwise than PyTorch. Bilinear: products with the interpolation matrices up to 32
 * pixels, where they take half of Resize's time; Resize beyond.
 */
function lowerResize(
  onnx: Lowering,
  [x]: readonly string[],
  { inputs, attributes }: Node<ResizeAttributes>,
): string {
  const { size, scales, mode, alignCorners } = attributes;
  const { shape, dtype } = inputs[0]!;
  const from = shape.slice(2);
  const isFixed = [...from, ...size].every((dim) => typeof dim === 'number');
  const hasKernel = dtype === 'float32';
  const isWhole = size.every((dim, i) => divDims(dim, from[i]!) !== undefined);
  if (mode === 'nearest' && isFixed && !(isWhole && hasKernel)) {
    return concrete(size).reduce((y, outputs, i) => {
      const indices = nearestIndices(from[i] as number, outputs, scales?.[i]);
      return outputs === from[i] ? y : onnx.emit('Gather', [y, onnx.ints(indices)], { axis: { int: i + 2 } });
    }, x!);
  }
  const isSmall = isFixed && [...from, ...size].every((dim) => (dim as number) <= 32);
  if (mode === 'bilinear' && isFixed && (isSmall || scales || !hasKernel)) {
    return emitMapAxes(onnx, x!, mapsOf(shape, attributes), dtype);
  }
  const sizing = scales
    ? [onnx.constant(ndarray([1, 1, ...scales]))]
    : ['', onnx.shape([...shape.slice(0, 2), ...size])];
  const coordinates = mode === 'nearest' ? 'asymmetric' : alignCorners ? 'align_corners' : 'half_pixel';
  return onnx.emit('Resize', [x!, '', ...sizing], {
    mode: { string: mode === 'nearest' ? 'nearest' : 'linear' },
    coordinate_transformation_mode: { string: coordinates },
    nearest_mode: { string: 'floor' },
  });
}

/** Of `resize2d`. */
export interface ResizeOptions {
  /** [height, width]; this or `scale`. */
  readonly size?: readonly [Dim, Dim];
  /** Factor of both axes or one each; sizes are rounded down. */
  readonly scale?: number | readonly [number, number];
  /** Default nearest. */
  readonly mode?: 'nearest' | 'bilinear';
  /** Bilinear: corners of input and output are at the same place, not their outer edges; default false. */
  readonly alignCorners?: boolean;
}

/**
 * x [N, C, H, W] at another size, equal to PyTorch's `interpolate(x, size, scale_factor, mode, align_corners)` without
 * antialiasing. Free spatial dimensions take a whole factor or the reciprocal of one (inference only).
 */
export function resize2d(x: Tensor, options: ResizeOptions): Tensor {
  const { mode = 'nearest', alignCorners = false } = options;
  if (x.rank !== 4) refuse('resize2d', [x], 'the input must be [N, C, H, W]');
  if (alignCorners && mode === 'nearest') refuse('resize2d', [x], 'alignCorners is for bilinear only');
  if ((options.size === undefined) === (options.scale === undefined)) {
    refuse('resize2d', [x], 'give a size or a scale');
  }
  const from = x.shape.slice(2);
  const scales = [options.scale ?? []].flat();
  if (scales.length === 1) scales.push(scales[0]!);
  const size = options.size ?? from.map((dim, i) => scaled(x, dim, scales[i]!));
  if ([...from, ...size].some((dim) => typeof dim === 'number' && (!Number.isInteger(dim) || dim < 1))) {
    refuse('resize2d', [x], `cannot make ${from.join('×')} into ${size.join('×')}`);
  }
  if (sameShape(size, from) && scales.every((scale) => scale === 1)) return x;
  const isExact = from.every((dim, i) => typeof dim === 'number' && dim * scales[i]! === size[i]);
  return apply(resizeOperator, [x], {
    size,
    scales: scales.length > 0 && !isExact ? scales : null,
    mode,
    alignCorners,
  });
}

function scaled(x: Tensor, dim: Dim, scale: number): Dim {
  if (!(scale > 0) || !Number.isFinite(scale)) refuse('resize2d', [x], `scale ${scale} is not positive`);
  if (typeof dim === 'number') return Math.floor(dim * scale);
  if (Number.isInteger(scale)) return mulDims(dim, scale);
  if (Number.isInteger(1 / scale)) return floorDivDim(dim, 1 / scale);
  refuse('resize2d', [x], `a free axis needs a whole factor or the reciprocal of one, not ${scale}`);
}

interface GridAttributes {
  readonly mode: 'nearest' | 'bilinear';
  readonly padding: 'zeros' | 'border';
  readonly alignCorners: boolean;
  readonly [key: string]: unknown;
}

const gridOperator = defineOperator<GridAttributes>({
  name: 'gridSample',
  doc: 'Images read at given places, as torch.nn.functional.grid_sample (ONNX GridSample).',
  infer(inputs) {
    const [x, grid] = inputs as [Tensor, Tensor];
    if (x.rank !== 4 || grid.rank !== 4 || grid.shape[3] !== 2 || x.shape[0] !== grid.shape[0]) {
      refuse('gridSample', inputs, 'needs x [N, C, H, W] and a grid [N, h, w, 2]');
    }
    if (x.dtype !== grid.dtype)
      refuse('gridSample', inputs, `dtypes ${x.dtype} and ${grid.dtype} differ: cast one`);
    return { shape: [...x.shape.slice(0, 2), ...grid.shape.slice(1, 3)], dtype: x.dtype };
  },
  lower: (onnx, inputs, { attributes: { mode, padding, alignCorners } }) =>
    onnx.emit('GridSample', inputs, {
      mode: { string: mode === 'bilinear' ? 'linear' : 'nearest' },
      padding_mode: { string: padding },
      align_corners: { int: alignCorners ? 1 : 0 },
    }),
  grad: ([g], { inputs, attributes }) => {
    const [x, grid] = inputs as [Tensor, Tensor];
    return gradients(sampleByGather(x, grid, attributes), [x, grid], g!);
  },
});

/** The same samples out of operators that have gradients: corners gathered as rows of channels, weighted, summed. */
function sampleByGather(x: Tensor, grid: Tensor, { mode, padding, alignCorners }: GridAttributes): Tensor {
  const [n, c] = [x.dim(0), x.dim(1)];
  const [height, width] = [x.size(2), x.size(3)];
  const [outHeight, outWidth] = [grid.dim(1), grid.dim(2)];
  const pixels = (axis: number, size: number): Tensor => {
    const unit = grid.select(3, axis).add(1);
    const at = alignCorners ? unit.mul((size - 1) / 2) : unit.mul(size / 2).sub(0.5);
    return padding === 'border' ? at.clip(0, size - 1) : at;
  };
  const [px, py] = [pixels(0, width), pixels(1, height)];
  const rows = x.transpose([0, 2, 3, 1]).reshape([mulDims(n, height * width), c]);
  const firstRow = arange(n, { dtype: 'int64', step: height * width }).reshape([n, 1, 1]);

  const corner = (cx: Tensor, cy: Tensor, weight: Tensor | undefined): Tensor => {
    const [ix, iy] = [cx.clip(0, width - 1), cy.clip(0, height - 1)];
    const values = gather(rows, iy.mul(width).add(ix).cast('int64').add(firstRow)); // [N, h, w, C]
    const isInside = cx.equal(ix).and(cy.equal(iy)).cast(x.dtype);
    const share = weight ? weight.mul(isInside) : isInside;
    return values.mul(share.unsqueeze(-1));
  };
  let y: Tensor;
  if (mode === 'nearest') y = corner(px.round(), py.round(), undefined);
  else {
    const [left, top] = [px.floor(), py.floor()];
    const [right, bottom] = [px.sub(left), py.sub(top)];
    const one = constant(1, x.dtype);
    const sides = [
      { at: left, weight: one.sub(right) },
      { at: left.add(1), weight: right },
    ];
    const ends = [
      { at: top, weight: one.sub(bottom) },
      { at: top.add(1), weight: bottom },
    ];
    y = ends
      .flatMap((v) => sides.map((h) => corner(h.at, v.at, h.weight.mul(v.weight))))
      .reduce((a, b) => a.add(b));
  }
  return y.reshape([n, outHeight, outWidth, c]).transpose([0, 3, 1, 2]);
}

/** Of `gridSample`. */
export interface GridSampleOptions {
  /** Default bilinear. */
  readonly mode?: 'nearest' | 'bilinear';
  /** What lies outside: zeros (default) or the nearest pixel of the border. */
  readonly padding?: 'zeros' | 'border';
  /** −1 and 1 are the centres of the corner pixels, not their outer edges; default false. */
  readonly alignCorners?: boolean;
}

/**
 * x [N, C, H, W] read at the places of `grid` [N, h, w, 2] (x, then y; −1 to 1 spans the image): [N, C, h, w], equal to
 * PyTorch's grid_sample. Gradients flow to the image and, for bilinear, to the grid (they need a fixed H and W).
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const { mode = 'bilinear', padding = 'zeros', alignCorners = false } = options;
  return apply(gridOperator, [x, grid], { mode, padding, alignCorners });
}

declare module '../tensor.ts' {
  interface Tensor {
    resize2d(options: ResizeOptions): Tensor;
    gridSample(grid: Tensor, options?: GridSampleOptions): Tensor;
  }
}

defineMethods({ resize2d, gridSample });
