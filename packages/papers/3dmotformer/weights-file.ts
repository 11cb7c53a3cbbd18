/** The weights that ship with the package, and others of their kind, from disk. Node only. */

import { fileURLToPath } from 'node:url';
import type { LoadedModel } from '@working-papers/models/model-file';
import { readModelFile } from '@working-papers/models/model-files';
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

/** Throws the errors of `readModelFile`. */
export const readMotFormer = (
  path: string = shippedMotFormer(),
): Promise<LoadedModel<MotFileOptions, MotFormer>> =>
  readModelFile(motFormerKind, path, 'wp train 3dmotformer');
