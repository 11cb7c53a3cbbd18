import { createRequire } from 'node:module';
import { parentPort } from 'node:worker_threads';
import type { Message } from './channel.ts';
import type { Ort } from './host.ts';
import { serve } from './serve.ts';

const port = parentPort!;
// onnxruntime-node is CommonJS with a native part; require keeps its load errors as they are
const require = createRequire(import.meta.url);

port.on(
  'message',
  serve(
    async () => {
      // its JavaScript part makes a Float16Array where the engine has one; its native part knows Uint16Array only
      Reflect.deleteProperty(globalThis, 'Float16Array');
      const ort = require('onnxruntime-node') as Ort & { readonly env: { logLevel: string } };
      // what fails comes back as an error: ONNX Runtime need not write it to standard error as well
      ort.env.logLevel = 'fatal';
      return ort;
    },
    (answer, transfer) => port.postMessage(answer, transfer),
    () => process.exit(),
  ) satisfies (message: Message) => void,
);
