/** Matrix products. */

import { at, broadcastShape, build } from './dense.ts';
import { register } from './registry.ts';

register('matmul', ([a, b, bias], attributes) => {
  const { transA, transB } = attributes as { transA: boolean; transB: boolean };
  const [rowAxis, innerAxis] = transA ? [-1, -2] : [-2, -1];
  const [m, inner] = [a!.shape.at(rowAxis)!, a!.shape.at(innerAxis)!];
  const n = b!.shape.at(transB ? -2 : -1)!;
  const batch = broadcastShape(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
  const within = (shape: readonly number[], index: readonly number[]): number[] => {
    const own = shape.slice(0, -2);
    return own.map((dim, i) => (dim === 1 ? 0 : index[batch.length - own.length + i]!));
  };
  return build([...batch, m, n], (index) => {
    const [i, j] = [index.at(-2)!, index.at(-1)!];
    const [inA, inB] = [within(a!.shape, index), within(b!.shape, index)];
    let sum = bias ? bias.data[j]! : 0;
    for (let k = 0; k < inner; k++) {
      sum +=
        at(a!, [...inA, ...(transA ? [k, i] : [i, k])]) * at(b!, [...inB, ...(transB ? [j, k] : [k, j])]);
    }
    return sum;
  });
});
