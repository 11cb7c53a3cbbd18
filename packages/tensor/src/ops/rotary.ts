/** Rotary position embedding. */

import { productOf, type Shape, sameShape } from '../dims.ts';
import { apply, defineOperator, type Lowering, refuse } from '../operator.ts';
import { isOnProcessor } from '../provider.ts';
import type { Tensor } from '../tensor.ts';
import { lowerReshape } from './shape.ts';

const rotaryOperator = defineOperator({
  name: 'rotary',
  doc: 'Pairs (i, i + D/2) of the last axis turned by an angle (com.microsoft RotaryEmbedding).',
  infer(inputs) {
    const [x, cos, sin] = inputs as [Tensor, Tensor, Tensor];
    if (x.rank < 3) refuse('rotary', inputs, 'needs x [..., T, heads, D]');
    const half = x.size(-1) / 2;
    if (!Number.isInteger(half)) refuse('rotary', inputs, `heads of ${x.dim(-1)} elements have no halves`);
    const table: Shape = [x.dim(-3), half];
    if (!sameShape(cos.shape, table) || !sameShape(sin.shape, table))
      refuse('rotary', inputs, `cosines and sines must be [${table}]`);
    if (cos.dtype !== x.dtype || sin.dtype !== x.dtype) refuse('rotary', inputs, 'dtypes differ: cast');
    return x;
  },
  lower(onnx, [x, cos, sin], { inputs }) {
    const { shape, dtype } = inputs[0]!;
    const fused = isOnProcessor(onnx.provider) && dtype === 'float32';
    if (!fused) return turned(onnx, x!, cos!, sin!, inputs[0]!);
    const [batch, time] = [productOf(shape.slice(0, -3)), shape.at(-3)!];
    const rows = lowerReshape(onnx, x!, [batch, time, productOf(shape.slice(-2))]);
    // row t of the tables is of the t-th position, whichever that is: counted from an offset of 0
    const y = onnx.emit('RotaryEmbedding', [rows, onnx.ints([0]), cos!, sin!], {}, 'com.microsoft');
    return lowerReshape(onnx, y, shape);
  },
  // the transpose of a rotation is the rotation back
  grad: ([g], { inputs }) => {
    const [x, cos, sin] = inputs as [Tensor, Tensor, Tensor];
    const [a, b] = x.split(2, -1) as [Tensor, Tensor];
    const [ga, gb] = g!.split(2, -1) as [Tensor, Tensor];
    const axes = Array.from({ length: x.rank - 1 }, (_, i) => i).filter((i) => i !== x.rank - 3);
    const gCos = ga.mul(a).add(gb.mul(b)).sum(axes);
    const gSin = gb.mul(a).sub(ga.mul(b)).sum(axes);
    return [rotary(g!, cos, sin.neg()), gCos, gSin];
  },
});

function turned(onnx: Lowering, x: string, cos: string, sin: string, { shape }: Tensor): string {
  const last = shape.length - 1;
  const half = (shape[last] as number) / 2;
  const [a, b] = onnx.emitMany('Split', [x, onnx.ints([half, half])], 2, { axis: { int: last } });
  const table = (name: string) => onnx.emit('Unsqueeze', [name, onnx.ints([1])]); // [T, 1, D/2]
  const [c, s] = [table(cos), table(sin)];
  const product = (left: string, right: string) => onnx.emit('Mul', [left, right]);
  const first = onnx.emit('Sub', [product(a!, c), product(b!, s)]);
  const second = onnx.emit('Add', [product(b!, c), product(a!, s)]);
  return onnx.emit('Concat', [first, second], { axis: { int: last } });
}

/**
 * Rotary position embedding of x [..., T, heads, D]: element i of the first half of D and element i of the second are
 * turned together by the angle whose cosine and sine stand in row t of cos and sin [T, D/2] (Su et al. 2021, arXiv
 * 2104.09864, in the layout of Llama).
 */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return apply(rotaryOperator, [x, cos, sin], {});
}
