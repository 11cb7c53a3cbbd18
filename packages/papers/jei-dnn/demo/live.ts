/** The network in the reader's browser: the shipped weights, compiled in a worker, one picture at a time. */

import type { RgbImage } from '@working-papers/nn/images';
import { decodeSafetensors } from '@working-papers/nn/safetensors';
import { fetchWeights } from '@working-papers/paper/browser';
import { openDevice, type Provider } from '@working-papers/tensor';
import { type Classification, openClassifier } from '../classify.ts';
import { unpackWeights } from '../weights.ts';

export interface Live {
  readonly provider: Provider;
  readonly classNames: readonly string[];
  /** Every λ there is, ascending, and which of them is the usual one. */
  readonly costWeights: readonly number[];
  readonly usual: number;
  /** c of each exit. */
  readonly shares: readonly number[];
  classify(image: RgbImage, costWeight: number, gates: boolean): Promise<LiveAnswer>;
  close(): Promise<void>;
}

export interface LiveAnswer extends Classification {
  /** From the picture's pixels to the answer, on this machine. */
  readonly milliseconds: number;
}

const weightsUrl = new URL('../weights/jei-dnn.safetensors', import.meta.url);

/** Fetches the weights and compiles the network. Throws with a sentence for the reader. */
export async function openLive(provider: Provider, wasmPaths: string): Promise<Live> {
  const weights = unpackWeights(decodeSafetensors(await fetchWeights(weightsUrl)));
  const device = await openDevice({ provider, assets: wasmPaths });
  try {
    const classifier = await openClassifier({ device, weights });
    // the first run of a graph pays for its setting up; the reader's picture should not
    const { imageSize: size } = weights;
    const blank = { width: size, height: size, data: new Uint8Array(3 * size * size) };
    await classifier.classify([blank], { threshold: 1 });
    return {
      provider,
      classNames: classifier.classNames,
      costWeights: classifier.costWeights,
      usual: classifier.costWeight,
      shares: classifier.costs.shares,
      async classify(image, costWeight, gates) {
        if (costWeight !== classifier.costWeight) await classifier.setCostWeight(costWeight);
        const start = performance.now();
        const [answer] = await classifier.classify([image], { gates });
        return { ...answer!, milliseconds: performance.now() - start };
      },
      close: () => device.close(),
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}
