/**
 * What the frozen backbone says about every picture, computed once: the features that each exit reads, and the
 * backbone's own logits. IMs and gates are trained on these in seconds an epoch, since the backbone never changes.
 */

import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cifar10, type Cifar10Split, splitCifar10 } from '@working-papers/nn/cifar10';
import { initialize, type Weights } from '@working-papers/nn/module';
import { Random } from '@working-papers/nn/random';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import { tensorsHash } from '@working-papers/nn/tensors-hash';
import { concat, type Device, type NdArray, ndarray } from '@working-papers/tensor';
import { collate, examples } from './backbone.ts';
import { type EarlyExitBackbone, JeiDnn } from './model.ts';

/** A split in numbers. Row v·N + i of `features` and `logits` is view v of picture i. */
export interface FeatureSplit {
  /** N. */
  readonly length: number;
  readonly views: number;
  /** [views·N, Σ E_l], the early exits' features side by side. */
  readonly features: Float32Array;
  /** [views·N, K]: the backbone's own. */
  readonly logits: Float32Array;
  /** [N]. */
  readonly labels: Int32Array;
}

/** Which features the early exits read, and how many classes there are. */
export interface FeatureLayout {
  /** E_l of the L−1 early exits. */
  readonly widths: readonly number[];
  /** K. */
  readonly classes: number;
}

export interface FeatureCache extends FeatureLayout {
  /** Of the backbone's tensors; a cache of another backbone is of no use. */
  readonly hash: string;
  /** Views 0..3 are cropped and mirrored at random as in the backbone's training, the last one is the picture itself. */
  readonly train: FeatureSplit;
  /** Never seen by the backbone: thresholds, quantiles and selection are taken from here. */
  readonly validation: FeatureSplit;
  readonly test: FeatureSplit;
}

