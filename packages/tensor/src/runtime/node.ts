/** Opens a worker in Node. */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Provider } from '../provider.ts';
import type { Message, Port } from './channel.ts';
import type { StoreKind } from './host.ts';

/** What `openDevice` opens when nothing is asked for. */
export const defaultProvider: Provider = 'cpu';
/** What onnxruntime-node may have. */
export const providers: readonly Provider[] = ['cpu', 'webgpu', 'cuda'];
/** GPU buffers cannot be handed in and out of onnxruntime-node: stores stay in main memory. */
export const stores = (_: Provider): StoreKind => 'in place';

/** ONNX Runtime maps weights that lie in files. */
export const readsFiles = true;

/** All cores. */
export function defaultThreads(): number {
  return availableParallelism();
}

/** Why a provider cannot be used here, from what its session creation said; `undefined` for other errors. */
export function missing(provider: Provider, said: string): string | undefined {
  // ONNX Runtime puts the failed check, with its own source file, before the sentence
  const reason = said.replace(/^.*onnxruntime_src.* was false\. /, '');
  if (provider === 'cuda') {
    return `device 'cuda' is not here (${reason}): it needs an NVIDIA GPU with CUDA 12 and cuDNN 9 on Linux x64, and onnxruntime-node's CUDA files: ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js`;
  }
  if (provider === 'webgpu') {
    return `device 'webgpu' is not here (${reason}): it needs a Vulkan driver and its loader (on Debian: apt install libvulkan1 and the GPU's driver)`;
  }
  return undefined;
}

/** A worker thread for one device. */
export async function spawn(): Promise<Port> {
  const file = import.meta.url.endsWith('.ts') ? './worker-node.ts' : './worker-node.js';
  // A worker inherits the options of the process. `--input-type`, which belongs to a program given as text, it refuses.
  const { execArgv } = process;
  const asText = execArgv.some((option) => option.startsWith('--input-type'));
  const kept = execArgv.filter(
    (option) => option.startsWith('--') && !/^--(input-type|eval|print)/.test(option),
  );
  const worker = new Worker(new URL(file, import.meta.url), asText ? { execArgv: kept } : {});
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    onAnswer: (listener) => {
      worker.on('message', listener);
      // after the listener, which takes a reference again: an idle device must not keep the process alive
      worker.unref();
    },
    onFailure: (listener) => {
      worker.on('error', listener);
      worker.on('exit', (code) => listener(new Error(`the device's worker ended with code ${code}`)));
    },
    // A thread that is ended while ONNX Runtime's native part runs takes the whole process down: it ends by itself.
    close: async () => {
      worker.ref();
      worker.postMessage({ closing: true } satisfies Message);
      await ended;
    },
  };
}

/** Keeps the process alive while `work` is under way: the worker alone does not. */
export async function keepAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 2 ** 30);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
