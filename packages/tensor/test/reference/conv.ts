/** Convolutions, from the one list of (x, w, y) triples that meet: y[k] += x[c] · w[k, c]. */

import type { Dim } from '../../src/dims.ts';
import { build, eachIndex, offsetOf } from './dense.ts';
import { type Dense, type Evaluate, register } from './registry.ts';

/** Calls `meet` with the offsets of every x, w and y that belong to one product. */
function eachProduct(
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
  attributes: Record<string, unknown>,
  meet: (x: number, w: number, y: number) => void,
): void {
  const { strides, pads, dilations, groups } = attributes as {
    strides: number[];
    pads: number[];
    dilations: number[];
    groups: number;
  };
  const outPerGroup = w[0]! / groups;
  eachIndex(y, ([n, k, ...position], atY) => {
    const group = Math.floor(k! / outPerGroup);
    eachIndex(w.slice(1), ([c, ...tap]) => {
      const from = tap.map((t, i) => position[i]! * strides[i]! - pads[i]! + t * dilations[i]!);
      if (from.some((p, i) => p < 0 || p >= x[i + 2]!)) return;
      meet(offsetOf(x, [n!, group * w[1]! + c!, ...from]), offsetOf(w, [k!, c!, ...tap]), atY);
    });
  });
}

const conv: Evaluate = ([x, w, bias], attributes) => {
  const { strides, pads, dilations } = attributes as {
    strides: number[];
    pads: number[];
    dilations: number[];
  };
  const spatial = strides.map((stride, i) => {
    const reach = dilations[i]! * (w!.shape[i + 2]! - 1) + 1;
    return Math.floor((x!.shape[i + 2]! + pads[i]! + pads[i + strides.length]! - reach) / stride) + 1;
  });
  const y = build([x!.shape[0]!, w!.shape[0]!, ...spatial], ([, k]) => (bias ? bias.data[k!]! : 0));
  eachProduct(x!.shape, w!.shape, y.shape, attributes, (atX, atW, atY) => {
    y.data[atY]! += x!.data[atX]! * w!.data[atW]!;
  });
  return y;
};

register('conv', conv);

register('convTranspose', ([y, w], attributes, _, resolve): Dense => {
  const { groups, size } = attributes as { groups: number; size: Dim[] };
  const x = build([y!.shape[0]!, w!.shape[1]! * groups, ...resolve.shape(size)], () => 0);
  eachProduct(x.shape, w!.shape, y!.shape, attributes, (atX, atW, atY) => {
    x.data[atX]! += y!.data[atY]! * w!.data[atW]!;
  });
  return x;
});

register('convWeight', ([x, y], attributes): Dense => {
  const { groups, kernel } = attributes as { groups: number; kernel: number[] };
  const w = build([y!.shape[1]!, x!.shape[1]! / groups, ...kernel], () => 0);
  eachProduct(x!.shape, w.shape, y!.shape, attributes, (atX, atW, atY) => {
    w.data[atW]! += x!.data[atX]! * y!.data[atY]!;
  });
  return w;
});
