import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UserError } from '@working-papers/paper';
import { writeFileWhole } from '@working-papers/paper/files';

function temporaryFolder(t: { after(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'paper-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('writes text and bytes, makes folders, replaces what was there and leaves nothing beside it', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a', 'b', 'result.json');
  await writeFileWhole(path, 'first');
  await writeFileWhole(path, new TextEncoder().encode('second'));
  assert.equal(readFileSync(path, 'utf8'), 'second');
  assert.deepEqual(readdirSync(join(folder, 'a', 'b')), ['result.json']);
});

test('follows a link instead of replacing it, and writes to a device as it is', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'real'), 'old');
  symlinkSync('real', join(folder, 'link'));
  await writeFileWhole(join(folder, 'link'), 'new');
  assert.equal(readFileSync(join(folder, 'real'), 'utf8'), 'new');
  await writeFileWhole('/dev/null', 'gone');
});

test('says in one line why it cannot write', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'taken'));
  writeFileSync(join(folder, 'file'), '');
  for (const [path, reason] of [
    [join(folder, 'taken'), 'it is a folder'],
    [join(folder, 'file', 'below'), 'a file stands in the way'],
    ...(process.platform === 'linux' ? [['/dev/full', 'no space left on the disk'] as const] : []),
  ] as const) {
    await assert.rejects(writeFileWhole(path, 'x'), (error: unknown) => {
      assert(error instanceof UserError);
      assert.equal(error.message, `cannot write '${path}': ${reason}`);
      return true;
    });
  }
});

test('keeps the old file and no temporary one when the disk ends in the middle', {
  skip: process.platform === 'win32',
}, (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'checkpoint');
  writeFileSync(path, 'the good one');
  const script = `
    import { writeFileWhole } from '@working-papers/paper/files';
    process.on('SIGXFSZ', () => {});
    await writeFileWhole(${JSON.stringify(path)}, new Uint8Array(1 << 20)).catch((error) => console.log(error.message));
  `;
  // The shell's limit on file sizes stops the write part of the way, as a full disk would.
  const { stdout, stderr } = spawnSync(
    'bash',
    [
      '-c',
      `ulimit -f 64; exec "$0" --conditions=source --input-type=module -e "$1"`,
      process.execPath,
      script,
    ],
    { encoding: 'utf8', cwd: import.meta.dirname },
  );
  assert.equal(stdout, `cannot write '${path}': the file would be larger than allowed here\n`, stderr);
  assert.equal(readFileSync(path, 'utf8'), 'the good one');
  assert.deepEqual(readdirSync(folder), ['checkpoint']);
});
