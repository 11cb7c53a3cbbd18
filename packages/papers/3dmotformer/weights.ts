/** Trained networks in files: safetensors that say what they hold. Runs in Node and in browsers. */

import type { ModelKind } from '@working-papers/models/model-file';
import type { GraphOptions } from './graph.ts';
import { MotFormer, type MotFormerOptions } from './model.ts';

/** What a file says of itself: sizes, classes by their numbers, and the graphs that it was trained on. */
export interface MotFileOptions {
  readonly model: MotFormerOptions;
  readonly classes: readonly string[];
  readonly graph: GraphOptions;
}

/** For `packModel` and `unpackModel`. */
export const motFormerKind: ModelKind<MotFileOptions, MotFormer> = {
  kind: '3dmotformer',
  create: ({ model }) => new MotFormer(model),
};
