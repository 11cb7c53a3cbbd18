/**
 * What is said of generated CIFAR-10 pictures by the small network of this package. Distances are FD-cnn, made of its
 * 192 features: they compare with each other, not with published FIDs. Pictures are looked at with their eight bits.
 */

import { type FeatureStatistics, featureStatistics, frechetDistance } from '@working-papers/metrics/frechet';
import { labelAgreement } from '@working-papers/metrics/label-agreement';
import { precisionRecall } from '@working-papers/metrics/precision-recall';
import type { Cifar10, Cifar10Split } from '@working-papers/nn/cifar10';
import { Random } from '@working-papers/nn/random';
import { type Device, ndarray, type Tensor } from '@working-papers/tensor';
import { roundToBytes } from './cifar10-features.ts';
import type { Features } from './cifar10-kinds.ts';
import { cifar10Numbers, cifar10Shape } from './cifar10-sampling.ts';

/** How good generated pictures are, by the feature network. */
export interface Judgement {
  /** Fréchet distance to the 10,000 test pictures. */
  readonly fdCnn: number;
  /** Against as many test pictures; third neighbour. */
  readonly precision: number;
  readonly recall: number;
  /** Share of pictures whose class the network names as asked for. */
  readonly agreement: number;
}

/** Features [N, 192] and logits [N, 10] of pictures. */
interface Seen {
  readonly features: Float32Array;
  readonly logits: Float32Array;
  readonly count: number;
}

/** Of `openJudge`. */
export interface JudgeOptions {
  readonly device: Device;
  readonly features: Features;
  readonly data: Cifar10;
  /** Pictures of either side for precision and recall, whose time grows with the square; default 5000. */
  readonly neighbours?: number;
  readonly onProgress?: (pictures: number) => void;
}

/** Measures pictures against CIFAR-10's test set. */
export interface Judge {
  /** Of pictures [N · 3072] in [−1, 1] with the classes they were made for; two a feature at least. */
  judge(samples: ArrayLike<number>, labels: readonly number[]): Promise<Judgement>;
  /** The same of `count` training pictures, equally many of each class: what a perfect generator would get. */
  floor(count: number, seed: number): Promise<Judgement>;
  dispose(): Promise<void>;
}

const dim = 192;

/** Looks at the test pictures once. */
export async function openJudge(options: JudgeOptions): Promise<Judge> {
  const { device, features: network, data, neighbours = 5000, onProgress } = options;
  const { model, weights } = network;
  const look = await device.compile((x: Tensor) => model.look(x), {
    inputs: [{ shape: ['n', ...cifar10Shape] }] as const,
    weights,
  });
  const see = async (
    pictures: (first: number, count: number) => ArrayLike<number>,
    count: number,
  ): Promise<Seen> => {
    const features = new Float32Array(count * dim);
    const logits = new Float32Array(count * 10);
    for (let first = 0; first < count; first += 250) {
      const size = Math.min(250, count - first);
      const seen = await look(ndarray(Float32Array.from(pictures(first, size)), [size, ...cifar10Shape]));
      features.set(seen.features.data as Float32Array, first * dim);
      logits.set(seen.logits.data as Float32Array, first * 10);
      onProgress?.(first + size);
    }
    return { features, logits, count };
  };
  const ofSplit =
    ({ images }: Cifar10Split, order: (n: number) => number) =>
    (first: number, count: number) => {
      const out = new Float32Array(count * cifar10Numbers);
      for (let n = 0; n < count; n++) {
        const from = order(first + n) * cifar10Numbers;
        for (let i = 0; i < cifar10Numbers; i++) out[n * cifar10Numbers + i] = images[from + i]! / 127.5 - 1;
      }
      return out;
    };
  // an order in which every beginning has all classes
  const testOrder = balancedOrder(data.test, 0);
  const real = await see(
    ofSplit(data.test, (n) => testOrder[n]!),
    data.test.length,
  );
  const realStatistics: FeatureStatistics = featureStatistics(real.features, real.count);
  const judged = ({ features, logits, count }: Seen, labels: readonly number[]): Judgement => {
    const size = Math.min(count, real.count, neighbours);
    const part = ({ features: all }: Seen) => ({ features: all.subarray(0, size * dim), count: size });
    const { precision, recall } = precisionRecall(part(real), part({ features, logits, count }));
    return {
      fdCnn: frechetDistance(featureStatistics(features, count), realStatistics),
      precision,
      recall,
      agreement: labelAgreement(logits, labels).all,
    };
  };
  return {
    async judge(samples, labels) {
      const count = labels.length;
      if (samples.length !== count * cifar10Numbers)
        throw new RangeError(`${samples.length} numbers are not ${count} pictures`);
      const bytes = (first: number, size: number) =>
        roundToBytes(
          Array.prototype.slice.call(samples, first * cifar10Numbers, (first + size) * cifar10Numbers),
        );
      return judged(await see(bytes, count), labels);
    },
    async floor(count, seed) {
      const order = balancedOrder(data.train, seed);
      const labels = Array.from({ length: count }, (_, n) => data.train.labels[order[n]!]!);
      return judged(
        await see(
          ofSplit(data.train, (n) => order[n]!),
          count,
        ),
        labels,
      );
    },
    dispose: () => look.dispose(),
  };
}

/** All pictures of a split, the classes taking turns; within a class in a random order. */
function balancedOrder({ labels }: Cifar10Split, seed: number): number[] {
  const classes = Array.from({ length: 10 }, (): number[] => []);
  for (const n of new Random(seed).fork('order').permutation(labels.length)) classes[labels[n]!]!.push(n);
  const longest = Math.max(...classes.map(({ length }) => length));
  return Array.from({ length: longest }, (_, turn) => classes.flatMap((own) => own[turn] ?? [])).flat();
}
