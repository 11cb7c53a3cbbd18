/** What browser tests of live runs share: the page on a free port, a browser, and `wp` beside them. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface Site {
  readonly origin: string;
  close(): Promise<void>;
}

/** The page on a free port, built where needed, on a database of its own. */
export async function serve(): Promise<Site> {
  const home = mkdtempSync(join(tmpdir(), 'wp-home-'));
  const site = join(root, 'packages/site');
  const server = spawn(process.execPath, ['--conditions=source', 'start.ts', '--port', '0'], {
    cwd: site,
    env: { ...process.env, WP_HOME: home, DATABASE_URL: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  let printed = '';
  for await (const chunk of server.stdout) {
    printed += chunk;
    const origin = /at (http:\S+)\n/.exec(printed)?.[1];
    if (!origin) continue;
    return {
      origin,
      async close() {
        server.kill();
        await exited;
        rmSync(home, { recursive: true, force: true });
      },
    };
  }
  throw new Error(`the page was not served: ${printed}`);
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
}

/** A page of its own for a test, with what went wrong on it. */
export async function newPage(
  t: TestContext,
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  return { page, faults };
}

/** What `wp ... --json` says. */
export async function wp<T>(...words: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=source', join(root, 'packages/cli/src/main.ts'), ...words, '--json'],
    { maxBuffer: 1e8 },
  );
  return JSON.parse(stdout) as T;
}

/** Parts of a live run that stick out of the page's sides; what is drawn in pictures or scrolls in itself may. */
export function partsOutside(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const edge = document.documentElement.clientWidth;
    const section = document.getElementById('live')!.closest('section')!;
    const scrolls = (element: Element): boolean =>
      element !== section &&
      (getComputedStyle(element).overflowX !== 'visible' || scrolls(element.parentElement!));
    return [...section.querySelectorAll('*')]
      .filter((element) => !element.closest('.visually-hidden, svg *') && !scrolls(element.parentElement!))
      .filter((element) => {
        const { left, right, width } = element.getBoundingClientRect();
        return width > 1 && (left < -0.5 || right > edge + 0.5);
      })
      .map((element) => `${element.localName} ${element.getAttribute('class')}`);
  });
}
