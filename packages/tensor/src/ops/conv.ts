/**
 * Convolutions over one or two spatial axes, channels first: x [N, C, ...], weight [out, C / groups, ...].
 *
 * Three operators that are each other's gradients: `conv` (y from x and w), `convTranspose` (x from y and w) and
 * `convWeight` (w from x and y). All are linear in both operands, so derivatives of any order stay among them.
 */

import { addDims, type Dim, floorDivDim, mulDims, type Shape, subDims } from '../dims.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import type { Tensor } from '../tensor.ts';
import { type ConvAttributes, type ConvWeightAttributes, lowerWeight } from './conv-weight.ts';
import { defineMethods } from './methods.ts';

/** Of `conv`. */
export interface ConvOptions {
  /** One number for all spatial axes or one an axis; default 1. */
  readonly stride?: number | readonly number[];
  /** Zeros around: one number, one an axis, or [before, after] pairs; default 0. */
  readonly padding?: number | readonly (number | readonly [number, number])[];
  readonly dilation?: number | readonly number[];
  readonly groups?: number;
}

interface ConvTransposeAttributes extends ConvAttributes {
  /** Spatial size of the result: a stride makes several sizes possible. */
  readonly size: Shape;
}

function perAxis(value: number | readonly number[] | undefined, fallback: number, axes: number): number[] {
  if (value === undefined || typeof value === 'number')
    return Array.from({ length: axes }, () => value ?? fallback);
  return [...value];
}

function normalize(name: string, inputs: readonly Tensor[], options: ConvOptions): ConvAttributes {
  const axes = inputs[0]!.rank - 2;
  if (axes !== 1 && axes !== 2) refuse(name, inputs, 'the input must be [N, C, L] or [N, C, H, W]');
  const { padding = 0, groups = 1 } = options;
  const pairs = perAxisPadding(padding, axes);
  const attributes = {
    strides: perAxis(options.stride, 1, axes),
    pads: [...pairs.map(([before]) => before), ...pairs.map(([, after]) => after)],
    dilations: perAxis(options.dilation, 1, axes),
    groups,
  };
  const { strides, pads, dilations } = attributes;
  const valid = (list: number[], least: number, count: number) =>
    list.length === count && list.every((value) => Number.isInteger(value) && value >= least);
  if (!valid(strides, 1, axes)) refuse(name, inputs, `stride ${strides} is not ${axes} positive integers`);
  if (!valid(dilations, 1, axes))
    refuse(name, inputs, `dilation ${dilations} is not ${axes} positive integers`);
  if (!valid(pads, 0, 2 * axes)) refuse(name, inputs, `padding ${pads} does not fit ${axes} axes`);
  if (!Number.isInteger(groups) || groups < 1)
    refuse(name, inputs, `groups ${groups} is not a positive integer`);
  return attributes;
}

function perAxisPadding(
  padding: NonNullable<ConvOptions['padding']>,
  axes: number,
): (readonly [number, number])[] {
  if (typeof padding === 'number') return Array.from({ length: axes }, () => [padding, padding]);
  return padding.map((amount) => (typeof amount === 'number' ? [amount, amount] : amount));
}

function onnxConv({ strides, pads, dilations, groups }: ConvAttributes, kernel: Shape) {
  return {
    kernel_shape: { ints: kernel as number[] },
    strides: { ints: strides },
    pads: { ints: pads },
    dilations: { ints: dilations },
    group: { int: groups },
  };
}

/** Positions that a kernel of `k` taps finds on an axis. */
export function outputSize(dim: Dim, k: number, stride: number, padding: number, dilation: number): Dim {
  return addDims(floorDivDim(subDims(addDims(dim, padding), dilation * (k - 1) + 1), stride), 1);
}

