/** A page with the engine in it, in Debian's chromium. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type { Provider } from '../../src/index.ts';
import { compareWithCpu } from './compare.ts';
import type {} from './main.ts';

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

const ort = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

/**
 * Builds the page of a folder, serves it cross-origin isolated (threads need that), opens it, and waits until its
 * script has put `ready` on the window.
 */
export async function openPage(
  flags: readonly string[] = [],
  { root = import.meta.dirname, ready = 'tensorPage' } = {},
): Promise<{ page: Page; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tensor-page-'));
  await build({
    configFile: false,
    root,
    logLevel: 'error',
    resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
    worker: { format: 'es' },
    build: { outDir: folder, emptyOutDir: true, target: 'esnext', minify: false },
  });

  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url!, 'http://page').pathname);
    const file = path.startsWith('/ort/')
      ? join(ort, path.slice(5))
      : join(folder, path === '/' ? 'index.html' : path);
    try {
      const body = await readFile(file);
      response.writeHead(200, {
        'Content-Type': types[extname(file)] ?? 'application/octet-stream',
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', ...flags],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  if (process.env.SHOW_CONSOLE) page.on('console', (message) => console.error(`page: ${message.text()}`));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction((name) => name in window, ready);
  return {
    page,
    close: async () => {
      await browser.close();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Declares the tests of `compareWithCpu` for a provider of the browser. */
export function compareInBrowser(provider: Provider, flags: readonly string[] = []): void {
  let opened: Awaited<ReturnType<typeof openPage>> | undefined;
  compareWithCpu(
    async () => {
      opened = await openPage(flags);
      const { page } = opened;
      const state = await page.evaluate((name) => window.tensorPage.open(name), provider);
      assert.match(state, new RegExp(`^${provider}, \\d+ threads, isolated true$`));
      return {
        lacks: provider === 'webgpu' ? ['float16', 'float64'] : [],
        batch: (index) => page.evaluate((at) => window.tensorPage.batch(at), index),
        train: () => page.evaluate(() => window.tensorPage.train()),
      };
    },
    async () => opened?.close(),
  );
}
