/** NumPy broadcasting: the type of what two operands give, and gradients back to their shapes. */

import type { DType } from '../array.ts';
import { broadcastShapes, type Shape, sameShape } from '../dims.ts';
import { refuse } from '../operator.ts';
import type { Tensor, TensorType } from '../tensor.ts';

/** Sums `gradient` over the axes that broadcasting added or stretched, back to `shape`. */
export function unbroadcast(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const added = gradient.rank - shape.length;
  const axes: number[] = [];
  gradient.shape.forEach((dim, i) => {
    if (i < added || (shape[i - added] === 1 && dim !== 1)) axes.push(i);
  });
  const summed = gradient.sum(axes, { keepDims: true });
  return added > 0 ? summed.reshape(shape) : summed;
}

/** Of two operands of one dtype. Throws a TensorError in the name of the operator where they do not fit. */
export function broadcastType(name: string, inputs: readonly Tensor[], dtype?: DType): TensorType {
  const [a, b] = inputs as [Tensor, Tensor];
  if (a.dtype !== b.dtype) refuse(name, inputs, `dtypes ${a.dtype} and ${b.dtype} differ: cast one`);
  const shape = broadcastShapes(a.shape, b.shape);
  if (!shape) refuse(name, inputs, 'shapes do not broadcast');
  return { shape, dtype: dtype ?? a.dtype };
}
