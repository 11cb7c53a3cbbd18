/** What the browser tests ask of the page. */

import { type Device, openDevice, type Provider } from '../../src/index.ts';
import { batches, type Outcome, runBatch } from '../cases/batch.ts';
import { type Trained, train } from '../cases/train.ts';

let device: Device | undefined;

const page = {
  /** Opens the device, or says why not. */
  async open(provider: Provider): Promise<string> {
    try {
      device = await openDevice({ provider, assets: '/ort/' });
      return `${device.provider}, ${device.threads} threads, isolated ${crossOriginIsolated}`;
    } catch (error) {
      return `${error}`;
    }
  },

  batch: (index: number): Promise<Outcome[]> => runBatch(device!, batches()[index]!),

  train: (): Promise<Trained> => train(device!),
};

declare global {
  interface Window {
    tensorPage: typeof page;
  }
}

window.tensorPage = page;
