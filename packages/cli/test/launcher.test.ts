import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';

const launcher = join(import.meta.dirname, '..', 'bin', 'wp.mjs');

const program = `
  process.on('SIGINT', () => { console.log('saved'); process.exit(130); });
  setInterval(() => {}, 1000);
  console.log(process.argv.slice(2).join(' '), process.execArgv.join(' '));
`;

/** The launcher in a package of its own whose program lies at `main`. */
function install(t: TestContext, main: string): string {
  const home = mkdtempSync(join(tmpdir(), 'wp-'));
  t.after(() => rmSync(home, { recursive: true }));
  cpSync(launcher, join(home, 'bin', 'wp.mjs'));
  mkdirSync(dirname(join(home, main)));
  writeFileSync(join(home, main), program);
  return join(home, 'bin', 'wp.mjs');
}

for (const [main, conditions] of [
  ['src/main.ts', '--conditions=source'],
  ['dist/main.js', ''],
] as const) {
  test(`the launcher starts ${main}, hands Ctrl-C on and ends as it ended`, async (t) => {
    const child = spawn(process.execPath, [install(t, main), 'run', 'a b']);
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (stdout === '') child.kill('SIGINT');
      stdout += chunk;
    });
    assert.deepEqual(await once(child, 'close'), [130, null]);
    assert.equal(stdout, `run a b ${conditions}\nsaved\n`);
  });
}
