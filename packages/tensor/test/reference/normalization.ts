/** Normalisation layers. */

import { build } from './dense.ts';
import { type Dense, register } from './registry.ts';

register('layerNorm', ([x, scale, bias], attributes): Dense[] => {
  const size = x!.shape.at(-1)!;
  const rows = [...x!.shape.slice(0, -1), 1];
  const rowOf = (row: number): Float64Array => x!.data.subarray(row * size, (row + 1) * size);
  const mean = build(rows, (_, row) => rowOf(row).reduce((a, b) => a + b, 0) / size);
  const inverse = build(rows, (_, row) => {
    const variance = rowOf(row).reduce((sum, value) => sum + (value - mean.data[row]!) ** 2, 0) / size;
    return 1 / Math.sqrt(variance + (attributes.epsilon as number));
  });
  const y = build(x!.shape, (index, offset) => {
    const row = Math.floor(offset / size);
    const column = index.at(-1)!;
    return (
      (x!.data[offset]! - mean.data[row]!) * inverse.data[row]! * scale!.data[column]! + bias!.data[column]!
    );
  });
  return [y, mean, inverse];
});

register('rmsNorm', ([x, scale], attributes): Dense[] => {
  const size = x!.shape.at(-1)!;
  const inverse = build([...x!.shape.slice(0, -1), 1], (_, row) => {
    const squares = x!.data
      .subarray(row * size, (row + 1) * size)
      .reduce((sum, value) => sum + value ** 2, 0);
    return 1 / Math.sqrt(squares / size + (attributes.epsilon as number));
  });
  const y = build(
    x!.shape,
    (index, at) => x!.data[at]! * inverse.data[Math.floor(at / size)]! * scale!.data[index.at(-1)!]!,
  );
  return [y, inverse];
});

function normalized(
  x: Dense,
  scale: Dense,
  bias: Dense,
  mean: Dense,
  variance: Dense,
  epsilon: number,
): Dense {
  return build(x.shape, ([, c], offset) => {
    const normal = (x.data[offset]! - mean.data[c!]!) / Math.sqrt(variance.data[c!]! + epsilon);
    return normal * scale.data[c!]! + bias.data[c!]!;
  });
}

register('batchNorm', ([x, scale, bias, mean, variance], { epsilon }) =>
  normalized(x!, scale!, bias!, mean!, variance!, epsilon as number),
);

register('batchNormTraining', ([x, scale, bias], { epsilon }): Dense[] => {
  const channels = x!.shape[1]!;
  const count = x!.data.length / channels;
  const average = (value: (x: number, channel: number) => number): Dense => {
    const total = new Float64Array(channels);
    build(x!.shape, ([, c], offset) => {
      total[c!]! += value(x!.data[offset]!, c!);
      return 0;
    });
    return { shape: [channels], data: total.map((sum) => sum / count) };
  };
  const mean = average((value) => value);
  const variance = average((value, c) => (value - mean.data[c]!) ** 2);
  return [normalized(x!, scale!, bias!, mean, variance, epsilon as number), mean, variance];
});
