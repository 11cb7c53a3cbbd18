/** Values in nested arrays and objects, as functions take and return them. */

import type { NdArray } from './array.ts';
import { type DeviceArray, Resident } from './resident.ts';
import { Tensor } from './tensor.ts';

export type Tree<T = Tensor> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> };

/** The same tree with an array in every tensor's place. */
export type ArraysOf<T> = T extends Tensor
  ? NdArray
  : T extends Resident
    ? DeviceArray
    : { [K in keyof T]: ArraysOf<T[K]> };

/** The arrays that can be given for a tree of tensors. */
export type ArgumentsOf<T> = T extends Tensor ? NdArray | DeviceArray : { [K in keyof T]: ArgumentsOf<T[K]> };

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

/** The same tree with `f(leaf)` in every leaf's place. */
export function mapTree<T, U>(tree: Tree<T>, f: (leaf: T) => U): Tree<U> {
  if (isLeaf(tree)) return f(tree as T);
  if (Array.isArray(tree)) return tree.map((branch: Tree<T>) => mapTree(branch, f));
  return Object.fromEntries(
    Object.entries(tree as { [key: string]: Tree<T> }).map(([key, branch]) => [key, mapTree(branch, f)]),
  );
}
