import type { RgbImage } from '@working-papers/nn/images';

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
