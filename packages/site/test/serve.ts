import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Database, openDatabase } from '@working-papers/daily/database/connect';
import { utcDate } from '@working-papers/daily/dates';
import { seedEditions } from '@working-papers/daily/seed';
import { editions } from '@working-papers/edition';
import { type BuildOptions, buildSite, lockPatiently } from '../build.ts';
import { fillWithSample } from './sample.ts';

const site = join(import.meta.dirname, '..');

/** The page built around the papers of `test/fixtures`, which have a live run and measurements. */
export const fixture: BuildOptions = { out: '.cache/fixture-build', papers: 'test/fixtures/papers' };

export interface ServeOptions extends BuildOptions {
  /** With the papers of `sample.ts`; else with our editions alone. */
  sample?: boolean;
  env?: Readonly<Record<string, string>>;
  /** What is in the database beforehand. */
  prepare?(database: Database): Promise<void>;
}

export interface ServedPage extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  origin: string;
  /** The folder of everything that it keeps. */
  home: string;
  /** What it has printed so far. */
  printed(): string;
  /** Tells it to stop, as an operator does, and resolves to its exit code. */
  stop(): Promise<number | null>;
}

const command = ['--conditions=source', 'server.ts'];

/**
 * Builds the page where needed and serves it on a free port, as a process of its own, like `npm start`, on a database
 * of its own that is gone afterwards.
 */
export async function servePage({
  sample = false,
  env,
  prepare,
  ...build
}: ServeOptions = {}): Promise<ServedPage> {
  const out = await buildSite(build);
  const home = await newHome(sample);
  if (prepare) {
    const database = await openDatabase({ folder: join(home, 'database') });
    await prepare(database);
    await database.close();
  }
  const server = spawn(process.execPath, [...command, '--port', '0'], {
    cwd: site,
    env: { ...process.env, WP_SITE_OUT: out, WP_HOME: home, WP_EMBEDDINGS: 'off', DATABASE_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  let printed = '';
  const origin = await Promise.race([
    new Promise<string>((resolve) => {
      server.stdout.on('data', (chunk) => {
        printed += chunk;
        const address = /\bat(?: |":")(http:[^\s"]+)[\s"]/.exec(printed)?.[1];
        if (address) resolve(address);
      });
    }),
    exited.then(([code]) =>
      Promise.reject(new Error(`the server ended with code ${code} before it listened`)),
    ),
  ]);
  const stop = async () => {
    server.kill('SIGTERM');
    const [code] = await exited;
    return code as number | null;
  };
  return {
    origin,
    home,
    printed: () => printed,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** A copy of a home that was made once: initialising a cluster takes PGlite seconds, copying it none. */
async function newHome(sample: boolean): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'wp-home-'));
  cpSync(await preparedHome(sample), home, { recursive: true });
  return home;
}

async function preparedHome(sample: boolean): Promise<string> {
  const files = ['test/sample.ts', ...globSync('../daily/src/database/**/*.ts', { cwd: site }).toSorted()];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(site, file)));
  const name = sample ? `sample-${utcDate(new Date())}` : 'editions';
  const prepared = join(site, '.cache', 'homes', `${name}-${hash.digest('hex').slice(0, 16)}`);
  const release = await lockPatiently(join(site, '.cache', 'preparing'));
  if (!existsSync(prepared)) {
    const folder = mkdtempSync(join(tmpdir(), 'wp-home-'));
    const database = await openDatabase({ folder: join(folder, 'database') });
    await seedEditions(database.db, editions);
    if (sample) await fillWithSample(database);
    await database.close();
    cpSync(folder, `${prepared}.new`, { recursive: true });
    rmSync(folder, { recursive: true });
    renameSync(`${prepared}.new`, prepared);
  }
  release();
  return prepared;
}

/** Runs the server to its end and returns what it said; for the cases in which it refuses. */
export async function runServer(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const home = mkdtempSync(join(tmpdir(), 'wp-home-'));
  const server = spawn(process.execPath, [...command, ...args], {
    cwd: site,
    env: { ...process.env, WP_HOME: home, DATABASE_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(server.stdout),
    text(server.stderr),
    once(server, 'exit') as Promise<[number | null]>,
  ]);
  rmSync(home, { recursive: true });
  return { stdout, stderr, code };
}
