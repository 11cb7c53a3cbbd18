/** Opens a Web Worker in a browser. The same exports as `node.ts`. */

import type { Provider } from '../provider.ts';
import type { Port } from './channel.ts';
import type { StoreKind } from './host.ts';

/** What `openDevice` opens when nothing is asked for. */
export const defaultProvider: Provider = 'wasm';
/** What onnxruntime-web has. */
export const providers: readonly Provider[] = ['wasm', 'webgpu'];
/** How a provider keeps stores. */
export const stores = (provider: Provider): StoreKind => (provider === 'webgpu' ? 'gpu' : 'fresh');

/** A page has no files to map. */
export const readsFiles = false;

/** The cores, at most 8. */
export function defaultThreads(): number {
  // WebAssembly threads need shared memory, which a page has only when it is cross-origin isolated
  return globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
}

/** Why a provider cannot be used here; see `node.ts`. */
export function missing(provider: Provider, reason: string): string | undefined {
  if (provider !== 'webgpu') return undefined;
  return `device 'webgpu' is not here (${reason}): this browser offers no GPU to the page; use 'wasm', or a browser with WebGPU switched on`;
}

/** A Web Worker for one device. */
export async function spawn(): Promise<Port> {
  const worker = new Worker(new URL('./worker-web.ts', import.meta.url), { type: 'module' });
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    onAnswer: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onFailure: (listener) => {
      worker.addEventListener('error', (event) =>
        listener(new Error(event.message || 'the worker did not start')),
      );
    },
    close: async () => worker.terminate(),
  };
}

/** A page lives until it is closed: nothing to do. */
export function keepAlive<T>(work: Promise<T>): Promise<T> {
  return work;
}
