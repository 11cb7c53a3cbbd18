/** Functions compiled when they are called. */

import type { InputSpec } from './arguments.ts';
import type { NdArray } from './array.ts';
import type { Compiled, CompileOptions, Device } from './device.ts';
import { type ArgumentsOf, type ArraysOf, mapTree, type Tree } from './tree.ts';

/** A function that is compiled anew for each combination of shapes it is called with. */
export interface Jitted<A extends readonly unknown[], R> {
  (...inputs: { [K in keyof A]: ArgumentsOf<A[K]> }): Promise<ArraysOf<R>>;
  /** How many combinations of shapes have been compiled. */
  readonly size: number;
  /** Releases every compiled form; a later call compiles again. */
  dispose(): Promise<void>;
}

/**
 * `f` for arrays of any shape: traced and compiled at the first call with each combination of shapes and dtypes, and
 * kept. For shapes that change with every call, `Device.compile` with named dimensions compiles once for all.
 */
export function jit<A extends readonly unknown[], R>(
  device: Device,
  f: (...inputs: A) => R,
  options: CompileOptions = {},
): Jitted<A, R> {
  const cache = new Map<string, Promise<Compiled<A, R>>>();
  const call = async (...inputs: { [K in keyof A]: ArgumentsOf<A[K]> }): Promise<ArraysOf<R>> => {
    const trees = inputs as unknown as readonly Tree<NdArray>[];
    const specs = trees.map((tree) => mapTree(tree, ({ shape, dtype }): InputSpec => ({ shape, dtype })));
    const key = JSON.stringify(specs);
    let compiled = cache.get(key);
    if (!compiled) {
      // the shapes are known now, their nesting only as far as the type of `f` says
      compiled = device.compile<readonly InputSpec[], unknown>(f as never, {
        ...options,
        inputs: specs as readonly InputSpec[],
      }) as unknown as Promise<Compiled<A, R>>;
      cache.set(key, compiled);
      // what failed to compile may succeed later: a store may have been filled by then
      compiled.catch(() => cache.delete(key));
    }
    return (await compiled)(...inputs);
  };
  const dispose = async (): Promise<void> => {
    const all = [...cache.values()];
    cache.clear();
    for (const compiled of await Promise.allSettled(all)) {
      if (compiled.status === 'fulfilled') await compiled.value.dispose();
    }
  };
  return Object.defineProperty(Object.assign(call, { dispose }), 'size', { get: () => cache.size }) as Jitted<
    A,
    R
  >;
}
