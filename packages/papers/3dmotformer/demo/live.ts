/** Trackers in the reader's browser: the network with the weights that ship, compiled in a worker, and the Kalman filter. */

import { unpackModel } from '@working-papers/models/model-file';
import { decodeSafetensors } from '@working-papers/nn/safetensors';
import { fetchWeights } from '@working-papers/paper/browser';
import { openDevice } from '@working-papers/tensor';
import { type FrameTracker, kalmanFrames, worldFrames } from '../frame-tracker.ts';
import { compileMotFormer } from '../track.ts';
import { motFormerKind } from '../weights.ts';

export const methods = {
  own: '3DMOTFormer, trained on its own tracks',
  labels: 'the same, trained on labels’ tracks',
  kalman: 'Kalman filter',
} as const;
export type Method = keyof typeof methods;

export interface Live {
  /** Begins a sequence. */
  open(method: Method): Promise<FrameTracker>;
  close(): Promise<void>;
}

// each written out, for bundlers to see
const urls = {
  own: new URL('../weights/3dmotformer.safetensors', import.meta.url),
  labels: new URL('../weights/3dmotformer-labels.safetensors', import.meta.url),
} as const;

/** Opens a device. Weights are fetched when their method is first asked for. */
export async function openLive(wasmPaths: string): Promise<Live> {
  const device = await openDevice({ provider: 'wasm', assets: wasmPaths, threads: 1 });
  const compiled = new Map<string, ReturnType<typeof compile>>();
  const compile = async (name: keyof typeof urls) => {
    const file = decodeSafetensors(await fetchWeights(urls[name]), 'the network');
    const { model, weights, options } = unpackModel(motFormerKind, file, 'the network');
    const { graph, classes } = options;
    return compileMotFormer({ device, model, weights, graph, classes: classes.length });
  };
  return {
    async open(method) {
      if (method === 'kalman') return kalmanFrames();
      const own = compiled.get(method) ?? compile(method);
      compiled.set(method, own);
      return worldFrames((await own).open());
    },
    close: () => device.close(),
  };
}
