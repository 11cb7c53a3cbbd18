import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isFileArray, ndarray } from '@working-papers/tensor/array';
import { writeAtomically } from './atomic.ts';
import { encodeSafetensors } from './safetensors.ts';
import {
  diskSource,
  openSafetensors,
  readMatching,
  readSafetensors,
  writeSafetensors,
} from './safetensors-file.ts';
import { SafetensorsError } from './safetensors-header.ts';
import { blobSource, locateMatchingFrom, openCheckpoint } from './safetensors-reader.ts';

async function folder(t: { after(fn: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'safetensors-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

const tensors = new Map([
  ['a', ndarray([1, 2, 3, 4], [2, 2])],
  ['b', ndarray([5, 6], [2], 'int64')],
]);

test('a written file reads back, whole and a tensor at a time', async (t) => {
  const path = join(await folder(t), 'm.safetensors');
  await writeSafetensors(path, tensors, { metadata: { step: '7' } });
  assert.deepEqual(
    new Uint8Array(await readFile(path)),
    encodeSafetensors(tensors, { metadata: { step: '7' } }),
  );
  const whole = await readSafetensors(path);
  assert.deepEqual(whole.metadata, { step: '7' });
  assert.deepEqual(new Map([...whole.tensors].sort()), tensors);
  await using file = await openSafetensors(path);
  assert.deepEqual(file.names, ['b', 'a']);
  assert.deepEqual(file.info('a').shape, [2, 2]);
  assert.deepEqual(await file.read('a'), tensors.get('a'));
  assert.throws(() => file.info('z'), /tensor "z": tensor: found "none", expected one of 2 names/);
});

test('shards are one checkpoint through their index', async (t) => {
  const at = await folder(t);
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  await writeSafetensors(join(at, names[0]), new Map([['a', tensors.get('a')!]]));
  await writeSafetensors(join(at, names[1]), new Map([['b', tensors.get('b')!]]));
  const index = join(at, 'model.safetensors.index.json');
  const write = (weights: unknown) => writeFile(index, JSON.stringify({ weight_map: weights }));
  await write({ a: names[0], b: names[1] });
  assert.deepEqual((await readSafetensors(index)).tensors, tensors);
  const renamed = await readMatching(index, new Map([['x.a', [2, 2]]]), {
    rename: (name) => (name === 'a' ? 'x.a' : undefined),
  });
  assert.deepEqual(renamed, new Map([['x.a', tensors.get('a')]]));

  await write({ a: names[1] });
  await assert.rejects(openSafetensors(index), /model-00002.*tensor "a"/);
  await write({ a: '../secret' });
  await assert.rejects(
    openSafetensors(index),
    /shard: found "..\/secret", expected the name of a file beside/,
  );
  await write({ a: 'absent.safetensors' });
  await assert.rejects(
    openSafetensors(index),
    /absent.safetensors: file: found nothing, expected a readable file/,
  );
  await write([]);
  await assert.rejects(openSafetensors(index), /weight_map: found \[\]/);
  await writeFile(index, '{');
  await assert.rejects(openSafetensors(index), /index: .* expected JSON/);
});

test('a tensor is found in its file, also behind a link as in caches of downloads, if a device can map it', async (t) => {
  const at = await realpath(await folder(t));
  await mkdir(join(at, 'blobs'));
  const path = join(at, 'blobs', 'a1b2');
  await writeSafetensors(path, tensors);
  await symlink(path, join(at, 'model.safetensors'));
  await using file = await openSafetensors(join(at, 'model.safetensors'));
  const found = file.locate('a')!;
  assert.deepEqual(found, { dtype: 'float32', shape: [2, 2], stored: 'float32', path, offset: found.offset });
  const bytes = (await readFile(path)).subarray(found.offset, found.offset + 16);
  assert.deepEqual([...new Float32Array(new Uint8Array(bytes).buffer)], [1, 2, 3, 4]);
  assert.equal(file.locate('b'), undefined, 'int64');
  // a header of a length that leaves the elements between multiples of their size
  const whole = new Uint8Array(await readFile(path));
  const length = new DataView(whole.buffer).getUint32(0, true);
  const shifted = new Uint8Array(whole.length + 1).fill(0x20);
  shifted.set(whole.subarray(0, 8 + length));
  shifted.set(whole.subarray(8 + length), 9 + length);
  new DataView(shifted.buffer).setUint32(0, length + 1, true);
  await writeFile(join(at, 'shifted.safetensors'), shifted);
  await using odd = await openSafetensors(join(at, 'shifted.safetensors'));
  assert.equal(odd.locate('a'), undefined);
  assert.deepEqual(await odd.read('a'), tensors.get('a'));
  await using picked = await openCheckpoint('m', async () => blobSource(new Blob([whole])));
  assert.equal(picked.locate('a'), undefined, 'no file on a disk');
});

test('located or read: what can be mapped, all in one folder', async (t) => {
  const at = await realpath(await folder(t));
  for (const name of ['one', 'two']) await mkdir(join(at, name));
  const other = new Map([['c', ndarray([7, 8], [2])]]);
  await writeSafetensors(join(at, 'one', 'm'), tensors);
  await writeSafetensors(join(at, 'two', 'm'), other);
  await symlink(join(at, 'one', 'm'), join(at, 'm1'));
  await symlink(join(at, 'two', 'm'), join(at, 'm2'));
  const index = join(at, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ weight_map: { a: 'm1', b: 'm1', c: 'm2' } }));
  const shapes = new Map([
    ['a', [2, 2]],
    ['b', [2]],
    ['c', [2]],
  ]);
  const found = await locateMatchingFrom(index, diskSource, shapes);
  assert.ok(isFileArray(found.get('a')!));
  assert.deepEqual([found.get('b'), found.get('c')], [tensors.get('b'), other.get('c')]);
});

test('missing, truncated and shrinking files are refused by name', async (t) => {
  const path = join(await folder(t), 'm.safetensors');
  await assert.rejects(openSafetensors(path), (error: unknown) => error instanceof SafetensorsError);
  await writeSafetensors(path, tensors);
  const { length } = await readFile(path);
  await using file = await openSafetensors(path);
  await truncate(path, length - 1);
  await assert.rejects(file.read('a'), /the file shrank/);
  await assert.rejects(openSafetensors(path), /m.safetensors: tensor "a": data_offsets/);
  await truncate(path, 3);
  await assert.rejects(
    openSafetensors(path),
    /m.safetensors: file size in bytes: found 3, expected at least 8/,
  );
});

test('a failed write leaves the old file and nothing else', async (t) => {
  const at = await folder(t);
  const path = join(at, 'm.safetensors');
  await writeFile(path, 'old');
  function* full() {
    yield new Uint8Array(1000);
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  }
  await assert.rejects(writeAtomically(path, full()), (error: NodeJS.ErrnoException) => {
    assert.equal(error.code, 'ENOSPC');
    assert.match(
      error.message,
      /^cannot write .*m.safetensors: ENOSPC: no space left .*; an earlier file is unchanged$/,
    );
    return true;
  });
  await assert.rejects(writeSafetensors(path, new Map([['a', ndarray([1e9])]]), { float32As: 'F16' }), /F16/);
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.deepEqual(await readdir(at), ['m.safetensors']);
  await assert.rejects(writeAtomically(join(at, 'no', 'm'), []), { code: 'ENOENT' });
});

test('a write that the system cuts short leaves the old file and nothing else', {
  skip: process.platform === 'win32' && 'no file size limit to set',
}, async (t) => {
  const at = await folder(t);
  const path = join(at, 'm.safetensors');
  await writeFile(path, 'old');
  const script = `
    import { writeAtomically } from ${JSON.stringify(import.meta.resolve('./atomic.ts'))};
    await writeAtomically(process.argv[1], [new Uint8Array(1 << 20)]).catch((error) => console.log(error.code));`;
  const limited = `trap '' XFSZ; ulimit -f 64; exec "$0" --input-type=module -e "$1" "$2"`;
  const { stdout } = spawnSync('sh', ['-c', limited, process.execPath, script, path], { encoding: 'utf8' });
  assert.equal(stdout, 'EFBIG\n');
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.deepEqual(await readdir(at), ['m.safetensors']);
});
