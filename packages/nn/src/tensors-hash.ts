/** One number for all values of a model. Node only. */

import { createHash } from 'node:crypto';
import type { NdArray } from '@working-papers/tensor/array';

/** SHA-256 over names, types, shapes and bits of tensors, in the order of the names; hexadecimal. */
export function tensorsHash(tensors: ReadonlyMap<string, NdArray>): string {
  const hash = createHash('sha256');
  for (const [name, { dtype, shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} ${dtype}[${shape.join(',')}]`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