export interface FeatureOptions {
  readonly device: Device;
  readonly backbone: EarlyExitBackbone;
  /** Under the backbone's own names. */
  readonly tensors: ReadonlyMap<string, NdArray>;
  readonly exits?: readonly number[];
  readonly data: Cifar10;
  /** Holds one file for each backbone. */
  readonly folder: string;
  /** Pictures of each split that are used; default all. */
  readonly limit?: number;
  /** Augmented views of each training picture; default 4. */
  readonly augmentedViews?: number;
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** From the cache folder, or computed and left there. */
export async function loadFeatures(options: FeatureOptions): Promise<FeatureCache> {
  const { limit = Number.POSITIVE_INFINITY, augmentedViews = 4, seed = 0, tensors, data } = options;
  const hash = tensorsHash(tensors);
  const model = new JeiDnn(options.backbone, options.exits ? { exits: options.exits } : {});
  const layout = {
    widths: model.exits.map((block) => options.backbone.featureWidths[block]!),
    classes: options.backbone.classes,
  };
  const all = splitCifar10(data.train.length);
  const parts = {
    train: { split: data.train, indices: some(all.train, limit), views: augmentedViews + 1 },
    validation: { split: data.train, indices: some(all.validation, limit), views: 1 },
    test: {
      split: data.test,
      indices: some(
        Uint32Array.from({ length: data.test.length }, (_, i) => i),
        limit,
      ),
      views: 1,
    },
  };
  const sizes = Object.values(parts).map(({ indices, views }) => `${indices.length}x${views}`);
  const key = [hash, ...sizes, model.exits.join('-'), `seed${seed}`].join(' ');
  const path = join(
    options.folder,
    `jei-dnn-features-${createHash('sha256').update(key).digest('hex').slice(0, 16)}.safetensors`,
  );
  const kept = await readCache(path, key);
  if (kept) return { ...layout, hash, ...kept };

  const extract = await extractor(options.device, model, tensors);
  const total = Object.values(parts).reduce((sum, { indices, views }) => sum + indices.length * views, 0);
  let done = 0;
  const splits: Record<string, FeatureSplit> = {};
  try {
    for (const [name, part] of Object.entries(parts)) {
      splits[name] = await extract({
        ...part,
        layout,
        random: new Random(seed).fork('views'),
        onBatch: (count) => {
          options.signal?.throwIfAborted();
          done += count;
          options.onProgress?.(done, total);
        },
      });
    }
  } finally {
    await extract.dispose();
  }
  const cache = splits as unknown as Splits;
  await mkdir(options.folder, { recursive: true });
  await writeSafetensors(path, arrays(cache, layout), { metadata: { key } });
  return { ...layout, hash, ...cache };
}

/** `limit` of the indices at even distances: the archive is in the order of the classes. */
function some(indices: Uint32Array, limit: number): Uint32Array {
  const count = Math.min(limit, indices.length);
  return Uint32Array.from({ length: count }, (_, i) => indices[Math.floor((i * indices.length) / count)]!);
}

type Splits = Pick<FeatureCache, 'train' | 'validation' | 'test'>;

interface Part {
  readonly split: Cifar10Split;
  readonly indices: Uint32Array;
  readonly views: number;
  readonly layout: FeatureLayout;
  readonly random: Random;
  readonly onBatch: (pictures: number) => void;
}

const batchSize = 100;

/** BatchNorm traces as inference here: nothing says training. The IMs and gates of the model are not used. */
async function extractor(device: Device, model: JeiDnn, tensors: ReadonlyMap<string, NdArray>) {
  const { backbone } = model;
  const weights: Weights = backboneWeights(backbone, tensors);
  const run = await device.compile(
    (images) => {
      const features = model.features(images);
      return { features: concat(features.slice(0, -1), 1), logits: backbone.head.forward(features.at(-1)!) };
    },
    { inputs: [{ shape: ['batch', 3, 32, 32] }] as const, weights, name: 'features' },
  );
  const extract = async ({ split, indices, views, layout, random, onBatch }: Part): Promise<FeatureSplit> => {
    const width = layout.widths.reduce((a, b) => a + b, 0);
    const { length } = indices;
    const features = new Float32Array(views * length * width);
    const logits = new Float32Array(views * length * layout.classes);
    const starts = Array.from({ length: views }, (_, view) =>
      Array.from({ length: Math.ceil(length / batchSize) }, (_, i) => ({ view, start: i * batchSize })),
    ).flat();
    const pictures = [false, true].map((augment) => examples(split, indices, augment));
    const prepare = async ({ view, start }: { view: number; start: number }) => {
      const count = Math.min(batchSize, length - start);
      const source = pictures[view < views - 1 ? 1 : 0]!;
      const draw = random.fork(view);
      const items = await Promise.all(
        Array.from({ length: count }, (_, i) => source.get(start + i, draw.fork(start + i))),
      );
      return { images: collate(items).images, row: view * length + start, count };
    };
    let next = starts.length > 0 ? await prepare(starts[0]!) : undefined;
    for (let i = 0; next; i++) {
      const { images, row, count } = next;
      const running = run(images);
      // the next batch is cropped and normalised here while the device works on this one
      next = i + 1 < starts.length ? await prepare(starts[i + 1]!) : undefined;
      const out = await running;
      features.set(out.features.data as Float32Array, row * width);
      logits.set(out.logits.data as Float32Array, row * layout.classes);
      onBatch(count);
    }
    return { length, views, features, logits, labels: Int32Array.from(indices, (i) => split.labels[i]!) };
  };
  return Object.assign(extract, { dispose: () => run.dispose() });
}

function backboneWeights(backbone: EarlyExitBackbone, tensors: ReadonlyMap<string, NdArray>): Weights {
  const values = initialize(backbone, 0);
  for (const [name, weight] of backbone.namedWeights()) {
    const value = tensors.get(name);
    if (!value) throw new Error(`the backbone's checkpoint has no '${name}'`);
    values.set(weight, value);
  }
  return values;
}

function arrays(splits: Splits, { classes }: FeatureLayout): Map<string, NdArray> {
  const out = new Map<string, NdArray>();
  for (const [name, { length, views, features, logits, labels }] of Object.entries(splits)) {
    const rows = views * length;
    out.set(`${name}.features`, ndarray(features, [rows, features.length / rows]));
    out.set(`${name}.logits`, ndarray(logits, [rows, classes]));
    out.set(`${name}.labels`, ndarray(labels, [length], 'int32'));
  }
  return out;
}

/** A cache that is missing, damaged or of another backbone is no cache. */
async function readCache(path: string, key: string): Promise<Splits | undefined> {
  try {
    const { tensors, metadata } = await readSafetensors(path);
    if (metadata.key !== key) return undefined;
    const read = (name: string): FeatureSplit => {
      const [features, logits, labels] = ['features', 'logits', 'labels'].map(
        (part) => tensors.get(`${name}.${part}`)!,
      ) as [NdArray, NdArray, NdArray];
      return {
        length: labels.shape[0]!,
        views: logits.shape[0]! / labels.shape[0]!,
        features: features.data as Float32Array,
        logits: logits.data as Float32Array,
        labels: labels.data as Int32Array,
      };
    };
    return { train: read('train'), validation: read('validation'), test: read('test') };
  } catch {
    return undefined;
  }
}
