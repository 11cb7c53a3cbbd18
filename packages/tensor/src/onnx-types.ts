/** What is known of nodes and values of a graph: element-wise or not, shapes, dtypes. */

import type { DType, NdArray } from './array.ts';
import { type OnnxNode, onnxType } from './onnx.ts';

/** Of a value whose dimensions are all known. */
export interface KnownType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

const comparisons: ReadonlySet<string> = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Not',
  'And',
  'Or',
]);

/** Nodes that treat all elements alike, so that the order of elements does not matter. */
export const elementwise: ReadonlySet<string> = new Set([
  ...comparisons,
  ...[
    'Abs',
    'Cast',
    'Clip',
    'Erf',
    'Exp',
    'Gelu',
    'HardSigmoid',
    'LeakyRelu',
    'Log',
    'Neg',
    'Reciprocal',
    'Relu',
  ],
  ...[
    'Sigmoid',
    'Sign',
    'Softplus',
    'Sqrt',
    'Tanh',
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Max',
    'Min',
    'Pow',
    'Where',
  ],
]);

/** Reductions that the pass knows. */
export const reductions: ReadonlySet<string> = new Set(['ReduceSum', 'ReduceMean', 'ReduceSumSquare']);

/** Adds the type of what a node makes, where it follows from types that are known: of nodes inside a lowering. */
export function inferType(
  node: OnnxNode,
  types: Map<string, KnownType>,
  initializers: ReadonlyMap<string, NdArray>,
): void {
  const output = node.outputs[0]!;
  if (types.has(output) || node.domain !== '') return;
  const inputs = node.inputs.map((input) => types.get(input));
  if (elementwise.has(node.type)) {
    if (inputs.some((type) => !type)) return;
    const dtype = comparisons.has(node.type) ? 'bool' : dtypeOf(node, inputs as KnownType[]);
    if (dtype)
      types.set(output, {
        dtype,
        shape: broadcast((inputs as KnownType[]).map(({ shape }) => shape)),
      });
  } else if (reductions.has(node.type) && inputs[0]) {
    const axes = initializers.get(node.inputs[1] ?? '')?.data;
    const { keepdims } = node.attributes;
    if (!axes || (keepdims && 'int' in keepdims && keepdims.int === 0)) return;
    const gone = new Set([...axes].map(Number));
    const { shape, dtype } = inputs[0];
    types.set(output, { dtype, shape: shape.map((dim, axis) => (gone.has(axis) ? 1 : dim)) });
  }
}

function dtypeOf(node: OnnxNode, inputs: readonly KnownType[]): DType | undefined {
  if (node.type !== 'Cast') return inputs.at(node.type === 'Where' ? 1 : 0)!.dtype;
  const { to } = node.attributes;
  if (!to || !('int' in to)) return undefined;
  return (['float32', 'bool'] as const).find((dtype) => onnxType(dtype) === to.int);
}

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((size, shape) => {
      const dim = shape[axis - rank + shape.length] ?? 1;
      return size === 1 ? dim : size;
    }, 1),
  );
}
