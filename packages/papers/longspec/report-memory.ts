/** What the report says of memory. */

import type { claimOf, Table } from '@working-papers/edition';
import type { MemoryResult } from './memory.ts';
import type { Measured } from './results.ts';

const two = (value: number) => value.toFixed(2);

const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);

/** Of what weights, keys and values take. */
const memoryRatio = ({ peak, weights, cache }: MemoryResult) => peak / (weights + cache);

export function memoryTables({ memory = [] }: Measured): Table[] {
  if (memory.length === 0) return [];
  return [
    {
      title: 'Most memory of a process that continues a long text, MB',
      columns: ['model', 'tokens', 'weights', 'keys and values', 'process', 'ratio'],
      rows: memory.map((each) => [
        each.model,
        each.tokens,
        megabytes(each.weights),
        megabytes(each.cache),
        megabytes(each.peak),
        two(memoryRatio(each)),
      ]),
    },
  ];
}

export function memoryClaims({ memory = [] }: Measured): Parameters<typeof claimOf>[] {
  const largest = memory.toSorted((a, b) => b.weights - a.weights)[0];
  if (!largest) return [];
  return [
    [
      'Memory: at most 1.3 times what weights, keys and values take',
      'required of this experiment',
      memory
        .map(
          (each) =>
            `${two(memoryRatio(each))} for ${megabytes(each.weights + each.cache)} MB (${each.model})`,
        )
        .join(', '),
      [memoryRatio(largest) <= 1.3],
      'Judged by the largest model: Node and ONNX Runtime take memory of their own, which is more than a small model.',
    ],
  ];
}
