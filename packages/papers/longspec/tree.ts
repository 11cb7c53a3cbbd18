/** Trees of tokens that may follow a root, and what their nodes see of each other. */

import { visibility } from '@working-papers/models/decoder/cached-decoder';
import type { NdArray } from '@working-papers/tensor';

/** Nodes below a root, which is not one of them; parents stand before their children. */
export interface TokenTree {
  readonly tokens: readonly number[];
  /** The node above, −1 for the root. */
  readonly parents: readonly number[];
}

export const emptyTree: TokenTree = { tokens: [], parents: [] };

/** Tokens one after the other: a tree of width 1. */
export function chainTree(tokens: readonly number[]): TokenTree {
  return { tokens, parents: tokens.map((_, i) => i - 1) };
}

/** Steps from the root: 1 for its children. */
export function depths({ parents }: TokenTree): number[] {
  const found: number[] = [];
  for (const parent of parents) found.push(parent < 0 ? 1 : found[parent]! + 1);
  return found;
}

/** Which rows (the root, then the nodes) see which: their ancestors and themselves. */
export function treeVisibility({ parents }: TokenTree): NdArray {
  const count = parents.length + 1;
  const seen: ReadonlySet<number>[] = [new Set([0])];
  parents.forEach((parent, i) => {
    seen.push(new Set([...seen[parent + 1]!, i + 1]));
  });
  return visibility(count, count, (query, key) => seen[query]!.has(key));
}

/** The child of `node` (−1: the root) that is `token`, the first of equals. */
export function childOf({ tokens, parents }: TokenTree, node: number, token: number): number | undefined {
  const child = tokens.findIndex((each, i) => parents[i] === node && each === token);
  return child < 0 ? undefined : child;
}

/** Nodes a level, from the root's children on: B in the paper. */
export type TreeShape = readonly number[];

export function nodeCount(shape: TreeShape): number {
  return shape.reduce((sum, width) => sum + width, 0);
}
