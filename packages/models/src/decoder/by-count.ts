/** Graphs that are compiled once for few rows and once for many, unless that costs too much memory. */

import type { QueryCount, WeightValues } from '@working-papers/tensor';
import { sizeOf } from '@working-papers/tensor/array';

/** Rows (queries × heads of a group) up to which `few` is the faster graph. */
const fewRows = 16;

/** Bytes of weights up to which many rows have a graph of their own, which holds the weights a second time. */
const mostTwice = 2 ** 28;

/** One function, compiled for different numbers of rows. */
export interface ByCount<Graph> {
  /** The faster one for `rows` = queries × heads of a group. */
  of(rows: number): Graph;
  dispose(): Promise<void>;
}

/** Bytes of weights, computed with in float32. */
export function weightBytes(weights: WeightValues): number {
  return [...weights.values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
}

/** Compiles a function of cached attention, once if these weights are large. */
export async function compileByCount<Graph extends { dispose(): Promise<void> }>(
  weights: WeightValues,
  compile: (queries: QueryCount) => Promise<Graph>,
  twiceUpTo = mostTwice,
): Promise<ByCount<Graph>> {
  const isSmall = weightBytes(weights) <= twiceUpTo;
  const few = await compile(isSmall ? 'few' : 'any');
  const many = isSmall ? await compile('many') : few;
  return {
    of: (rows) => (rows <= fewRows ? few : many),
    async dispose() {
      await few.dispose();
      await many.dispose();
    },
  };
}
