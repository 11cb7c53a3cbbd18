/** Normalisation layers as operators. */

import { productOf, type Shape, sameShape } from '../dims.ts';
import { apply, applyMany, defineOperator, refuse } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import type { Tensor } from '../tensor.ts';
import { ones, uniformValue, zeros } from './constant.ts';
import { defineMethods } from './methods.ts';

interface EpsilonAttributes {
  readonly epsilon: number;
  readonly [key: string]: unknown;
}

/**
 * Outputs: the normalised and scaled x, the mean and 1/σ of each row. The gradient reuses the statistics instead of
 * computing them again; they have gradients themselves, so second derivatives hold.
 */
const layerNormOperator = defineOperator<EpsilonAttributes>({
  name: 'layerNorm',
  doc: 'Zero mean and unit variance over the last axis, times scale plus bias (ONNX LayerNormalization).',
  infer(inputs) {
    const [x, scale, bias] = inputs as [Tensor, Tensor, Tensor];
    for (const affine of [scale, bias]) {
      if (!sameShape(affine.shape, [x.dim(-1)]))
        refuse('layerNorm', inputs, `scale and bias must be [${x.dim(-1)}]`);
    }
    const row = { shape: [...x.shape.slice(0, -1), 1], dtype: x.dtype };
    return [x, row, row];
  },
  lower: (onnx, inputs, { attributes: { epsilon } }) =>
    onnx.emitMany('LayerNormalization', inputs, 3, { axis: { int: -1 }, epsilon: { float: epsilon } }),
  grad: ([g, gMean, gInverse], { inputs, outputs }) => {
    const [x, scale, bias] = inputs as [Tensor, Tensor, Tensor];
    const [y, mean, inverse] = outputs as readonly [Tensor, Tensor, Tensor];
    const size = x.size(-1);
    const plain = uniformValue(scale) === 1 && uniformValue(bias) === 0;
    const normal = plain ? y : x.sub(mean).mul(inverse);
    const leading = Array.from({ length: x.rank - 1 }, (_, i) => i);
    let gx: Tensor | undefined;
    let gScale: Tensor | undefined;
    let gBias: Tensor | undefined;
    if (g) {
      const gn = g.mul(scale);
      const inner = gn.mul(normal).mean(-1, { keepDims: true });
      gx = gn
        .sub(gn.mean(-1, { keepDims: true }))
        .sub(normal.mul(inner))
        .mul(inverse);
      gScale = g.mul(normal).sum(leading);
      gBias = g.sum(leading);
    }
    // d mean / dx = 1/D
    if (gMean) gx = addMaybe(gx, gMean.mul(1 / size).expand(x.shape));
    if (gInverse) gx = addMaybe(gx, throughInverse(gInverse, normal, inverse, size));
    return [gx, gScale, gBias];
  },
});

/** What 1/r of each row gives x, where normal = x / r: d(1/r) / dx = −normal / (D r²). */
function throughInverse(g: Tensor, normal: Tensor, inverse: Tensor, size: number): Tensor {
  const slope = g
    .mul(inverse)
    .mul(inverse)
    .mul(-1 / size);
  return normal.mul(slope);
}

function addMaybe(a: Tensor | undefined, b: Tensor): Tensor {
  return a ? a.add(b) : b;
}

/** Layer normalisation over the last axis D of x, with scale [D] and bias [D] (Ba et al. 2016, arXiv 1607.06450). */
export function layerNorm(x: Tensor, scale?: Tensor, bias?: Tensor, epsilon = 1e-5): Tensor {
  const shape = [x.size(-1)];
  const [s, b] = [scale ?? ones(shape, x.dtype), bias ?? zeros(shape, x.dtype)];
  return applyMany(layerNormOperator, [x, s, b], { epsilon })[0]!;
}

/** Outputs: the scaled x / √(mean x² + ε), and 1 / √(mean x² + ε) of each row, which the gradient reuses. */
const rmsNormOperator = defineOperator<EpsilonAttributes>({
  name: 'rmsNorm',
  doc: 'x / √(mean x² + ε) · scale over the last axis (ONNX Runtime SimplifiedLayerNormalization).',
  infer(inputs) {
    const [x, scale] = inputs as [Tensor, Tensor];
    if (!sameShape(scale.shape, [x.dim(-1)])) refuse('rmsNorm', inputs, `the scale must be [${x.dim(-1)}]`);
    return [x, { shape: [...x.shape.slice(0, -1), 1], dtype: x.dtype }];
  },
  lower(onnx, [x, scale], { inputs, attributes: { epsilon } }) {
    if (isOnProcessor(onnx.provider)) {
      const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
      return onnx.emitMany('SimplifiedLayerNormalization', [x!, scale!], 2, attributes);
    }
    const squares = onnx.emit('Mul', [x!, x!]);
    const mean = onnx.emit('ReduceMean', [squares, onnx.ints([-1])], { keepdims: { int: 1 } });
    const shifted = onnx.emit('Add', [mean, onnx.scalar(epsilon, inputs[0]!.dtype)]);
    const inverse = onnx.emit('Reciprocal', [onnx.emit('Sqrt', [shifted])]);
    return [onnx.emit('Mul', [onnx.emit('Mul', [x!, inverse]), scale!]), inverse];
  },
  grad: ([g, gInverse], { inputs, outputs }) => {
    const [x, scale] = inputs as [Tensor, Tensor];
    const inverse = outputs[1]!;
    const size = x.size(-1);
    const normal = x.mul(inverse);
    let gx: Tensor | undefined;
    let gScale: Tensor | undefined;
    if (g) {
      const gn = g.mul(scale);
      gx = gn.sub(normal.mul(gn.mul(normal).mean(-1, { keepDims: true }))).mul(inverse);
      gScale = g.mul(normal).sum(Array.from({ length: x.rank - 1 }, (_, i) => i));
    }
    if (gInverse) gx = addMaybe(gx, throughInverse(gInverse, normal, inverse, size));
    return [gx, gScale];
  },
});

