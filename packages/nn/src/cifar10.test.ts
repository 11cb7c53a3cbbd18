import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { loadCifar10, splitCifar10 } from './cifar10.ts';

type Files = [name: string, bytes: Uint8Array][];

async function writeArchive(path: string, files: Files): Promise<void> {
  const archive = pack();
  for (const [name, bytes] of files) archive.entry({ name }, Buffer.from(bytes));
  archive.finalize();
  await writeFile(path, gzipSync(await buffer(archive)));
}

const plain = (value: number, size = 32) =>
  sharp({ create: { width: size, height: size, channels: 3, background: { r: value, g: 0, b: 255 } } })
    .jpeg({ quality: 100 })
    .toBuffer();

async function folders(t: { after(fn: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), 'cifar10-'));
  t.after(() => rm(folder, { recursive: true }));
  return { folder, cache: join(folder, 'cache') };
}

test('JPEG files become planes and labels in the order of their names, once', async (t) => {
  const { folder, cache } = await folders(t);
  const archive = join(folder, 'cifar10.tar.gz');
  await writeArchive(archive, [
    ['train/cat/0001.jpg', await plain(80)],
    ['train/cat/._0001.jpg', Buffer.from('not a picture')],
    ['train/airplane/0000.jpg', await plain(200)],
    ['test/truck/0000.jpg', await plain(10)],
    ['README', Buffer.from('text')],
  ]);
  const progress: number[] = [];
  const load = () => loadCifar10({ folder, cache, onProgress: (done) => progress.push(done) });
  const { train, test } = await load();
  assert.deepEqual([...train.labels], [0, 3]);
  assert.deepEqual([...test.labels], [9]);
  assert.deepEqual(
    [...train.image(1).data.subarray(0, 3)].map((value) => Math.round(value / 10)),
    [8, 0, 26],
  );
  assert.ok(Math.abs(train.images[0]! - 200) < 3 && train.images[1024]! < 3 && train.images[2048]! > 252);
  assert.deepEqual(progress, [3]);

  assert.deepEqual(await load(), { train, test });
  assert.equal(progress.length, 1, 'the second time nothing is decoded');
  await utimes(archive, 1, 1);
  await load();
  assert.equal(progress.length, 2, 'a changed archive is decoded again');
  await writeFile(join(cache, 'cifar10.safetensors'), 'damaged');
  assert.deepEqual(await load(), { train, test });
  assert.deepEqual(await readdir(cache), ['cifar10.safetensors']);
});

test("the origin's binary batches are read as they are, in their order", async (t) => {
  const { folder, cache } = await folders(t);
  const record = (label: number, value: number) => [label, ...new Array<number>(3072).fill(value)];
  const archive = join(folder, 'cifar-10-binary.tar.gz');
  await writeArchive(archive, [
    ['cifar-10-batches-bin/data_batch_2.bin', Uint8Array.from([...record(2, 20), ...record(3, 30)])],
    ['cifar-10-batches-bin/data_batch_1.bin', Uint8Array.from(record(9, 10))],
    ['cifar-10-batches-bin/test_batch.bin', Uint8Array.from(record(5, 50))],
  ]);
  const { train, test } = await loadCifar10({ folder, cache });
  assert.deepEqual([[...train.labels], train.images[0], train.images[3072 * 3 - 1]], [[9, 2, 3], 10, 30]);
  assert.deepEqual([[...test.labels], test.images.length], [[5], 3072]);

  await writeArchive(archive, [['cifar-10-batches-bin/test_batch.bin', Uint8Array.from(record(10, 0))]]);
  await assert.rejects(loadCifar10({ folder, cache }), /test_batch.bin: label 10 of picture 0 is above 9/);
  await writeArchive(archive, [['cifar-10-batches-bin/test_batch.bin', new Uint8Array(9)]]);
  await assert.rejects(loadCifar10({ folder, cache }), /has 9 bytes, expected a multiple of 3073/);
  await writeArchive(archive, [['other', new Uint8Array(9)]]);
  await assert.rejects(loadCifar10({ folder, cache }), /train or test pictures are missing/);
});

test('what is missing or wrong is said in one line', async (t) => {
  const { folder, cache } = await folders(t);
  await assert.rejects(loadCifar10({ folder, cache }), {
    message: `no cifar-10-binary.tar.gz or cifar10.tar.gz in ${folder}: set WP_DATA to the folder that has it, or run "wp data get cifar10" (data from https://www.cs.toronto.edu/~kriz/cifar.html)`,
  });
  const archive = join(folder, 'cifar10.tar.gz');
  await writeArchive(archive, [['train/cat/0000.jpg', Buffer.from('Dear reader')]]);
  await assert.rejects(
    loadCifar10({ folder, cache }),
    /cifar10.tar.gz: train\/cat\/0000.jpg: begins with "Dear reader"/,
  );
  await writeArchive(archive, [['train/cat/0000.jpg', await plain(0, 33)]]);
  await assert.rejects(loadCifar10({ folder, cache }), /train\/cat\/0000.jpg is 33x33, expected 32x32/);
  await writeArchive(archive, [['train/unicorn/0000.jpg', await plain(0)]]);
  await assert.rejects(loadCifar10({ folder, cache }), /class "unicorn" is not one of CIFAR-10's/);
});

test('the validation split is seeded', () => {
  const { train, validation } = splitCifar10(50_000);
  assert.deepEqual([train.length, validation.length], [45_000, 5_000]);
  assert.equal(new Set([...train, ...validation]).size, 50_000);
  assert.deepEqual(splitCifar10(50_000).validation, validation);
});
