/**
 * Decoding and encoding pictures in Node, with sharp (libvips).
 */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { flatten, ImageError, imageFormat, type RgbImage } from './images.ts';

/** Reads and decodes a file; see `decodeImage`. A file that cannot be read is an ImageError too. */
export async function readImage(path: string): Promise<RgbImage> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    const why = { ENOENT: 'no such file', EISDIR: 'is a folder', EACCES: 'no permission to read it' }[
      error.code!
    ];
    throw new ImageError(`${path}: ${why ?? error.message}`, { cause: error });
  });
  return decodeImage(bytes, path);
}

/**
 * A JPEG, PNG or WebP image as RGB: turned upright (EXIF), transparency on white, colour profiles ignored (as the
 * browser's decoder is told to), grey and 16-bit images converted.
 * Throws an ImageError in one line, with `file`, for anything that is not a whole image.
 */
export async function decodeImage(bytes: Uint8Array, file = 'image'): Promise<RgbImage> {
  const format = imageFormat(bytes, file);
  try {
    const { data, info } = await sharp(bytes, { failOn: 'truncated', ignoreIcc: true })
      .autoOrient()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    if (channels === 4) return flatten(data, width, height);
    return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (cause) {
    const reason = (cause as Error).message.trim().split('\n')[0];
    throw new ImageError(`${file}: the ${format} image is damaged or incomplete: ${reason}`, { cause });
  }
}

/** A picture as the bytes of a PNG file. */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