/** x / √(mean x² + ε) · scale over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467). */
export function rmsNorm(x: Tensor, scale?: Tensor, epsilon = 1e-6): Tensor {
  return applyMany(rmsNormOperator, [x, scale ?? ones([x.size(-1)], x.dtype)], { epsilon })[0]!;
}

/** Group normalisation of x [N, C, ...] with scale [C] and bias [C] (Wu and He 2018, arXiv 1803.08494). */
export function groupNorm(x: Tensor, groups: number, scale?: Tensor, bias?: Tensor, epsilon = 1e-5): Tensor {
  const channels = x.size(1);
  if (channels % groups !== 0)
    refuse('groupNorm', [x], `${channels} channels do not divide into ${groups} groups`);
  const rows = x.reshape([x.dim(0), groups, productOf([channels / groups, ...x.shape.slice(2)])]);
  const normal = layerNorm(rows, undefined, undefined, epsilon).reshape(x.shape);
  return affine(normal, scale, bias);
}

/** x [N, C, ...] times scale [C] plus bias [C]. */
function affine(x: Tensor, scale?: Tensor, bias?: Tensor): Tensor {
  const shape = channelShape(x);
  const scaled = scale ? x.mul(scale.reshape(shape)) : x;
  return bias ? scaled.add(bias.reshape(shape)) : scaled;
}

const batchNormOperator = defineOperator<EpsilonAttributes>({
  name: 'batchNorm',
  doc: '(x − mean) / √(variance + ε) · scale + bias for each channel (ONNX BatchNormalization).',
  infer(inputs) {
    const [x, ...rest] = inputs as [Tensor, ...Tensor[]];
    if (x.rank < 2) refuse('batchNorm', inputs, 'the input must be [N, C, ...]');
    for (const each of rest) {
      if (!sameShape(each.shape, [x.dim(1)]))
        refuse('batchNorm', inputs, `statistics and affine must be [${x.dim(1)}]`);
    }
    return x;
  },
  lower: (onnx, inputs, { attributes: { epsilon } }) =>
    onnx.emit('BatchNormalization', inputs, { epsilon: { float: epsilon } }),
  grad: ([g], { inputs, attributes: { epsilon } }) => {
    const [x, scale, , mean, variance] = inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
    const axes = batchAxes(x.shape);
    const shape = channelShape(x);
    const inverse = variance.add(epsilon).rsqrt();
    const gBias = g!.sum(axes);
    // Σ g (x − mean) in one pass over g and x; the constants follow per channel.
    const gCentred = g!.mul(x).sum(axes).sub(gBias.mul(mean));
    const slope = scale.mul(inverse);
    return [
      g!.mul(slope.reshape(shape)),
      gCentred.mul(inverse),
      gBias,
      gBias.mul(slope).neg(),
      gCentred.mul(slope).mul(inverse).mul(inverse).mul(-0.5),
    ];
  },
});

/** Batch normalisation of x [N, C, ...] with given statistics [C] (Ioffe and Szegedy 2015, arXiv 1502.03167). */
export function batchNorm(
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  mean: Tensor,
  variance: Tensor,
  epsilon = 1e-5,
): Tensor {
  return apply(batchNormOperator, [x, scale, bias, mean, variance], { epsilon });
}

/**
 * Outputs: y, and the batch's mean and variance for each channel. The gradient for x is affine in g and x for each
 * channel, dx = a·g + b·x + d, so it takes two passes over the data and two reductions.
 */
