import { at, build, dense, offsetOf, replaced, sizeOf } from './dense.ts';
import { type Dense, register } from './registry.ts';

interface AxisAttributes {
  axis: number;
}

function wrap(index: number, size: number): number {
  const wrapped = index < 0 ? index + size : index;
  if (wrapped < 0 || wrapped >= size) throw new RangeError(`index ${index} is outside ${size}`);
  return wrapped;
}

register('gather', ([x, indices], attributes) => {
  const { axis } = attributes as unknown as AxisAttributes;
  const rank = indices!.shape.length;
  const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
  return build(shape, (index) => {
    const which = wrap(at(indices!, index.slice(axis, axis + rank)), x!.shape[axis]!);
    return at(x!, [...index.slice(0, axis), which, ...index.slice(axis + rank)]);
  });
});

register('scatterAddRows', ([updates, indices], attributes, _, resolve) => {
  const { axis, size: dim } = attributes as unknown as AxisAttributes & { size: number };
  const size = resolve.dim(dim);
  const rank = indices!.shape.length;
  const shape = [...updates!.shape.slice(0, axis), size, ...updates!.shape.slice(axis + rank)];
  const out = new Float64Array(sizeOf(shape));
  build(updates!.shape, (index, offset) => {
    const which = wrap(at(indices!, index.slice(axis, axis + rank)), size);
    const value = updates!.data[offset]!;
    out[offsetOf(shape, [...index.slice(0, axis), which, ...index.slice(axis + rank)])]! += value;
    return 0;
  });
  return dense(shape, out);
});

register('takeAlongAxis', ([x, indices], attributes) => {
  const { axis } = attributes as unknown as AxisAttributes;
  return build(indices!.shape, (index, offset) =>
    at(x!, replaced(index, axis, wrap(indices!.data[offset]!, x!.shape[axis]!))),
  );
});

register('scatterAdd', ([x, indices, updates], attributes) => {
  const { axis } = attributes as unknown as AxisAttributes;
  const out = x!.data.slice();
  build(indices!.shape, (index, offset) => {
    const which = wrap(indices!.data[offset]!, x!.shape[axis]!);
    out[offsetOf(x!.shape, replaced(index, axis, which))]! += updates!.data[offset]!;
    return 0;
  });
  return dense(x!.shape, out);
});

register('nonZero', ([x]) => {
  const found = Array.from(x!.data.keys()).filter((i) => x!.data[i] !== 0);
  return dense([found.length], Float64Array.from(found));
});

/** The positions of an axis from best to worst, the first of equals first. */
function ranking(x: Dense, axis: number, index: readonly number[], largest: boolean): number[] {
  const sign = largest ? -1 : 1;
  const value = (i: number) => sign * at(x, replaced(index, axis, i));
  return Array.from({ length: x.shape[axis]! }, (_, i) => i).sort((a, b) => value(a) - value(b) || a - b);
}

for (const [name, largest] of [
  ['argMax', true],
  ['argMin', false],
] as const) {
  register(name, ([x], attributes) => {
    const { axis, keepDims } = attributes as unknown as AxisAttributes & { keepDims: boolean };
    const wide = build(replaced(x!.shape, axis, 1), (index) => ranking(x!, axis, index, largest)[0]!);
    return keepDims ? wide : dense(x!.shape.toSpliced(axis, 1), wide.data);
  });
}

register('topK', ([x], attributes, _, resolve) => {
  const { axis, k, largest } = attributes as unknown as AxisAttributes & { k: number; largest: boolean };
  const shape = replaced(x!.shape, axis, resolve.dim(k));
  const indices = build(shape, (index) => ranking(x!, axis, index, largest)[index[axis]!]!);
  const values = build(shape, (index, offset) => at(x!, replaced(index, axis, indices.data[offset]!)));
  return [values, indices];
});

register('cumSum', ([x], attributes) => {
  const { axis, reverse, exclusive } = attributes as unknown as AxisAttributes & {
    reverse: boolean;
    exclusive: boolean;
  };
  return build(x!.shape, (index) => {
    let sum = 0;
    for (let i = 0; i < x!.shape[axis]!; i++) {
      const before = reverse ? i > index[axis]! : i < index[axis]!;
      if (before || (i === index[axis]! && !exclusive)) sum += at(x!, replaced(index, axis, i));
    }
    return sum;
  });
});
