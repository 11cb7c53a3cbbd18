// Compiles published packages into their dist: `node scripts/build.ts [folder ...]`, without folders all of them.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folders = process.argv.slice(2);
const projects = (folders.length > 0 ? folders : [root]).map((folder) => join(folder, 'tsconfig.build.json'));

// By force, since tsc takes its own notes for proof that a dist is still there.
const { status } = spawnSync('tsc', ['--build', '--force', ...projects], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
if (status !== 0) process.exit(status ?? 1);

// tsc turns .ts into .js in imports only, and bundlers understand a worker's address only where it is written out.
// In every dist: what a folder's project refers to has been compiled anew as well.
for (const file of globSync(join(root, 'packages', '{*,papers/*}', 'dist', '**', '*.js'))) {
  const code = readFileSync(file, 'utf8');
  const compiled = code.replaceAll(/(new URL\('\.{1,2}\/[^']+)\.ts(', import\.meta\.url\))/g, '$1.js$2');
  if (compiled !== code) writeFileSync(file, compiled);
}
