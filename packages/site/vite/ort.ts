import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Adapter } from '@sveltejs/kit';
import type { Plugin } from 'vite';
import { ortPath } from '../src/lib/ort.ts';
import { isolationHeaders } from '../src/lib/security.ts';

/** The plain build runs on WebAssembly threads; the asyncify one is what ONNX Runtime loads for WebGPU. */
const files = [
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort-wasm-simd-threaded.asyncify.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
] as const;

const source = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

const contentTypes: Record<string, string> = { mjs: 'text/javascript', wasm: 'application/wasm' };

/** Serves ONNX Runtime's WebAssembly from the page's own origin under `ortPath` while developing. */
export function ortInDevelopment(): Plugin {
  return {
    name: 'working-papers:ort',
    apply: 'serve',
    configureServer(server) {
      server.middlewares.use(async (request, response, next) => {
        const path = request.url?.split('?')[0] ?? '';
        const file = files.find((name) => path === `${ortPath}${name}`);
        if (!file) return next();
        const { size } = await stat(join(source, file));
        for (const [name, value] of Object.entries(isolationHeaders)) response.setHeader(name, value);
        response.setHeader('Content-Type', contentTypes[file.split('.').at(-1)!]!);
        response.setHeader('Content-Length', size);
        createReadStream(join(source, file)).pipe(response);
      });
    },
  };
}

/**
 * Wraps an adapter so that its output holds ONNX Runtime's files under `ort/`, gzipped beside.
 *
 * They stand beside the client's assets and not among them because adapters press those with the slowest Brotli
 * there is, which takes minutes for forty megabytes of WebAssembly.
 */
export function withOrt(adapter: Adapter, out: string): Adapter {
  return {
    ...adapter,
    async adapt(builder) {
      await adapter.adapt(builder);
      const target = join(out, 'ort');
      await mkdir(target, { recursive: true });
      await Promise.all(
        files.map(async (file) => {
          await copyFile(join(source, file), join(target, file));
          const pressed = await promisify(gzip)(await readFile(join(source, file)), { level: 5 });
          await writeFile(join(target, `${file}.gz`), pressed);
        }),
      );
    },
  };
}
