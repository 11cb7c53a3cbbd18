/** The generator in the reader's browser: the weights that ship, compiled in a worker. */

import { teacherKind } from '@working-papers/models/cifar10-kinds';
import { toPictures } from '@working-papers/models/cifar10-sampling';
import { teacherUrl } from '@working-papers/models/cifar10-weights';
import { unpackModel } from '@working-papers/models/model-file';
import { cifar10Classes } from '@working-papers/nn/cifar10-classes';
import type { RgbImage } from '@working-papers/nn/images';
import { decodeSafetensors } from '@working-papers/nn/safetensors';
import { fetchWeights } from '@working-papers/paper/browser';
import { openDevice, type Provider } from '@working-papers/tensor';
import { adapterKind } from '../checkpoint.ts';
import { type Generator, type Method, openGenerator } from '../generate.ts';
import { defaultName, type ShippedName } from '../shipped.ts';

export interface Request {
  readonly method: Method;
  /** For `agd`. */
  readonly adapter: ShippedName;
  readonly label: number;
  /** ω. */
  readonly scale: number;
  readonly count: number;
  readonly seed: number;
  readonly steps: number;
  readonly signal: AbortSignal;
  /** The pictures as the network believes them to be, and how many calls that has taken. */
  readonly onPictures: (pictures: RgbImage[], calls: number) => void;
}

export interface Drawn {
  readonly pictures: RgbImage[];
  /** Calls of the network for each picture. */
  readonly calls: number;
  readonly milliseconds: number;
}

export interface Live {
  readonly provider: Provider;
  readonly classNames: readonly string[];
  draw(request: Request): Promise<Drawn>;
  close(): Promise<void>;
}

// each written out, for bundlers to see
const urls: Readonly<Record<ShippedName, URL>> = {
  gated: new URL('../weights/agd-gated.safetensors', import.meta.url),
  attention: new URL('../weights/agd-attention.safetensors', import.meta.url),
  offset: new URL('../weights/agd-offset.safetensors', import.meta.url),
  'gated-forward': new URL('../weights/agd-gated-forward.safetensors', import.meta.url),
};

/** Fetches the weights and opens a device. Throws with a sentence for the reader. */
export async function openLive(provider: Provider, wasmPaths: string): Promise<Live> {
  const base = decodeSafetensors(await fetchWeights(teacherUrl), 'the model');
  const teacher = unpackModel(teacherKind, base, 'the model');
  const device = await openDevice({ provider, assets: wasmPaths });
  try {
    const generators = new Map<ShippedName, Promise<Generator>>();
    const open = async (name: ShippedName) => {
      const own = decodeSafetensors(await fetchWeights(urls[name]), 'the adapters');
      return openGenerator({ device, teacher, adapters: unpackModel(adapterKind, own, 'the adapters') });
    };
    const generatorOf = (name: ShippedName) => {
      const generator = generators.get(name) ?? open(name);
      generators.set(name, generator);
      return generator;
    };
    await generatorOf(defaultName);
    return {
      provider,
      classNames: cifar10Classes,
      async draw({ method, adapter, label, scale, count, seed, steps, signal, onPictures }) {
        const labels = new Array<number>(count).fill(label);
        const generator = await generatorOf(method === 'agd' ? adapter : defaultName);
        const perStep = method === 'cfg' ? 2 : 1;
        // the first run of a graph pays for its setting up; what is timed should not
        await generator.prepare({ method, labels, scale });
        return generator.generate({
          method,
          labels,
          scale,
          steps,
          seed,
          signal,
          onStep: ({ denoised, step }) =>
            onPictures(toPictures(Float64Array.from(denoised)), perStep * (step + 1)),
        });
      },
      close: () => device.close(),
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}
