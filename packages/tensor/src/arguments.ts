/** Arguments of compiled functions: what is declared, the symbols that are traced, and the arrays that are given. */

import type { NdArray } from './array.ts';
import { DeviceError } from './device-error.ts';
import { evaluateDim, type Shape } from './dims.ts';
import type { CacheView } from './kv-cache.ts';
import type { DeviceArray } from './resident.ts';
import { Tensor } from './tensor.ts';
import { flattenAs, mapTree, type Tree } from './tree.ts';

/** What an argument of a compiled function looks like. Names in the shape are free dimensions. */
export interface InputSpec {
  readonly shape: Shape;
  readonly dtype?: NdArray['dtype'];
}

/** The tensors that a tree of specs describes. */
export type TensorsOf<T> = T extends InputSpec ? Tensor : { [K in keyof T]: TensorsOf<T[K]> };

/** Symbols for a function's arguments, named in their order. */
export function symbols(specs: readonly unknown[]): readonly Tree[] {
  let count = 0;
  return specs.map((tree) =>
    mapTree(tree as Tree<InputSpec>, (spec) => {
      const { shape, dtype = 'float32' } = spec;
      return new Tensor({ shape, dtype }, { kind: 'input', name: `in${count++}` });
    }),
  ) as readonly Tree[];
}

/** What a compiled function takes for a tensor. */
export type Argument = NdArray | DeviceArray | CacheView;

/** Arrays in the order of the traced symbols, also where an object names its arrays in another order. */
export function argumentsInOrder(inputs: readonly Tree[], trees: readonly unknown[]): Argument[] {
  return trees.flatMap((tree, i) => {
    try {
      return flattenAs(inputs[i] ?? [], tree as Tree<Argument>);
    } catch (error) {
      throw new DeviceError(`argument ${i}: ${(error as Error).message}`);
    }
  });
}

/**
 * Wrong arguments are refused here: a kernel's own message would name neither argument nor expectation. Returns the
 * values of the free dimensions.
 */
export function checkInputs(
  wanted: readonly Tensor[],
  given: readonly Argument[],
): ReadonlyMap<string, number> {
  if (wanted.length !== given.length) {
    throw new DeviceError(`${wanted.length} arrays are needed, ${given.length} were given`);
  }
  const free = new Map<string, number>();
  wanted.forEach((symbol, i) => {
    const { shape, dtype } = given[i]!;
    const fits = dtype === symbol.dtype && shape.length === symbol.rank;
    for (const [axis, dim] of symbol.shape.entries()) {
      if (typeof dim === 'string' && !free.has(dim) && /^\w+$/.test(dim)) free.set(dim, shape[axis]!);
    }
    if (!fits || symbol.shape.some((dim, axis) => evaluateDim(dim, free) !== shape[axis])) {
      throw new DeviceError(`argument ${i} must be ${symbol}, got ${dtype}[${shape.join(',')}]`);
    }
  });
  return free;
}
