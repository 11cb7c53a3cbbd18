/** Values in nested arrays and objects, as functions take and return them. */

import type { NdArray } from './array.ts';
import type { CacheView } from './kv-cache.ts';
import { type DeviceArray, Resident } from './resident.ts';
import { Tensor } from './tensor.ts';

/** Values in nested lists and objects. */
export type Tree<T = Tensor> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> };

/** The same tree with an array in every tensor's place. */
export type ArraysOf<T> = T extends Tensor
  ? NdArray
  : T extends Resident
    ? DeviceArray
    : { [K in keyof T]: ArraysOf<T[K]> };

/** The arrays that can be given for a tree of tensors. */
export type ArgumentsOf<T> = T extends Tensor
  ? NdArray | DeviceArray | CacheView
  : { [K in keyof T]: ArgumentsOf<T[K]> };

function isLeaf(value: unknown): boolean {
  return (
    value instanceof Tensor ||
    value instanceof Resident ||
    (typeof value === 'object' && value !== null && 'shape' in value)
  );
}

/** The leaves (tensors, arrays, specs), depth first, object keys in their order. */
export function flattenTree<T>(tree: Tree<T>): T[] {
  if (isLeaf(tree)) return [tree as T];
  if (typeof tree !== 'object' || tree === null)
    throw new TypeError(`expected tensors or arrays, got ${typeof tree}`);
  return Object.values(tree as { [key: string]: Tree<T> }).flatMap((branch) => flattenTree(branch));
}

/**
 * The leaves of `tree` in the order of `pattern`, whose keys may stand in another order. Throws a TypeError where
 * the keys differ.
 */
export function flattenAs<T>(pattern: Tree<unknown>, tree: Tree<T>): T[] {
  if (isLeaf(pattern) || isLeaf(tree) || typeof tree !== 'object' || tree === null) return flattenTree(tree);
  const [wanted, given] = [pattern, tree].map((branch) => Object.keys(branch as object)) as [
    string[],
    string[],
  ];
  if (wanted.length !== given.length || wanted.some((key) => !Object.hasOwn(tree, key)))
    throw new TypeError(`expected the keys ${wanted.join(', ')}, got ${given.join(', ')}`);
  const branches = tree as { [key: string]: Tree<T> };
  return Object.entries(pattern as { [key: string]: Tree<unknown> }).flatMap(([key, branch]) =>
    flattenAs(branch, branches[key]!),
  );
}

/** The same tree with `f(leaf)` in every leaf's place. */
export function mapTree<T, U>(tree: Tree<T>, f: (leaf: T) => U): Tree<U> {
  if (isLeaf(tree)) return f(tree as T);
  if (Array.isArray(tree)) return tree.map((branch: Tree<T>) => mapTree(branch, f));
  return Object.fromEntries(
    Object.entries(tree as { [key: string]: Tree<T> }).map(([key, branch]) => [key, mapTree(branch, f)]),
  );
}
