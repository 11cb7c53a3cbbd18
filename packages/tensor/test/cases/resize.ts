import { gridSample, resize2d } from '../../src/ops/resize.ts';
import { type Cases, normal, uniform } from './case.ts';

const image = normal([2, 3, 4, 5]);
const bilinear = { mode: 'bilinear' } as const;
const corners = { mode: 'bilinear', alignCorners: true } as const;
// off the pixels' centres and edges, where the gradient for the grid jumps; some places lie outside the image
const grid = uniform([2, 3, 4, 2], -1.3, 1.3, 5);

export const gradientCases: Cases = {
  resize2d: [
    {
      name: 'nearest, twice the size',
      f: (x) => resize2d(x!, { scale: 2 }),
      inputs: [image],
      secondOrder: true,
    },
    { name: 'nearest, factors 2 and 3', f: (x) => resize2d(x!, { size: [8, 15] }), inputs: [image] },
    { name: 'nearest, larger and smaller', f: (x) => resize2d(x!, { size: [7, 3] }), inputs: [image] },
    { name: 'nearest, half', f: (x) => resize2d(x!, { scale: 0.5 }), inputs: [image] },
    {
      name: 'nearest, a factor that is no quotient',
      f: (x) => resize2d(x!, { scale: [1.7, 2.3] }),
      inputs: [image],
    },
    {
      name: 'bilinear, twice the size',
      f: (x) => resize2d(x!, { scale: 2, ...bilinear }),
      inputs: [image],
      secondOrder: true,
    },
    {
      name: 'bilinear, larger and smaller',
      f: (x) => resize2d(x!, { size: [7, 3], ...bilinear }),
      inputs: [image],
    },
    {
      name: 'bilinear, a factor that is no quotient',
      f: (x) => resize2d(x!, { scale: [1.7, 2.3], ...bilinear }),
      inputs: [image],
    },
    {
      name: 'bilinear, corners aligned',
      f: (x) => resize2d(x!, { size: [7, 9], ...corners }),
      inputs: [image],
      secondOrder: true,
    },
    {
      name: 'bilinear, corners aligned, to one pixel',
      f: (x) => resize2d(x!, { size: [1, 1], ...corners }),
      inputs: [image],
    },
    {
      name: 'bilinear, corners aligned, smaller',
      f: (x) => resize2d(x!, { size: [3, 2], ...corners }),
      inputs: [image],
    },
    {
      name: 'bilinear, from one pixel',
      f: (x) => resize2d(x!, { size: [3, 2], ...bilinear }),
      inputs: [normal([1, 2, 1, 1])],
    },
    {
      name: 'bilinear, beyond 32 pixels',
      f: (x) => resize2d(x!, { size: [35, 9], ...bilinear }),
      inputs: [image],
    },
    {
      name: 'corners aligned, beyond 32 pixels',
      f: (x) => resize2d(x!, { size: [35, 9], ...corners }),
      inputs: [image],
    },
  ],
  gridSample: [
    { name: 'bilinear, zeros outside', f: (x, g) => gridSample(x!, g!), inputs: [image, grid] },
    {
      name: 'bilinear, border outside',
      f: (x, g) => gridSample(x!, g!, { padding: 'border' }),
      inputs: [image, grid],
    },
    {
      name: 'bilinear, corners aligned',
      f: (x, g) => gridSample(x!, g!, { alignCorners: true }),
      inputs: [image, grid],
      secondOrder: true,
    },
    {
      name: 'bilinear, corners aligned, border',
      f: (x, g) => gridSample(x!, g!, { alignCorners: true, padding: 'border' }),
      inputs: [image, grid],
    },
    {
      name: 'nearest, zeros outside',
      f: (x, g) => gridSample(x!, g!, { mode: 'nearest' }),
      inputs: [image, grid],
    },
    {
      name: 'nearest, corners aligned, border',
      f: (x, g) => gridSample(x!, g!, { mode: 'nearest', alignCorners: true, padding: 'border' }),
      inputs: [image, grid],
    },
  ],
};

export const forwardCases: Cases = {
  resize2d: [
    {
      name: 'nearest, 10 to 7 and 3 to 10',
      f: (x) => resize2d(x!, { size: [7, 10] }),
      inputs: [normal([1, 1, 10, 3])],
      tolerance: 0,
    },
    {
      name: 'nearest, many sizes',
      f: (x) => [11, 13, 23, 41, 57].map((n) => resize2d(x!, { size: [n, 1] })),
      inputs: [normal([1, 1, 37, 1])],
      tolerance: 0,
    },
    {
      name: 'bilinear, 48 to 40',
      f: (x) => resize2d(x!, { size: [40, 40], ...bilinear }),
      inputs: [normal([1, 2, 48, 48])],
    },
  ],
};