const convOperator = defineOperator<ConvAttributes>({
  name: 'conv',
  doc: 'Cross-correlation with stride, padding, dilation, groups and optional bias (ONNX Conv).',
  infer(inputs, { strides, pads, dilations, groups }) {
    const [x, w, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
    if (w.rank !== x.rank)
      refuse('conv', [x, w], `the weight must have ${x.rank} axes: [out, in / groups, ...]`);
    if (x.dtype !== w.dtype) refuse('conv', [x, w], `dtypes ${x.dtype} and ${w.dtype} differ: cast one`);
    const [channels, out] = [x.dim(1), w.size(0)];
    if (channels !== w.size(1) * groups) {
      refuse(
        'conv',
        [x, w],
        `the input has ${channels} channels, the weight takes ${w.size(1)} in ${groups} groups`,
      );
    }
    if (out % groups !== 0)
      refuse('conv', [x, w], `${out} output channels do not divide into ${groups} groups`);
    if (bias && (bias.rank !== 1 || bias.shape[0] !== out))
      refuse('conv', inputs, `the bias must have ${out} elements`);
    const spatial = strides.map((stride, i) => {
      const padding = pads[i]! + pads[i + strides.length]!;
      const size = outputSize(x.shape[i + 2]!, w.size(i + 2), stride, padding, dilations[i]!);
      if (typeof size === 'number' && size < 1)
        refuse('conv', [x, w], `the kernel is larger than padded axis ${i + 2}`);
      return size;
    });
    return { shape: [x.dim(0), out, ...spatial], dtype: x.dtype };
  },
  lower: (onnx, inputs, { attributes, inputs: [, w] }) =>
    onnx.emit('Conv', inputs, onnxConv(attributes, w!.shape.slice(2))),
  grad: ([g], { inputs, attributes }) => {
    const [x, w, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
    const axes = [0, ...attributes.strides.map((_, i) => i + 2)];
    return [
      transposed(g!, w, { ...attributes, size: x.shape.slice(2) }),
      weight(x, g!, { ...attributes, kernel: w.shape.slice(2) as number[] }),
      bias && g!.sum(axes),
    ];
  },
});

const transposeOperator = defineOperator<ConvTransposeAttributes>({
  name: 'convTranspose',
  doc: 'The adjoint of conv with respect to its input (ONNX ConvTranspose).',
  infer(inputs, { groups, size }) {
    const [y, w] = inputs as [Tensor, Tensor];
    if (w.rank !== y.rank)
      refuse('convTranspose', inputs, `the weight must have ${y.rank} axes: [in, out / groups, ...]`);
    if (y.dim(1) !== w.dim(0)) {
      refuse('convTranspose', inputs, `the input has ${y.dim(1)} channels, the weight takes ${w.dim(0)}`);
    }
    if (w.size(0) % groups !== 0)
      refuse('convTranspose', inputs, `${w.size(0)} channels do not divide into ${groups} groups`);
    return { shape: [y.dim(0), mulDims(w.dim(1), groups), ...size], dtype: y.dtype };
  },
  lower: lowerTranspose,
  grad: ([g], { inputs, attributes: { size: _, ...attributes } }) => {
    const [y, w] = inputs as [Tensor, Tensor];
    return [
      apply(convOperator, [g!, w], attributes as ConvAttributes),
      weight(g!, y, { ...(attributes as ConvAttributes), kernel: w.shape.slice(2) as number[] }),
    ];
  },
});

function lowerTranspose(
  onnx: Lowering,
  [y, w]: readonly string[],
  { inputs, attributes }: { inputs: readonly Tensor[]; attributes: ConvTransposeAttributes },
): string {
  const [ty, tw] = inputs as [Tensor, Tensor];
  const { strides, pads, dilations, groups, size } = attributes;
  const axes = strides.length;
  const kernel = tw.shape.slice(2) as number[];
  const reach = kernel.map((k, i) => dilations[i]! * (k - 1));
  if (
    groups === 1 &&
    strides.every((s) => s === 1) &&
    reach.every((r, i) => r >= pads[i]! && r >= pads[i + axes]!)
  ) {
    // Without a stride it is a plain convolution with the flipped kernel, and Conv is the faster kernel.
    const exchanged = onnx.emit('Transpose', [w!], {
      perm: { ints: [1, 0, ...kernel.map((_, i) => i + 2)] },
    });
    const flipped = kernel.every((k) => k === 1) ? exchanged : flipSpatial(onnx, exchanged, axes);
    return onnx.emit('Conv', [y!, flipped], {
      ...onnxConv(attributes, kernel),
      pads: { ints: [...reach.map((r, i) => r - pads[i]!), ...reach.map((r, i) => r - pads[i + axes]!)] },
    });
  }
  // Rows of the input that no position of a strided kernel reaches come back as zeros at the end.
  const reached = strides.map((stride, i) => {
    const steps = subDims(ty.shape[i + 2]!, 1);
    return subDims(addDims(addDims(mulDims(steps, stride), reach[i]!), 1), pads[i]! + pads[i + axes]!);
  });
  const missing = size.map((dim, i) => subDims(dim, reached[i]!));
  const options = {
    ...onnxConv(attributes, kernel),
    output_padding: { ints: missing.map((dim) => (typeof dim === 'number' ? dim : 0)) },
  };
  if (onnx.provider === 'webgpu' && groups > 1 && tw.shape[1] === 1 && ty.dim(1) !== groups) {
    // WebGPU's kernel (ONNX Runtime 1.30) is wrong where several channels of a group make one: let them make two,
    // the second of which is zeros, and leave that one out.
    const none = [0, 0, ...kernel.map(() => 0)];
    const twice = onnx.emit('Pad', [w!, onnx.ints([...none, 0, 1, ...kernel.map(() => 0)])]);
    const both = onnx.emit('ConvTranspose', [y!, twice], options);
    return onnx.emit('Slice', [
      both,
      onnx.ints([0]),
      onnx.ints([2 * groups]),
      onnx.ints([1]),
      onnx.ints([2]),
    ]);
  }
  return onnx.emit('ConvTranspose', [y!, w!], options);
}

function flipSpatial(onnx: Lowering, w: string, axes: number): string {
  const list = Array.from({ length: axes }, (_, i) => i + 2);
  const all = (value: number) => onnx.ints(list.map(() => value));
  return onnx.emit('Slice', [w, all(-1), all(-(2 ** 31)), onnx.ints(list), all(-1)]);
}

const weightOperator = defineOperator<ConvWeightAttributes>({
  name: 'convWeight',
  doc: 'The adjoint of conv with respect to its weight: Σ over batch and positions of x · y.',
  infer(inputs, { groups, kernel }) {
    const [x, y] = inputs as [Tensor, Tensor];
    return { shape: [y.dim(1), x.size(1) / groups, ...kernel], dtype: x.dtype };
  },
  lower: lowerWeight,
  grad: ([g], { inputs, attributes: { kernel: _, ...attributes } }) => {
    const [x, y] = inputs as [Tensor, Tensor];
    return [
      transposed(y, g!, { ...(attributes as ConvAttributes), size: x.shape.slice(2) }),
      apply(convOperator, [x, g!], attributes as ConvAttributes),
    ];
  },
});

function transposed(y: Tensor, w: Tensor, attributes: ConvTransposeAttributes): Tensor {
  return apply(transposeOperator, [y, w], attributes);
}

function weight(x: Tensor, y: Tensor, attributes: ConvWeightAttributes): Tensor {
  return apply(weightOperator, [x, y], attributes);
}

/**
 * Convolution (cross-correlation, as in PyTorch): x [N, C, L] or [N, C, H, W], weight [out, C / groups, ...],
 * bias [out] → [N, out, ...].
 */
export function conv(x: Tensor, w: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor {
  return apply(convOperator, bias ? [x, w, bias] : [x, w], normalize('conv', [x, w], options));
}

/** Of `convTranspose`. */
export interface ConvTransposeOptions extends ConvOptions {
  /** Extra rows at the end of each axis, smaller than the stride; default 0. */
  readonly outputPadding?: number | readonly number[];
}

/** Transposed convolution as in PyTorch: x [N, C, ...], weight [C, out / groups, ...], bias [out]. */
export function convTranspose(
  x: Tensor,
  w: Tensor,
  bias?: Tensor,
  options: ConvTransposeOptions = {},
): Tensor {
  const attributes = normalize('convTranspose', [x, w], options);
  const { strides, pads, dilations } = attributes;
  const axes = strides.length;
  const extra = perAxis(options.outputPadding, 0, axes);
  const size = strides.map((stride, i) => {
    if (extra[i]! < 0 || extra[i]! >= Math.max(stride, dilations[i]!)) {
      refuse('convTranspose', [x, w], `output padding ${extra[i]} must be smaller than stride ${stride}`);
    }
    const full = addDims(
      mulDims(subDims(x.shape[i + 2]!, 1), stride),
      dilations[i]! * (w.size(i + 2) - 1) + 1 + extra[i]!,
    );
    return subDims(full, pads[i]! + pads[i + axes]!);
  });
  const y = transposed(x, w, { ...attributes, size });
  return bias ? y.add(bias.reshape([bias.size(0), ...strides.map(() => 1)])) : y;
}

declare module '../tensor.ts' {
  interface Tensor {
    conv(w: Tensor, bias?: Tensor, options?: ConvOptions): Tensor;
    convTranspose(w: Tensor, bias?: Tensor, options?: ConvTransposeOptions): Tensor;
  }
}

defineMethods({ conv, convTranspose });
