/** The weights that ship with the package, and others of their kind, from disk. Node only. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type LoadedModel, ModelFileError, unpackModel } from '@working-papers/models/model-file';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import type { MotFormer } from './model.ts';
import { type MotFileOptions, motFormerKind } from './weights.ts';

/** Beside the sources, and so one folder up from what is compiled into `dist`. */
const folder = new URL(import.meta.url.endsWith('.ts') ? './weights/' : '../weights/', import.meta.url);

/** Frames a second that weights ship for: KITTI's, and every fifth of its frames. */
export type Hertz = 2 | 10;

/** Where the weights lie that ship. */
export function shippedMotFormer(hertz: Hertz = 2): string {
  const name = hertz === 2 ? '3dmotformer.safetensors' : '3dmotformer-10hz.safetensors';
  return fileURLToPath(new URL(name, folder));
}

/** Throws a ModelFileError for a file that is missing or holds something else. */
export async function readMotFormer(
  path: string = shippedMotFormer(),
): Promise<LoadedModel<MotFileOptions, MotFormer>> {
  if (!existsSync(path))
    throw new ModelFileError(`${path} is not there: 'wp train 3dmotformer' makes such a file`);
  return unpackModel(motFormerKind, await readSafetensors(path), path);
}
