/**
 * Dimensions: numbers, or names and integer expressions of names (`'batch'`, `'past+tokens'`, `'64*batch'`).
 *
 * An expression is kept as a polynomial in canonical text, so two dimensions are equal exactly when their
 * texts are. `⌊e/n⌋`, which strides and pooling make, is an opaque name in that polynomial.
 */

/** A size: a number, or a name or an expression of names (`past+tokens`) that is known when the graph runs. */
export type Dim = number | string;
/** Sizes of all axes, the outermost first; [] is a scalar. */
export type Shape = readonly Dim[];

/** Monomial (sorted names joined by `*`, empty for the constant) to its integer coefficient. */
type Polynomial = Map<string, number>;

const termStart = /[+-]/;
const name = /^(?:[A-Za-z_][\w.]*|⌊.*⌋)$/;

function splitOutside(text: string, isBreak: (char: string) => boolean, keep: boolean): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '⌊') depth++;
    else if (char === '⌋') depth--;
    else if (depth === 0 && i > start && isBreak(char)) {
      parts.push(text.slice(start, i));
      start = keep ? i : i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function parse(dim: Dim): Polynomial {
  if (typeof dim === 'number') {
    if (!Number.isInteger(dim)) throw new TypeError(`dimension must be an integer, got ${dim}`);
    return new Map(dim === 0 ? [] : [['', dim]]);
  }
  const out: Polynomial = new Map();
  for (const term of splitOutside(dim.replaceAll(' ', ''), (c) => termStart.test(c), true)) {
    let coefficient = term.startsWith('-') ? -1 : 1;
    const names: string[] = [];
    for (const factor of splitOutside(term.replace(/^[+-]/, ''), (c) => c === '*', false)) {
      if (/^\d+$/.test(factor)) coefficient *= Number(factor);
      else if (name.test(factor)) names.push(factor);
      else throw new TypeError(`'${dim}' is not a dimension: '${factor}' is neither a name nor an integer`);
    }
    accumulate(out, names.sort().join('*'), coefficient);
  }
  return out;
}

function accumulate(polynomial: Polynomial, monomial: string, coefficient: number): void {
  const sum = (polynomial.get(monomial) ?? 0) + coefficient;
  if (sum === 0) polynomial.delete(monomial);
  else polynomial.set(monomial, sum);
}

function print(polynomial: Polynomial): Dim {
  const keys = [...polynomial.keys()].sort((a, b) => (a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1));
  if (keys.length === 0) return 0;
  if (keys.length === 1 && keys[0] === '') return polynomial.get('')!;
  let text = '';
  for (const key of keys) {
    const coefficient = polynomial.get(key)!;
    const magnitude = Math.abs(coefficient);
    const body = key === '' ? `${magnitude}` : magnitude === 1 ? key : `${magnitude}*${key}`;
    text += coefficient < 0 ? `-${body}` : text === '' ? body : `+${body}`;
  }
  return text;
}

/** The canonical form of a dimension as a user wrote it. */
export function canonical(dim: Dim): Dim {
  return print(parse(dim));
}

/** a + b, simplified. */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const out = parse(a);
  for (const [monomial, coefficient] of parse(b)) accumulate(out, monomial, coefficient);
  return print(out);
}

/** a − b, simplified. */
export function subDims(a: Dim, b: Dim): Dim {
  return addDims(a, mulDims(b, -1));
}

/** a · b, simplified. */
export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const out: Polynomial = new Map();
  for (const [ma, ca] of parse(a)) {
    for (const [mb, cb] of parse(b)) {
      const names = [...splitNames(ma), ...splitNames(mb)].sort();
      accumulate(out, names.join('*'), ca * cb);
    }
  }
  return print(out);
}

function splitNames(monomial: string): string[] {
  return monomial === '' ? [] : splitOutside(monomial, (c) => c === '*', false);
}

/** `a / b` where it is exact; `undefined` otherwise. `b` must be a number or a single product. */
export function divDims(a: Dim, b: Dim): Dim | undefined {
  const divisor = [...parse(b)];
  if (a === b) return b === 0 ? undefined : 1;
  if (divisor.length !== 1) return undefined;
  const [monomial, coefficient] = divisor[0]!;
  const out: Polynomial = new Map();
  for (const [ma, ca] of parse(a)) {
    const names = splitNames(ma);
    for (const factor of splitNames(monomial)) {
      const at = names.indexOf(factor);
      if (at < 0) return undefined;
      names.splice(at, 1);
    }
    if (ca % coefficient !== 0) return undefined;
    accumulate(out, names.join('*'), ca / coefficient);
  }
  return print(out);
}

/** `⌊a / n⌋` for a positive integer `n`. */
export function floorDivDim(a: Dim, n: number): Dim {
  if (typeof a === 'number') return Math.floor(a / n);
  return divDims(a, n) ?? `⌊(${a})/${n}⌋`;
}

/** How many elements a shape has. */
export function productOf(dims: Shape): Dim {
  return dims.reduce((product, dim) => mulDims(product, dim), 1);
}

/** One piece of an expression as a runtime can compute it: an integer, a name, or the floor of a quotient. */
export type DimFactor = { readonly name: string } | { readonly floor: Dim; readonly by: number };

/** The terms of a dimension, for code that computes it while running: Σ coefficient · Π factors. */
export function termsOf(dim: Dim): { coefficient: number; factors: DimFactor[] }[] {
  return [...parse(dim)].map(([monomial, coefficient]) => ({
    coefficient,
    factors: splitNames(monomial).map((factor) => {
      const quotient = /^⌊\((.*)\)\/(\d+)⌋$/.exec(factor);
      return quotient ? { floor: quotient[1]!, by: Number(quotient[2]) } : { name: factor };
    }),
  }));
}

/** The value of a dimension when its names have the given values; throws when a name is missing. */
export function evaluateDim(dim: Dim, values: ReadonlyMap<string, number>): number {
  if (typeof dim === 'number') return dim;
  let sum = 0;
  for (const { coefficient, factors } of termsOf(dim)) {
    let product = coefficient;
    for (const factor of factors) {
      if ('floor' in factor) product *= Math.floor(evaluateDim(factor.floor, values) / factor.by);
      else {
        const value = values.get(factor.name);
        if (value === undefined) throw new RangeError(`dimension '${factor.name}' has no value`);
        product *= value;
      }
    }
    sum += product;
  }
  return sum;
}

/** NumPy's broadcasting rule; `undefined` when the shapes do not fit. A name meets only itself or 1. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da === db || db === 1) out.push(da);
    else if (da === 1) out.push(db);
    else return undefined;
  }
  return out;
}

/** Are the shapes equal for every value of the free dimensions, as far as their expressions show? */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The shape as numbers; throws a TypeError naming the first dimension that is free. */
export function concrete(shape: Shape, what = 'shape'): number[] {
  return shape.map((dim) => {
    if (typeof dim !== 'number') throw new TypeError(`${what} needs fixed dimensions, but '${dim}' is free`);
    return dim;
  });
}

/** `[2,n]`, as errors have it. */
export function showShape(shape: Shape): string {
  return `[${shape.join(',')}]`;
}
