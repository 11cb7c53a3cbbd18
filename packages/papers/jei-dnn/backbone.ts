/** The backbone that early exits are added to: ResNet-20 on CIFAR-10, trained on 45,000 pictures and then frozen. */

import { ResNet } from '@working-papers/models/resnet';
import { type Cifar10, type Cifar10Split, splitCifar10 } from '@working-papers/nn/cifar10';
import { DataLoader, type Dataset } from '@working-papers/nn/data';
import { fit } from '@working-papers/nn/fit';
import { crossEntropy } from '@working-papers/nn/losses';
import { sgd } from '@working-papers/nn/optimizers';
import type { Random } from '@working-papers/nn/random';
import { cosine, warmup } from '@working-papers/nn/schedules';
import { type Batch, Trainer } from '@working-papers/nn/trainer';
import { type Device, type NdArray, ndarray } from '@working-papers/tensor';
import { normalization } from './normalization.ts';

const size = 32;
const plane = size * size;
const padding = 4;

/**
 * One picture (3, 32, 32) normalised into `out`: shifted by (dx, dy) pixels with black beyond the edges, mirrored when
 * `flip`. Black is put in before normalising, as in the usual recipes.
 */
export function normalizeInto(
  out: Float32Array,
  offset: number,
  pixels: Uint8Array,
  { dx = 0, dy = 0, flip = false } = {},
): void {
  for (let c = 0; c < 3; c++) {
    const [scale, shift] = [
      1 / (255 * normalization.std[c]!),
      -normalization.mean[c]! / normalization.std[c]!,
    ];
    for (let y = 0; y < size; y++) {
      const fromY = y + dy;
      for (let x = 0; x < size; x++) {
        const fromX = (flip ? size - 1 - x : x) + dx;
        const inside = fromY >= 0 && fromY < size && fromX >= 0 && fromX < size;
        const value = inside ? pixels[c * plane + fromY * size + fromX]! : 0;
        out[offset + c * plane + y * size + x] = value * scale + shift;
      }
    }
  }
}

interface Example {
  readonly pixels: Uint8Array;
  readonly label: number;
  readonly dx: number;
  readonly dy: number;
  readonly flip: boolean;
}

/** Pictures of a split by index; `augment` draws a crop of the picture padded by 4, and a flip. */
export function examples(
  split: Cifar10Split,
  indices: ArrayLike<number>,
  augment: boolean,
): Dataset<Example> {
  const bytes = 3 * plane;
  return {
    length: indices.length,
    get(i: number, random: Random): Example {
      const index = indices[i]!;
      const pixels = split.images.subarray(index * bytes, (index + 1) * bytes);
      const label = split.labels[index]!;
      if (!augment) return { pixels, label, dx: 0, dy: 0, flip: false };
      const shift = () => random.integer(2 * padding + 1) - padding;
      return { pixels, label, dx: shift(), dy: shift(), flip: random.uniform() < 0.5 };
    },
  };
}

/** Examples as a batch: images [N, 3, 32, 32], labels [N] int32. */
export function collate(items: readonly Example[]): { images: NdArray; labels: NdArray } {
  const images = new Float32Array(items.length * 3 * plane);
  items.forEach((item, i) => {
    normalizeInto(images, i * 3 * plane, item.pixels, item);
  });
  return {
    images: ndarray(images, [items.length, 3, size, size]),
    labels: ndarray(
      Int32Array.from(items, (item) => item.label),
      [items.length],
      'int32',
    ),
  };
}

export interface BackboneOptions {
  readonly device: Device;
  readonly data: Cifar10;
  readonly folder: string;
  readonly epochs: number;
  readonly seed: number;
  readonly batchSize?: number;
  readonly peakRate?: number;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: number, steps: number, metrics: { readonly [metric: string]: number }) => void;
  readonly onEvaluate?: (step: number, figures: { readonly [metric: string]: number }) => void;
}

/** Trains the backbone; its weights stay in the folder's checkpoint. Resolves to the trainer when all steps are done. */
export async function trainBackbone(options: BackboneOptions): Promise<{ model: ResNet; trainer: Trainer }> {
  const { device, data, seed, batchSize = 128, epochs, peakRate = 0.2 } = options;
  const split = splitCifar10(data.train.length);
  const loader = new DataLoader<Example, Batch>(examples(data.train, split.train, true), collate, {
    batchSize,
    shuffle: true,
    seed,
    dropLast: true,
  });
  const steps = loader.batches * epochs;
  const model = new ResNet();
  const trainer = await Trainer.create({
    device,
    model,
    seed,
    batch: {
      images: { shape: [batchSize, 3, size, size] },
      labels: { shape: [batchSize], dtype: 'int32' as const },
    },
    loss: ({ images, labels }) => {
      const logits = model.forward(images);
      const hits = logits.argMax(-1).equal(labels.cast('int64')).cast('float32').mean();
      return { loss: crossEntropy(logits, labels), accuracy: hits };
    },
    optimizer: sgd({ momentum: 0.9, nesterov: true, weightDecay: 5e-4 }),
  });
  const warm = Math.round(steps * 0.1);
  await fit({
    trainer: trainer as unknown as Trainer,
    loader: loader as DataLoader<unknown, Batch>,
    schedule: warmup(warm, cosine({ peak: peakRate, steps: steps - warm })),
    steps,
    folder: options.folder,
    resume: options.resume ?? false,
    evaluate: {
      every: loader.batches,
      run: async () => {
        const weights = await trainer.weights();
        const infer = await device.compile((x) => model.forward(x).argMax(-1), {
          inputs: [{ shape: ['batch', 3, size, size] }] as const,
          weights,
        });
        let hits = 0;
        const validation = new DataLoader(examples(data.train, split.validation, false), collate, {
          batchSize: 250,
        });
        for await (const { images, labels } of validation) {
          const predicted = await infer(images);
          labels.data.forEach((label, i) => {
            if (Number(predicted.data[i]) === Number(label)) hits++;
          });
        }
        await infer.dispose();
        return { validationAccuracy: hits / split.validation.length };
      },
    },
    ...(options.signal ? { signal: options.signal } : {}),
    onStep: (step, metrics) => options.onStep?.(step, steps, metrics),
    onEvaluate: (step, figures) => options.onEvaluate?.(step, figures),
  });
  return { model, trainer: trainer as unknown as Trainer };
}
