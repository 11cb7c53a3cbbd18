/** The weights that ship with the package, and others of their kind, from disk. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import { UserError } from '@working-papers/paper';
import { type JeiDnnWeights, unpackWeights, WeightsError } from './weights.ts';

/** Beside the sources, and so one folder up from what is compiled into `dist`. */
const folder = new URL(import.meta.url.endsWith('.ts') ? './weights/' : '../weights/', import.meta.url);

/** Where the weights lie that `train` makes and that ship. */
export const shippedWeights = fileURLToPath(new URL('jei-dnn.safetensors', folder));

/** Reads a weights file. Throws a UserError that says what is wrong with it, or how to get one. */
export async function readWeights(path: string = shippedWeights): Promise<JeiDnnWeights> {
  if (path === shippedWeights && !existsSync(path)) {
    throw new UserError(
      `the trained weights are not here (${path}): 'wp train jei-dnn' makes them, or name a file with --weights`,
    );
  }
  try {
    return unpackWeights(await readSafetensors(path), path);
  } catch (error) {
    if (error instanceof WeightsError) throw new UserError(error.message, { cause: error });
    throw error;
  }
}
