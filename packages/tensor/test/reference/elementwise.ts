/** Element-wise operators and constants. */

import type { DType } from '../../src/array.ts';
import type { Dim } from '../../src/dims.ts';
import { broadcastAt, broadcastShape, build } from './dense.ts';
import { type Dense, register } from './registry.ts';

function binary(name: string, f: (a: number, b: number, integer: boolean) => number): void {
  register(name, ([a, b], _, node) => {
    const integer = !node.inputs[0]!.dtype.startsWith('float');
    return build(broadcastShape(a!.shape, b!.shape), (index) =>
      f(broadcastAt(a!, index), broadcastAt(b!, index), integer),
    );
  });
}

binary('add', (a, b) => a + b);
binary('sub', (a, b) => a - b);
binary('mul', (a, b) => a * b);
binary('div', (a, b, integer) => (integer ? Math.trunc(a / b) : a / b));
binary('pow', (a, b) => a ** b);
binary('maximum', (a, b) => Math.max(a, b));
binary('minimum', (a, b) => Math.min(a, b));
binary('equal', (a, b) => (a === b ? 1 : 0));
binary('less', (a, b) => (a < b ? 1 : 0));
binary('lessEqual', (a, b) => (a <= b ? 1 : 0));
binary('greater', (a, b) => (a > b ? 1 : 0));
binary('greaterEqual', (a, b) => (a >= b ? 1 : 0));
binary('and', (a, b) => a && b);
binary('or', (a, b) => a || b);

register('where', ([condition, a, b]) =>
  build(broadcastShape(condition!.shape, a!.shape, b!.shape), (index) =>
    broadcastAt(condition!, index) ? broadcastAt(a!, index) : broadcastAt(b!, index),
  ),
);

/** An operator on every element by itself. */
export function unary(name: string, f: (x: number, attributes: Record<string, unknown>) => number): void {
  register(name, ([x], attributes) => ({
    shape: x!.shape,
    data: x!.data.map((value) => f(value, attributes)),
  }));
}

unary('not', (x) => 1 - x);
unary('neg', (x) => -x);
unary('reciprocal', (x) => 1 / x);
unary('exp', Math.exp);
unary('log', Math.log);
unary('sqrt', Math.sqrt);
unary('rsqrt', (x) => 1 / Math.sqrt(x));
unary('sin', Math.sin);
unary('cos', Math.cos);
unary('tanh', Math.tanh);
unary('sigmoid', (x) => 1 / (1 + Math.exp(-x)));
unary('erf', erf);
unary('abs', Math.abs);
unary('sign', Math.sign);
unary('step', (x) => (x > 0 ? 1 : 0));
unary('floor', Math.floor);
unary('ceil', Math.ceil);
unary('round', roundHalfEven);
unary('stopGradient', (x) => x);
unary('clip', (x, { min, max }) => {
  const limits = { min: min as number | null, max: max as number | null };
  return Math.min(Math.max(x, limits.min ?? x), limits.max ?? Number.POSITIVE_INFINITY);
});
unary('cast', (x, { dtype }) => castTo(x, dtype as DType));

/** The series erf x = 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)): all terms have one sign, so nothing cancels. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function castTo(x: number, dtype: DType): number {
  if (dtype.startsWith('float')) return x;
  return dtype === 'bool' ? (x === 0 ? 0 : 1) : Math.trunc(x);
}

register('arange', (_, attributes, __, resolve) => {
  const { start, step, count } = attributes as { start: number; step: number; count: Dim };
  return build([resolve.dim(count)], ([i]) => start + step * i!);
});

register(
  'expand',
  ([x], { shape }, _, resolve): Dense =>
    build(resolve.shape(shape as Dim[]), (index) => broadcastAt(x!, index)),
);
