// Runs one suite as one node:test run: `node scripts/test.ts [suite] [part of a path ...]`.
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Suites by the folder that their files are in; whatever is in none of them needs only Node. */
const folders = {
  unit: undefined,
  browser: join('test', 'browser'),
  webgpu: join('test', 'webgpu'),
} as const;

type Suite = keyof typeof folders;

const words = process.argv.slice(2);
const isSuite = (word: string | undefined): word is Suite =>
  word !== undefined && Object.hasOwn(folders, word);
const suite = isSuite(words[0]) ? words[0] : 'unit';
const parts = isSuite(words[0]) ? words.slice(1) : words;

const files = globSync(['packages/**/*.test.ts', 'scripts/**/*.test.ts'], {
  cwd: root,
  exclude: (path) => /(^|[/\\])(node_modules|dist|build|\.svelte-kit)$/.test(path),
})
  .filter((file) => suiteOf(file) === suite)
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .toSorted();

if (files.length === 0) {
  console.error(`no ${suite} tests${parts.length > 0 ? ` in ${parts.join(', ')}` : ''}`);
  process.exit(2);
}

// A browser or a software GPU fills both cores alone.
const concurrency = suite === 'unit' ? 2 : 1;
// A file that never ends would hold the run for ever; interrupted, node:test says which one it was.
const timeout = 20 * 60_000; // ms
const runner = spawn(
  process.execPath,
  ['--conditions=source', '--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`, ...files],
  { cwd: root, stdio: 'inherit', timeout },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill('SIGTERM'));
runner.on('exit', (code) => process.exit(code ?? 1));

function suiteOf(file: string): Suite {
  const found = Object.entries(folders).find(([, folder]) => folder && file.includes(folder));
  return (found?.[0] as Suite | undefined) ?? 'unit';
}
