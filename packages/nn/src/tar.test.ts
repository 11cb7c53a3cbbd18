import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { readTarGz, type TarEntry } from './tar.ts';

async function collect(path: string): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  for await (const entry of readTarGz(path)) entries.push(entry);
  return entries;
}

test('files come in order with their bytes; what is no whole archive is refused by name', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tar-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'a.tar.gz');
  const archive = pack();
  archive.entry({ name: 'dir/', type: 'directory' });
  archive.entry({ name: 'dir/big' }, Buffer.alloc(200_000, 7));
  archive.entry({ name: 'dir/link', type: 'symlink', linkname: 'big' });
  archive.entry({ name: 'empty' }, '');
  archive.finalize();
  const tar = await buffer(archive);
  await writeFile(path, gzipSync(tar));

  const entries = await collect(path);
  assert.deepEqual(
    entries.map(({ name, bytes }) => [name, bytes.length]),
    [
      ['dir/big', 200_000],
      ['empty', 0],
    ],
  );
  for await (const entry of readTarGz(path)) {
    assert.ok(entry.bytes.every((byte) => byte === 7));
    break;
  }

  await assert.rejects(collect(join(folder, 'absent.tar.gz')), /cannot read .*absent.tar.gz: ENOENT/);
  const half = join(folder, 'half.tar.gz');
  const whole = await readFile(path);
  await writeFile(half, whole.subarray(0, whole.length / 2));
  await assert.rejects(collect(half), /cannot read .*half.tar.gz: /);
  await writeFile(half, gzipSync(tar.subarray(0, 50_000)));
  await assert.rejects(collect(half), /cannot read .*half.tar.gz: /);
  await writeFile(half, 'text');
  await assert.rejects(collect(half), /cannot read .*half.tar.gz: incorrect header check/);
});
