/** Reading the published weights of DiT. */

import { loadStateDict, type Weights } from '@working-papers/nn/module';
import type { NdArray } from '@working-papers/tensor';
import { chosenSet } from './checkpoint-sets.ts';
import type { DiT } from './dit.ts';

/**
 * Weights from a checkpoint's tensors: `DiT-XL-2-256x256` as it is, or one that the official training writes, whose
 * moving average (`ema.`) is taken before the model (`model.`). `file` names the checkpoint in errors. Throws a
 * NameMismatchError that lists missing, unexpected and mis-shaped names: 256 px weights do not fit a model for 512 px.
 */
export function loadDiT(
  model: DiT,
  dict: ReadonlyMap<string, NdArray>,
  options: { readonly file?: string } = {},
): Weights {
  return loadStateDict(model, chosenSet(dict, ['ema.', 'model.']), options);
}
