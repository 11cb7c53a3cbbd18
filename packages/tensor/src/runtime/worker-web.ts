import type { Message } from './channel.ts';
import type { Ort } from './host.ts';
import { serve } from './serve.ts';

const handle = serve(
  async ({ provider, threads }, assets) => {
    const ort =
      provider === 'webgpu' ? await import('onnxruntime-web/webgpu') : await import('onnxruntime-web/wasm');
    ort.env.wasm.numThreads = threads;
    if (assets) ort.env.wasm.wasmPaths = assets;
    return ort as unknown as Ort;
  },
  (answer, transfer) => postMessage(answer, { transfer }),
);

addEventListener('message', (event: MessageEvent<Message>) => handle(event.data));
