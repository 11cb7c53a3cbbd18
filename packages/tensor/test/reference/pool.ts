import { at, build, eachIndex, offsetOf } from './dense.ts';
import { type Dense, register } from './registry.ts';

interface Pool {
  kernel: number[];
  strides: number[];
  pads: number[];
  dilations: number[];
  countPadding?: boolean;
}

/** The elements of every window, with their places; `null` for padding. */
function windows(
  x: Dense,
  { kernel, strides, pads, dilations }: Pool,
  reduce: (window: ({ value: number; offset: number } | null)[]) => number,
): Dense {
  const spatial = kernel.map((k, i) => {
    const padded = x.shape[i + 2]! + 2 * pads[i]!;
    let count = 0;
    while (count * strides[i]! + (k - 1) * dilations[i]! < padded) count++;
    return count;
  });
  return build([...x.shape.slice(0, 2), ...spatial], (index) => {
    const window: ({ value: number; offset: number } | null)[] = [];
    eachIndex(kernel, (tap) => {
      const place = tap.map((t, i) => index[i + 2]! * strides[i]! - pads[i]! + t * dilations[i]!);
      const isInside = place.every((p, i) => p >= 0 && p < x.shape[i + 2]!);
      const whole = [...index.slice(0, 2), ...place];
      window.push(isInside ? { value: at(x, whole), offset: offsetOf(x.shape, whole) } : null);
    });
    return reduce(window);
  });
}

register('maxPool', ([x], attributes) => {
  const pool = attributes as unknown as Pool;
  const best = (window: ({ value: number; offset: number } | null)[]) =>
    window.filter((item) => item !== null).reduce((a, b) => (b.value > a.value ? b : a));
  return [
    windows(x!, pool, (window) => best(window).value),
    windows(x!, pool, (window) => best(window).offset),
  ];
});

register('averagePool', ([x], attributes) => {
  const pool = attributes as unknown as Pool;
  return windows(x!, pool, (window) => {
    const inside = window.filter((item) => item !== null);
    const sum = inside.reduce((total, { value }) => total + value, 0);
    return sum / (pool.countPadding ? window.length : inside.length);
  });
});
