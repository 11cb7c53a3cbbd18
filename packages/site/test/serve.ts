import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type BuildOptions, buildSite } from '../build.ts';

const site = join(import.meta.dirname, '..');

/** The page built around the papers of `test/fixtures`, which have a live run and measurements. */
export const fixture: BuildOptions = { out: '.cache/fixture-build', papers: 'test/fixtures/papers' };

export interface ServedPage extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  origin: string;
}

/** Builds the page where needed and serves it on a free port, as a process of its own, like `npm start`. */
export async function servePage(options: BuildOptions = {}): Promise<ServedPage> {
  const out = await buildSite(options);
  const server = spawn(process.execPath, ['server.ts', '--port', '0'], {
    cwd: site,
    env: { ...process.env, WP_SITE_OUT: out },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  const origin = await Promise.race([
    new Promise<string>((resolve) => {
      let printed = '';
      server.stdout.on('data', (chunk) => {
        printed += chunk;
        const address = /at (http:\S+)\n/.exec(printed)?.[1];
        if (address) resolve(address);
      });
    }),
    exited.then(([code]) =>
      Promise.reject(new Error(`the server ended with code ${code} before it listened`)),
    ),
  ]);
  return {
    origin,
    async [Symbol.asyncDispose]() {
      server.kill();
      await exited;
    },
  };
}

/** Runs the server to its end and returns what it said; for the cases in which it refuses. */
export async function runServer(args: string[], env: Record<string, string> = {}) {
  const server = spawn(process.execPath, ['server.ts', ...args], {
    cwd: site,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(server.stdout),
    text(server.stderr),
    once(server, 'exit') as Promise<[number | null]>,
  ]);
  return { stdout, stderr, code };
}
