/** What training and bench have in common: CIFAR-10, a frozen backbone, and its cached features. */

import { existsSync } from 'node:fs';
import { ResNet } from '@working-papers/models/resnet';
import type { Cifar10 } from '@working-papers/nn/cifar10';
import { cacheFolder } from '@working-papers/nn/datasets';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import { type Output, UserError } from '@working-papers/paper';
import { readCifar10 } from '@working-papers/paper/pictures';
import { type Device, type NdArray, ndarray } from '@working-papers/tensor';
import { halfToNumber, numberToHalf } from '@working-papers/tensor/array';
import { exitCosts } from './cost.ts';
import { type FeatureCache, loadFeatures } from './features.ts';
import { JeiDnn } from './model.ts';
import type { ExitLoss } from './objective.ts';
import { type JeiDnnWeights, unpackWeights } from './weights.ts';
import { readWeights } from './weights-file.ts';

/**
 * λ as trained here by default, by what gates weigh cost against: from nearly the whole network to its first exits,
 * densest where costs fall fastest.
 */
export const defaultCostWeights: Readonly<Record<ExitLoss, readonly number[]>> = {
  error: [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9],
  'cross-entropy': [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1.1, 1.2, 1.5, 2],
};

/** Each once, ascending. */
export const sortedCostWeights = (values: readonly number[]): readonly number[] =>
  [...new Set(values)].sort((a, b) => a - b);

/** A backbone's tensors under its own names, and where they come from as far as the file says. */
export interface Backbone {
  readonly tensors: ReadonlyMap<string, NdArray>;
  readonly origin?: string;
}

/**
 * Of a training checkpoint, of a weights file, or the one that ships. Rounded to half precision, in which it ships: IMs
 * and gates are then trained on the very backbone that is run.
 */
export async function readBackbone(path?: string): Promise<Backbone> {
  const { tensors, origin } = await backboneFile(path);
  const rounded = new Map([...tensors].map(([name, value]) => [name, asShipped(value)]));
  return { tensors: rounded, ...(origin === undefined ? {} : { origin }) };
}

async function backboneFile(path: string | undefined): Promise<Backbone> {
  const shipped = ({ backbone, card }: JeiDnnWeights): Backbone => ({
    tensors: backbone,
    ...(card.backbone === undefined ? {} : { origin: card.backbone }),
  });
  if (path === undefined) return shipped(await readWeights());
  if (!existsSync(path)) throw new UserError(`no backbone in '${path}': no such file`);
  const file = await readSafetensors(path);
  if ('format' in file.metadata) return shipped(unpackWeights(file, path));
  const own = [...file.tensors].filter(([name]) => name.startsWith('model.'));
  if (own.length === 0) throw new UserError(`'${path}' is neither a weights file nor a training checkpoint`);
  const { command, validationAccuracy } = file.metadata;
  const reached =
    validationAccuracy && `, accuracy ${(100 * Number(validationAccuracy)).toFixed(2)} % on validation`;
  return {
    tensors: new Map(own.map(([name, value]) => [name.slice('model.'.length), value])),
    ...(command ? { origin: `${command}${reached ?? ''}` } : {}),
  };
}

function asShipped(value: NdArray): NdArray {
  if (value.dtype !== 'float32') return value;
  return ndarray(
    (value.data as Float32Array).map((each) => halfToNumber(numberToHalf(each))),
    value.shape,
  );
}

export interface Experiment {
  readonly data: Cifar10;
  readonly backbone: ReadonlyMap<string, NdArray>;
  readonly cache: FeatureCache;
  /** c_l. */
  readonly costs: readonly number[];
  /** Of one picture through the whole network. */
  readonly multiplyAdds: number;
}

export interface ExperimentOptions {
  readonly device: Device;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly backbone: ReadonlyMap<string, NdArray>;
  /** Pictures of each split; default all. */
  readonly limit?: number;
  readonly augmentedViews?: number;
}

export async function openExperiment(options: ExperimentOptions): Promise<Experiment> {
  const { device, output, signal, backbone, limit, augmentedViews } = options;
  const data = await readCifar10(output);
  const network = new ResNet();
  using bar = output.progress('features', 1);
  let drawn = false;
  const cache = await loadFeatures({
    device,
    backbone: network,
    tensors: backbone,
    data,
    folder: cacheFolder(),
    signal,
    ...(limit === undefined ? {} : { limit }),
    ...(augmentedViews === undefined ? {} : { augmentedViews }),
    onProgress: (done, total) => {
      drawn = true;
      bar.update(done / total, `${done} of ${total} pictures`);
    },
  });
  if (!drawn) bar.update(1, 'from the cache');
  const { shares, multiplyAdds } = exitCosts(new JeiDnn(network), 32);
  return { data, backbone, cache, costs: shares, multiplyAdds: multiplyAdds.at(-1)! };
}
