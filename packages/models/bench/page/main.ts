/** What the bench asks of the page. */

import { openDevice } from '@working-papers/tensor';
import { prepare, times, type Workload } from '../workloads.ts';

const page = {
  async measure(workload: Workload, seconds: number, threads: number): Promise<number[]> {
    const device = await openDevice({ provider: 'wasm', assets: '/ort/', threads });
    const call = await prepare(workload, device);
    const found = await times(call, seconds);
    await call.dispose();
    await device.close();
    return found;
  },
};

declare global {
  interface Window {
    modelsPage: typeof page;
  }
}

window.modelsPage = page;
