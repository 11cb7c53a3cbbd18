export type { InputSpec } from './arguments.ts';
export {
  allocate,
  type DType,
  type FileArray,
  isFileArray,
  type NdArray,
  ndarray,
  type TypedArray,
  toNumbers,
  zerosArray,
} from './array.ts';
export { grad, gradients, valueAndGrad } from './autodiff.ts';
export {
  type Compiled,
  type CompileOptions,
  Device,
  type DeviceOptions,
  openDevice,
  type Step,
  type WeightValues,
} from './device.ts';
export { DeviceError } from './device-error.ts';
export type { Dim, Shape } from './dims.ts';
export { type Jitted, jit } from './jit.ts';
export { type CacheView, type CacheWrite, KvCache, type KvCacheOptions } from './kv-cache.ts';
export { lower, type Model } from './lower.ts';
export { defineOperator, type Lowering, type Operator, operators } from './operator.ts';
export { gelu, leakyRelu, relu, silu, softplus } from './ops/activation.ts';
export * from './ops/arithmetic.ts';
export {
  type AttentionOptions,
  mergeAttention,
  type PartialAttention,
  partialAttention,
  recomputedAttention,
  scaledDotProductAttention,
} from './ops/attention.ts';
export { byRows } from './ops/by-rows.ts';
export {
  type CachedKeys,
  cachedAttention,
  maskedAttention,
  type OwnKeys,
  type QueryCount,
} from './ops/cached-attention.ts';
export * from './ops/comparison.ts';
export * from './ops/constant.ts';
export { type ConvOptions, type ConvTransposeOptions, conv, convTranspose } from './ops/conv.ts';
export * from './ops/indexing.ts';
export * from './ops/matmul.ts';
export { batchNorm, batchNormTraining, groupNorm, layerNorm, rmsNorm } from './ops/normalization.ts';
export * from './ops/pool.ts';
export * from './ops/random.ts';
export { max, mean, min, sum, sumSquares, variance } from './ops/reduce.ts';
export * from './ops/resize.ts';
export { rotary } from './ops/rotary.ts';
export {
  concat,
  expand,
  flatten,
  reshape,
  split,
  squeeze,
  stack,
  transpose,
  tril,
  triu,
  unsqueeze,
} from './ops/shape.ts';
export { dilate, flip, pad, select, slice } from './ops/slice.ts';
export * from './ops/softmax.ts';
export * from './ops/unary.ts';
export type { Provider } from './provider.ts';
export { DeviceArray, keepOnDevice, type Resident } from './resident.ts';
export { Store } from './store.ts';
export { Parameter, Tensor, TensorError, withScope } from './tensor.ts';
