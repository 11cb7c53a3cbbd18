/**
 * Decoding pictures in a browser, in the page or in a worker.
 */
import { flatten, ImageError, imageFormat, type RgbImage } from './images.ts';

/**
 * A JPEG, PNG or WebP file as RGB, as `decodeImage` of `images-node.ts` gives it: turned upright (EXIF),
 * transparency on white, colour profiles ignored. Chromium gives Node's very pixels; where a browser has another
 * JPEG decoder, or where a pixel is half transparent, they may differ by one.
 * Throws an ImageError with `file` for anything else.
 */
export async function decodeImage(
  blob: Blob,
  file = blob instanceof File ? blob.name : 'image',
): Promise<RgbImage> {
  const format = imageFormat(new Uint8Array(await blob.slice(0, 12).arrayBuffer()), file);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw new ImageError(`${file}: the ${format} image is damaged or incomplete`, { cause });
  }
  try {
    return readPixels(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** The pixels of anything that a canvas draws, a camera's video element for instance, at its own size. */
export function readPixels(source: CanvasImageSource, width: number, height: number): RgbImage {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) throw new ImageError(`this browser gives no 2D canvas of ${width}x${height}`);
  context.drawImage(source, 0, 0);
  return flatten(context.getImageData(0, 0, width, height).data, width, height);
}

/** Puts a picture on a canvas, at the picture's own size: `<canvas {@attach paint(image)}>`. */
export function paint({ width, height, data }: RgbImage): (canvas: HTMLCanvasElement) => void {
  return (canvas) => {
    canvas.width = width;
    canvas.height = height;
    const pixels = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      pixels.data.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
      pixels.data[4 * i + 3] = 255;
    }
    canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  };
}
