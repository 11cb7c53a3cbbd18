/**
 * Pictures as 8-bit RGB and the transforms between a decoded file and a network's input. Everything after decoding
 * is integer or plain float64 arithmetic, so that a page and a server see the same numbers.
 * Decoding: `images-node.ts`, `images-browser.ts`.
 */
import type { NdArray } from '@working-papers/tensor/array';
import type { Random } from './random.ts';

/** Rows from the top, pixels from the left, three bytes a pixel: `data[(y * width + x) * 3 + channel]`. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A file is not a picture that can be read; the message names it. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** Formats that are read. */
export type ImageFormat = 'JPEG' | 'PNG' | 'WebP';

/** The format that a file's first bytes announce, whatever its name. Throws an ImageError for any other file. */
export function imageFormat(bytes: Uint8Array, file: string): ImageFormat {
  const text = String.fromCharCode(...bytes.subarray(0, 12));
  if (text.startsWith('\xff\xd8\xff')) return 'JPEG';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG';
  if (text.startsWith('RIFF') && text.endsWith('WEBP')) return 'WebP';
  if (bytes.length === 0)
    throw new ImageError(`${file}: the file is empty, expected a JPEG, PNG or WebP image`);
  throw new ImageError(`${file}: begins with ${JSON.stringify(text)}, expected a JPEG, PNG or WebP image`);
}

/** Puts RGBA pixels on a white ground. */
export function flatten(rgba: Uint8Array | Uint8ClampedArray, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const alpha = rgba[from + 3]!;
    for (let c = 0; c < 3; c++) {
      data[to++] = Math.round((rgba[from + c]! * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  return { width, height, data };
}

/** Red, green and blue planes, one after the other (CHW), as pixels. */
export function fromPlanes(planes: Uint8Array, width: number, height: number): RgbImage {
  const size = width * height;
  const data = new Uint8Array(3 * size);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) data[3 * i + c] = planes[c * size + i]!;
  }
  return { width, height, data };
}

/** Numbers in [−1, 1], CHW, as the nearest bytes; what lies outside is cut off. */
export function fromNumbers(values: ArrayLike<number>, width: number, height: number): RgbImage {
  const bytes = Uint8ClampedArray.from(values, (value) => Math.round((value + 1) * 127.5));
  return fromPlanes(new Uint8Array(bytes.buffer), width, height);
}

/** Of `tile`. */
export interface TileOptions {
  readonly columns: number;
  /** Each pixel becomes so many squared; default 1. */
  readonly scale?: number;
  /** White pixels between pictures; default 2. */
  readonly gap?: number;
}

/** Pictures of one size on a sheet, row by row. Throws a RangeError for none, or sizes that differ. */
export function tile(images: readonly RgbImage[], { columns, scale = 1, gap = 2 }: TileOptions): RgbImage {
  const first = images[0];
  if (!first) throw new RangeError('no pictures to put on a sheet');
  const other = images.find(({ width, height }) => width !== first.width || height !== first.height);
  if (other)
    throw new RangeError(`pictures of ${first.width}×${first.height} and ${other.width}×${other.height}`);
  const across = Math.min(columns, images.length);
  const [cellWidth, cellHeight] = [first.width * scale + gap, first.height * scale + gap];
  const [width, height] = [across * cellWidth - gap, Math.ceil(images.length / columns) * cellHeight - gap];
  const data = new Uint8Array(3 * width * height).fill(255);
  for (const [n, image] of images.entries()) {
    const [left, top] = [(n % columns) * cellWidth, Math.floor(n / columns) * cellHeight];
    for (let y = 0; y < image.height * scale; y++) {
      for (let x = 0; x < image.width * scale; x++) {
        const from = 3 * (Math.floor(y / scale) * image.width + Math.floor(x / scale));
        data.set(image.data.subarray(from, from + 3), 3 * ((top + y) * width + left + x));
      }
    }
  }
  return { width, height, data };
}

/** Pictures in a row on white, tops in line. Throws a RangeError for none. */
export function beside(images: readonly RgbImage[], gap: number): RgbImage {
  if (images.length === 0) throw new RangeError('no pictures to put beside each other');
  const width = images.reduce((sum, image) => sum + image.width + gap, -gap);
  const height = Math.max(...images.map((image) => image.height));
  const data = new Uint8Array(3 * width * height).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(3 * y * image.width, 3 * (y + 1) * image.width);
      data.set(row, 3 * (y * width + left));
    }
    left += image.width + gap;
  }
  return { width, height, data };
}

/** The inverse of `fromPlanes`. */
export function toPlanes({ width, height, data }: RgbImage): Uint8Array {
  const size = width * height;
  const planes = new Uint8Array(3 * size);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) planes[c * size + i] = data[3 * i + c]!;
  }
  return planes;
}

/** The part of the image whose upper left corner is at (left, top); black where that lies outside. */
export function crop(image: RgbImage, left: number, top: number, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const from = Math.max(0, left);
  const to = Math.min(image.width, left + width);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top) && from < to; y++) {
    const row = (top + y) * image.width;
    data.set(image.data.subarray((row + from) * 3, (row + to) * 3), (y * width + from - left) * 3);
  }
  return { width, height, data };
}

