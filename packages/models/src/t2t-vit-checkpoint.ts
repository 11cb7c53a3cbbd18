/** Reading the published weights of T2T-ViT, and those of JEI-DNN's release that are built on it. */

import { initialize, loadStateDict, type Weights } from '@working-papers/nn/module';
import { type NdArray, ndarray } from '@working-papers/tensor';
import { chosenSet } from './checkpoint-sets.ts';
import type { T2tVit } from './t2t-vit.ts';

/** How a checkpoint of the release becomes a model's weights. */
export interface T2tVitCheckpointOptions {
  /** Leave the checkpoint's head out, for other classes; the model's is fresh, from this seed. Default: keep it. */
  readonly freshHead?: { readonly seed: number };
  /** Names the checkpoint in errors. */
  readonly file?: string;
}

/**
 * Weights from a checkpoint's tensors. A checkpoint that holds several sets has theirs in front of its names:
 * `state_dict_ema.` is taken before `state_dict.` (ImageNet weights), then `net.` (fine-tuned ones). `module.` is
 * dropped, and position embeddings for another picture size are resized. Throws a NameMismatchError that lists
 * missing, unexpected and mis-shaped names.
 */
export function loadT2tVit(
  model: T2tVit,
  dict: ReadonlyMap<string, NdArray>,
  options: T2tVitCheckpointOptions = {},
): Weights {
  const { freshHead, file } = options;
  const tensors = chosenSet(dict, sets);
  const positions = tensors.get('pos_embed');
  const wanted = model.posEmbed.size(1);
  if (positions && positions.shape[1] !== wanted && isGrid(positions))
    tensors.set('pos_embed', resizePositions(positions, Math.sqrt(wanted - 1)));
  if (freshHead) {
    const fresh = initialize(model, freshHead.seed);
    for (const name of ['weight', 'bias'] as const)
      tensors.set(`head.${name}`, fresh.get(model.head[name]!)!);
  }
  return loadStateDict(model, tensors, file === undefined ? {} : { file });
}

const sets = ['state_dict_ema.', 'state_dict.', 'net.'];

/** [1, 1 + n², E] */
function isGrid({ shape }: NdArray): boolean {
  return shape.length === 3 && shape[0] === 1 && Number.isInteger(Math.sqrt(shape[1]! - 1));
}

/** The four weights of cubic convolution with a = −0.75 at `t` between the second and the third of four points. */
function cubicWeights(t: number): number[] {
  const a = -0.75;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

/**
 * Position embeddings [1, 1 + n², E] for a grid of `side`²: the first stays, the grid is resized as PyTorch's
 * `interpolate(mode='bicubic')` does it, edges repeated.
 */
export function resizePositions(positions: NdArray, side: number): NdArray {
  const [, count, size] = positions.shape as [number, number, number];
  const from = Math.sqrt(count - 1);
  const source = positions.data as Float32Array;
  const taps = Array.from({ length: side }, (_, i) => {
    const center = ((i + 0.5) * from) / side - 0.5;
    const first = Math.floor(center);
    return cubicWeights(center - first).map((weight, j) => ({
      weight,
      at: Math.min(from - 1, Math.max(0, first - 1 + j)),
    }));
  });
  const out = new Float32Array((1 + side * side) * size);
  out.set(source.subarray(0, size));
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let c = 0; c < size; c++) {
        let sum = 0;
        for (const row of taps[y]!) {
          for (const column of taps[x]!)
            sum += row.weight * column.weight * source[(1 + row.at * from + column.at) * size + c]!;
        }
        out[(1 + y * side + x) * size + c] = sum;
      }
    }
  }
  return ndarray(out, [1, 1 + side * side, size]);
}