const batchNormTrainingOperator = defineOperator<EpsilonAttributes>({
  name: 'batchNormTraining',
  doc: 'Batch normalisation by the statistics of the batch (ONNX BatchNormalization, training_mode).',
  infer(inputs) {
    const [x, ...rest] = inputs as [Tensor, ...Tensor[]];
    if (x.rank < 2) refuse('batchNormTraining', inputs, 'the input must be [N, C, ...]');
    const channel = { shape: [x.dim(1)], dtype: x.dtype };
    for (const each of rest) {
      if (!sameShape(each.shape, channel.shape))
        refuse('batchNormTraining', inputs, `scale and bias must be [${x.dim(1)}]`);
    }
    return [x, channel, channel];
  },
  lower(onnx, [x, scale, bias], { inputs, attributes: { epsilon } }) {
    const { shape, dtype } = inputs[0]!;
    if (isOnProcessor(onnx.provider)) {
      // With momentum 0 the "running" outputs are this batch's statistics alone, whatever comes in. But the kernel
      // writes them over its inputs, so each node needs inputs that no other node shares.
      const own = () => onnx.emit('Mul', [scale!, onnx.scalar(onnx.serial(), dtype)]);
      const attributes = { epsilon: { float: epsilon }, momentum: { float: 0 }, training_mode: { int: 1 } };
      return onnx.emitMany('BatchNormalization', [x!, scale!, bias!, own(), own()], 3, attributes);
    }
    const axes = onnx.ints(batchAxes(shape));
    const wide = onnx.emit('ReduceMean', [x!, axes], { keepdims: { int: 1 } });
    const centred = onnx.emit('Sub', [x!, wide]);
    const squares = onnx.emit('Mul', [centred, centred]);
    const variance = onnx.emit('ReduceMean', [squares, axes], { keepdims: { int: 0 } });
    const mean = onnx.emit('Squeeze', [wide, axes]);
    const inverse = onnx.emit('Reciprocal', [
      onnx.emit('Sqrt', [onnx.emit('Add', [variance, onnx.scalar(epsilon, dtype)])]),
    ]);
    const column = onnx.ints(channelShape(inputs[0]!));
    const slope = onnx.emit('Reshape', [onnx.emit('Mul', [scale!, inverse]), column]);
    const shift = onnx.emit('Reshape', [bias!, column]);
    return [onnx.emit('Add', [onnx.emit('Mul', [centred, slope]), shift]), mean, variance];
  },
  grad: ([g, gMean, gVariance], { inputs, outputs, attributes: { epsilon } }) => {
    const [x, scale] = inputs as readonly [Tensor, Tensor];
    const [, mean, variance] = outputs as readonly [Tensor, Tensor, Tensor];
    const axes = batchAxes(x.shape);
    const share = 1 / axes.reduce((product, axis) => product * x.size(axis), 1);
    const inverse = variance.add(epsilon).rsqrt();
    let [gScale, gBias, gx, b, d]: (Tensor | undefined)[] = [];
    if (g) {
      gBias = g.sum(axes);
      gScale = g.mul(x).sum(axes).sub(mean.mul(gBias)).mul(inverse);
      const a = scale.mul(inverse);
      gx = g.mul(a.reshape(channelShape(x)));
      b = a.mul(inverse).mul(gScale).mul(-share);
      d = a.mul(gBias).mul(-share).sub(b.mul(mean));
    }
    if (gVariance) {
      const slope = gVariance.mul(2 * share);
      d = addMaybe(d, slope.mul(mean).neg());
      b = addMaybe(b, slope);
    }
    if (gMean) d = addMaybe(d, gMean.mul(share));
    if (d) {
      const channels = [x.size(1)];
      const [zero, one] = [zeros(channels, x.dtype), ones(channels, x.dtype)];
      // b·x + d for each channel in one kernel
      const rest = b ? batchNorm(x, b, d, zero, one, 0) : d.reshape(channelShape(x)).expand(x.shape);
      gx = addMaybe(gx, rest);
    }
    return [gx, gScale, gBias];
  },
});

/** All axes but the channels'. */
function batchAxes(shape: Shape): number[] {
  return shape.map((_, i) => i).filter((i) => i !== 1);
}

/** The shape in which values for each channel broadcast over x. */
function channelShape(x: Tensor): number[] {
  return [x.size(1), ...x.shape.slice(2).map(() => 1)];
}

/** Batch normalisation by the batch's own statistics (variance divided by the count), which come back too. */
export function batchNormTraining(
  x: Tensor,
  scale: Tensor,
  bias: Tensor,
  epsilon = 1e-5,
): { output: Tensor; mean: Tensor; variance: Tensor } {
  const [output, mean, variance] = applyMany(batchNormTrainingOperator, [x, scale, bias], { epsilon });
  return { output: output!, mean: mean!, variance: variance! };
}

declare module '../tensor.ts' {
  interface Tensor {
    layerNorm(scale?: Tensor, bias?: Tensor, epsilon?: number): Tensor;
    rmsNorm(scale?: Tensor, epsilon?: number): Tensor;
    groupNorm(groups: number, scale?: Tensor, bias?: Tensor, epsilon?: number): Tensor;
  }
}

defineMethods({ layerNorm, rmsNorm, groupNorm });
