import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { ImageError } from './images.ts';
import { decodeImage, encodePng, readImage } from './images-node.ts';

/** Left half red, right half blue. */
const width = 64;
const height = 48;
const pixels = Buffer.alloc(width * height * 3);
for (let i = 0; i < width * height; i++) pixels[3 * i + (i % width < width / 2 ? 0 : 2)] = 255;
const picture = () => sharp(pixels, { raw: { width, height, channels: 3 } });

test('PNG and lossless WebP decode to the very pixels, JPEG to nearly them', async () => {
  for (const bytes of [
    await picture().png().toBuffer(),
    await picture().webp({ lossless: true }).toBuffer(),
  ]) {
    assert.deepEqual(await decodeImage(bytes), { width, height, data: new Uint8Array(pixels) });
  }
  const jpeg = await decodeImage(
    await picture().jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
  );
  assert.ok(jpeg.data.every((value, i) => Math.abs(value - pixels[i]!) < 8));
});

test('EXIF orientation is applied', async () => {
  const turned = await decodeImage(await picture().withMetadata({ orientation: 6 }).jpeg().toBuffer());
  assert.deepEqual([turned.width, turned.height], [height, width]);
  const [red, , blue] = turned.data;
  assert.ok(red! > 200 && blue! < 60, 'the left half is on top');
});

test('grey, 16-bit, CMYK and transparent images become RGB', async () => {
  const grey = await decodeImage(await picture().greyscale().png().toBuffer());
  assert.equal(grey.data.length, pixels.length);
  assert.equal(grey.data[0], grey.data[2]);
  const deep = await decodeImage(await picture().toColourspace('rgb16').png().toBuffer());
  assert.deepEqual(deep.data, new Uint8Array(pixels));
  const cmyk = await decodeImage(await picture().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer());
  assert.equal(cmyk.data.length, pixels.length);
  assert.ok(cmyk.data[0]! > cmyk.data[2]!);
  const clear = await picture().ensureAlpha(0.5).png().toBuffer();
  const flat = await decodeImage(clear);
  assert.deepEqual([...flat.data.subarray(0, 3)], [255, 128, 128]);
});

test('what is not a whole image is refused in one line that names the file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'images-'));
  t.after(() => rm(folder, { recursive: true }));
  const jpeg = await picture().jpeg().toBuffer();
  const png = await picture().png().toBuffer();
  const webp = await picture().webp().toBuffer();
  const files: [name: string, bytes: Uint8Array | string, message: RegExp][] = [
    [
      'letter.jpg',
      'Dear reader,\nthis is no picture.',
      /begins with "Dear reader,", expected a JPEG, PNG or WebP/,
    ],
    ['empty.png', '', /the file is empty/],
    ['half.jpg', jpeg.subarray(0, jpeg.length / 2), /the JPEG image is damaged or incomplete: /],
    ['start.jpg', jpeg.subarray(0, 20), /the JPEG image is damaged or incomplete: /],
    ['half.png', png.subarray(0, png.length / 2), /the PNG image is damaged or incomplete: /],
    ['half.webp', webp.subarray(0, webp.length / 2), /the WebP image is damaged or incomplete: /],
  ];
  for (const [name, bytes, message] of files) {
    const path = join(folder, name);
    await writeFile(path, bytes);
    await assert.rejects(readImage(path), (error: unknown) => {
      assert.ok(error instanceof ImageError, String(error));
      assert.ok(error.message.startsWith(`${path}: `) && !error.message.includes('\n'), error.message);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(readImage(join(folder, 'absent.jpg')), /absent.jpg: no such file/);
  await assert.rejects(readImage(folder), /: is a folder/);
});

test('a picture survives PNG', async () => {
  const image = { width, height, data: new Uint8Array(pixels) };
  assert.deepEqual(await decodeImage(await encodePng(image)), image);
});
