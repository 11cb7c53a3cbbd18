#!/usr/bin/env node
// Starts wp on a Node that can run it, from whichever Node the shell has: this file is plain JavaScript for Node 20.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const home = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(home, 'src', 'main.ts');
// A packed wp has no sources; in the repository they are always the newest.
const start = existsSync(source) ? ['--conditions=source', source] : [join(home, 'dist', 'main.js')];

const node = findNode();
if (node === undefined) {
  process.stderr.write(
    `wp needs Node 24 or newer, and this is ${process.version}: 'npm install node@24' brings it\n`,
  );
  process.exit(2);
}

const child = spawn(node, [...start, ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  process.stderr.write(`wp cannot start ${node}: ${error.message}\n`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));

function findNode() {
  if (Number.parseInt(process.versions.node, 10) >= 24) return process.execPath;
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json');
    return [join(dirname(manifest), 'bin', 'node'), join(dirname(manifest), 'bin', 'node.exe')].find(
      existsSync,
    );
  } catch {
    return undefined;
  }
}
