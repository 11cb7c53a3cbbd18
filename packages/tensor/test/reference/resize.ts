import { at, build, replaced } from './dense.ts';
import { type Dense, register } from './registry.ts';

interface Resize {
  size: (number | string)[];
  scales: number[] | null;
  mode: 'nearest' | 'bilinear';
  alignCorners: boolean;
}

/** One axis, written after PyTorch's area_pixel_compute_source_index and its callers (UpSample.h). */
function resizeAxis(x: Dense, axis: number, size: number, scale: number | undefined, options: Resize): Dense {
  const from = x.shape[axis]!;
  return build(replaced(x.shape, axis, size), (index) => {
    const o = index[axis]!;
    const read = (i: number) => at(x, replaced(index, axis, Math.min(i, from - 1)));
    if (options.mode === 'nearest') {
      return read(Math.floor(Math.fround(o * Math.fround(scale ? 1 / scale : from / size))));
    }
    let source: number;
    if (options.alignCorners) source = size > 1 ? (o * (from - 1)) / (size - 1) : 0;
    else source = Math.max((scale ? 1 / scale : from / size) * (o + 0.5) - 0.5, 0);
    const low = Math.floor(source);
    return (1 - (source - low)) * read(low) + (source - low) * read(low + 1);
  });
}

register('resize2d', ([x], attributes, _, resolve) => {
  const options = attributes as unknown as Resize;
  const [height, width] = resolve.shape(options.size);
  return resizeAxis(
    resizeAxis(x!, 2, height!, options.scales?.[0], options),
    3,
    width!,
    options.scales?.[1],
    options,
  );
});

register('gridSample', ([x, grid], attributes) => {
  const { mode, padding, alignCorners } = attributes as {
    mode?: string;
    padding?: string;
    alignCorners?: boolean;
  };
  const [n, c, height, width] = x!.shape as [number, number, number, number];
  return build([n, c, grid!.shape[1]!, grid!.shape[2]!], ([b, channel, i, j]) => {
    const place = (axis: number, size: number): number => {
      const g = at(grid!, [b!, i!, j!, axis]);
      const pixel = alignCorners ? ((g + 1) / 2) * (size - 1) : ((g + 1) * size - 1) / 2;
      return padding === 'border' ? Math.min(Math.max(pixel, 0), size - 1) : pixel;
    };
    const [px, py] = [place(0, width), place(1, height)];
    const read = (ix: number, iy: number): number =>
      ix >= 0 && iy >= 0 && ix < width && iy < height ? at(x!, [b!, channel!, iy, ix]) : 0;
    if (mode === 'nearest') return read(roundToEven(px), roundToEven(py));
    const [x0, y0] = [Math.floor(px), Math.floor(py)];
    let sum = 0;
    for (const ix of [x0, x0 + 1]) {
      for (const iy of [y0, y0 + 1]) sum += (1 - Math.abs(px - ix)) * (1 - Math.abs(py - iy)) * read(ix, iy);
    }
    return sum;
  });
});

function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
