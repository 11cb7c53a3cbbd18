/** Checkpoints that hold several sets of weights, such as a model and its moving average. */

import type { NdArray } from '@working-papers/tensor';

/**
 * The tensors of the first of `prefixes` (`ema.`, `model.` ...) that a checkpoint has, without it, or all of them
 * where it has none. `module.`, which PyTorch's data parallelism puts in front, is dropped.
 */
export function chosenSet(
  dict: ReadonlyMap<string, NdArray>,
  prefixes: readonly string[],
): Map<string, NdArray> {
  const names = [...dict.keys()];
  const prefix = prefixes.find((set) => names.some((name) => name.startsWith(set))) ?? '';
  return new Map(
    [...dict]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length).replace(/^module\./, ''), value]),
  );
}