/** The middle part; black around images that are smaller. Odd margins are split as torchvision does. */
export function centerCrop(image: RgbImage, width: number, height = width): RgbImage {
  return crop(image, margin(image.width, width), margin(image.height, height), width, height);
}

/** Half of the difference: rounded half to even where the image is larger, towards zero where it is smaller. */
function margin(outer: number, inner: number): number {
  const half = (outer - inner) / 2;
  return half >= 0 && half % 2 === 0.5 ? half - 0.5 : half < 0 ? Math.ceil(half) : Math.round(half);
}

/** A random part of the image with `padding` black pixels on every side; its size is the image's by default. */
export function randomCrop(
  image: RgbImage,
  random: Random,
  { padding = 0, width = image.width, height = image.height } = {},
): RgbImage {
  const spanX = image.width + 2 * padding - width;
  const spanY = image.height + 2 * padding - height;
  if (spanX < 0 || spanY < 0) {
    throw new RangeError(
      `no ${width}x${height} crop in ${image.width}x${image.height} with padding ${padding}`,
    );
  }
  const left = random.integer(spanX + 1) - padding;
  const top = random.integer(spanY + 1) - padding;
  return crop(image, left, top, width, height);
}

/** Left and right exchanged. */
export function flipHorizontal({ width, height, data }: RgbImage): RgbImage {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      const to = (y * width + width - 1 - x) * 3;
      for (let c = 0; c < 3; c++) out[to + c] = data[from + c]!;
    }
  }
  return { width, height, data: out };
}

/** `flipHorizontal` with probability one half. */
export function randomFlip(image: RgbImage, random: Random): RgbImage {
  return random.uniform() < 0.5 ? flipHorizontal(image) : image;
}

/** The image at a new size: bilinear, antialiased where it shrinks; Pillow's `resize(BILINEAR)` bit for bit. */
export function resize(image: RgbImage, width: number, height: number): RgbImage {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`cannot resize to ${width}x${height}`);
  }
  const across = width === image.width ? image : resizeAcross(image, width);
  return height === across.height ? across : resizeDown(across, height);
}

/** The image scaled so that its shorter side is `size`; the longer side is rounded down, as torchvision does. */
export function resizeShorter(image: RgbImage, size: number): RgbImage {
  const { width, height } = image;
  const long = (other: number, short: number) => Math.floor((size * other) / short);
  return width <= height
    ? resize(image, size, long(height, width))
    : resize(image, long(width, height), size);
}

/** For each output pixel the first input pixel and the weights, in units of 2^-22, of it and its successors. */
function resampling(inSize: number, outSize: number): { first: number; weights: Int32Array }[] {
  const scale = inSize / outSize;
  const support = Math.max(1, scale); // the triangle's half width
  return Array.from({ length: outSize }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inSize, Math.trunc(center + support + 0.5));
    const triangle = Array.from({ length: end - first }, (_, j) =>
      Math.max(0, 1 - Math.abs((j + first - center + 0.5) * (1 / support))),
    );
    const sum = triangle.reduce((total, weight) => total + weight, 0);
    return {
      first,
      weights: Int32Array.from(triangle, (weight) => Math.trunc(0.5 + (weight / sum) * 2 ** 22)),
    };
  });
}

function resizeAcross({ width: inWidth, height, data }: RgbImage, width: number): RgbImage {
  const out = new Uint8Array(width * height * 3);
  resampling(inWidth, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < 3; c++) {
        let sum = 2 ** 21;
        for (let j = 0; j < weights.length; j++)
          sum += data[(y * inWidth + first + j) * 3 + c]! * weights[j]!;
        out[(y * width + x) * 3 + c] = sum >> 22;
      }
    }
  });
  return { width, height, data: out };
}

function resizeDown({ width, data, height: inHeight }: RgbImage, height: number): RgbImage {
  const stride = width * 3;
  const out = new Uint8Array(stride * height);
  resampling(inHeight, height).forEach(({ first, weights }, y) => {
    for (let i = 0; i < stride; i++) {
      let sum = 2 ** 21;
      for (let j = 0; j < weights.length; j++) sum += data[(first + j) * stride + i]! * weights[j]!;
      out[y * stride + i] = sum >> 22;
    }
  });
  return { width, height, data: out };
}

/** Mean and standard deviation of each channel, on the scale 0..1. */
export interface Normalization {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/**
 * Images of one size as a network's input: `(value / 255 - mean) / std`, float32 (N, 3, H, W).
 * Throws a RangeError when sizes differ or there is no image.
 */
export function toInput(images: readonly RgbImage[], { mean, std }: Normalization): NdArray {
  const first = images[0];
  if (first === undefined) throw new RangeError('no images');
  const { width, height } = first;
  const size = width * height;
  const data = new Float32Array(images.length * 3 * size);
  const tables = mean.map((m, c) =>
    Float32Array.from({ length: 256 }, (_, value) => (value / 255 - m) / std[c]!),
  );
  images.forEach((image, n) => {
    if (image.width !== width || image.height !== height) {
      throw new RangeError(`image ${n} is ${image.width}x${image.height}, the first is ${width}x${height}`);
    }
    tables.forEach((table, c) => {
      const plane = (3 * n + c) * size;
      for (let i = 0; i < size; i++) data[plane + i] = table[image.data[3 * i + c]!]!;
    });
  });
  return { dtype: 'float32', shape: [images.length, 3, height, width], data };
}
