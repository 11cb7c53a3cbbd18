import type { DType } from '../src/array.ts';
import type { Shape } from '../src/dims.ts';
import { Tensor } from '../src/tensor.ts';

/** An argument of a graph that is traced by hand. */
export function input(shape: Shape, name = 'x', dtype: DType = 'float32'): Tensor {
  return new Tensor({ shape, dtype }, { kind: 'input', name });
}
