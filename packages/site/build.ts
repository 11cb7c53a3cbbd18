import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { lockFolder } from '@working-papers/daily/database/folder-lock';
import { UserError } from '@working-papers/paper';

const site = dirname(fileURLToPath(import.meta.url));
const repository = join(site, '../..');
const viteCommand = fileURLToPath(new URL('bin/vite.js', import.meta.resolve('vite/package.json')));

export interface BuildOptions {
  /** Folder for the result, relative to this package; default `WP_SITE_OUT`, else `build`. */
  out?: string;
  /** Folder with one folder a paper, relative to this package; default `WP_SITE_PAPERS`, else all of ours. */
  papers?: string;
}

/** What the page is made of. Sizes and times suffice: a build that is made once too often costs seconds. */
function fingerprint(papers: string): string {
  const sources = globSync(
    [
      'package-lock.json',
      'packages/*/src/**',
      'packages/papers/**',
      'packages/site/{static,vite}/**',
      'packages/site/*.{ts,json}',
      join(relative(repository, papers), '**'),
    ],
    {
      cwd: repository,
      exclude: (path) => /(^|[/\\])(node_modules|dist|build|runs)$/.test(path),
    },
  );
  const hash = createHash('sha256');
  for (const source of new Set(sources.toSorted())) {
    const file = statSync(join(repository, source), { throwIfNoEntry: false });
    if (file?.isFile()) hash.update(`${source} ${file.size} ${file.mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/**
 * Builds the page unless the last build is of these very sources.
 *
 * @returns the folder with the result.
 * @throws Error with Vite's output where the build fails.
 */
export async function buildSite(options: BuildOptions = {}): Promise<string> {
  const out = resolve(site, options.out ?? process.env.WP_SITE_OUT ?? 'build');
  const papers = resolve(site, options.papers ?? process.env.WP_SITE_PAPERS ?? '../papers');
  const stamp = join(out, '.sources');
  const current = fingerprint(papers);
  const isCurrent = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === current;
  if (isCurrent()) return out;
  // SvelteKit has one folder for what it makes on the way: two builds at once would take each other's files
  const release = await lockPatiently(join(site, '.cache', 'building'));
  try {
    if (!isCurrent()) await build(out, papers);
    writeFileSync(stamp, current);
  } finally {
    release();
  }
  return out;
}

/** Waits until no other process is at it. */
export async function lockPatiently(folder: string): Promise<() => void> {
  for (;;) {
    try {
      return lockFolder(folder);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      await setTimeout(200);
    }
  }
}

async function build(out: string, papers: string): Promise<void> {
  const log: Buffer[] = [];
  // SvelteKit looks at the result by running it, and what stays outside of it is TypeScript.
  const vite = spawn(process.execPath, ['--conditions=source', viteCommand, 'build'], {
    cwd: site,
    env: { ...process.env, WP_SITE_OUT: out, WP_SITE_PAPERS: papers },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  vite.stdout.on('data', (chunk: Buffer) => log.push(chunk));
  vite.stderr.on('data', (chunk: Buffer) => log.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    vite.on('error', reject);
    vite.on('close', resolve);
  });
  if (code !== 0) throw new Error(`vite build failed:\n${Buffer.concat(log)}`);
}

if (import.meta.main) {
  await buildSite();
}
