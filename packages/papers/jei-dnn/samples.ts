/**
 * Sample pictures, drawn here so that nobody's photograph has to ship. Each is a scene: a function from a point of the
 * unit square to a colour, painted layer by layer.
 */

import type { RgbImage } from '@working-papers/nn/images';

export interface Sample {
  /** What is drawn; a CIFAR-10 class. */
  readonly name: string;
  draw(size?: number): RgbImage;
}

/** Red, green and blue, 0 to 255. */
type Color = readonly [number, number, number];
type Point = readonly [x: number, y: number];
/** Is this point inside? y grows downwards. */
type Shape = (x: number, y: number) => boolean;
type Scene = (x: number, y: number) => Color;

function ellipse(cx: number, cy: number, rx: number, ry: number, angle = 0): Shape {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return (x, y) => {
    const [dx, dy] = [x - cx, y - cy];
    return ((dx * cos + dy * sin) / rx) ** 2 + ((dy * cos - dx * sin) / ry) ** 2 <= 1;
  };
}

function box(left: number, top: number, right: number, bottom: number): Shape {
  return (x, y) => x >= left && x <= right && y >= top && y <= bottom;
}

/** Inside where a ray to the right crosses the outline an odd number of times. */
function polygon(...corners: readonly Point[]): Shape {
  return (x, y) => {
    let inside = false;
    corners.forEach(([x1, y1], i) => {
      const [x2, y2] = corners[(i + 1) % corners.length]!;
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) inside = !inside;
    });
    return inside;
  };
}

function mix(a: Color, b: Color, t: number): Color {
  const at = Math.min(1, Math.max(0, t));
  return [a[0] + (b[0] - a[0]) * at, a[1] + (b[1] - a[1]) * at, a[2] + (b[2] - a[2]) * at];
}

/** A number in [0, 1) that is the same for the same cell everywhere. */
function hash(x: number, y: number): number {
  const mixed = Math.imul(Math.imul(x, 374761393) ^ Math.imul(y, 668265263), 1274126177);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

/** Smooth noise in [0, 1] with cells of 1 / frequency. */
function noise(x: number, y: number, frequency: number): number {
  const [fx, fy] = [x * frequency, y * frequency];
  const [ix, iy] = [Math.floor(fx), Math.floor(fy)];
  const ease = (t: number) => t * t * (3 - 2 * t);
  const [tx, ty] = [ease(fx - ix), ease(fy - iy)];
  const row = (dy: number) => hash(ix, iy + dy) * (1 - tx) + hash(ix + 1, iy + dy) * tx;
  return row(0) * (1 - ty) + row(1) * ty;
}

/** Layers from back to front; a colour may depend on the point. */
function scene(ground: Scene, ...layers: readonly (readonly [Shape, Color | Scene])[]): Scene {
  return (x, y) => {
    for (let i = layers.length - 1; i >= 0; i--) {
      const [shape, color] = layers[i]!;
      if (shape(x, y)) return typeof color === 'function' ? color(x, y) : color;
    }
    return ground(x, y);
  };
}

const vertical =
  (top: Color, bottom: Color, from = 0, to = 1): Scene =>
  (_, y) =>
    mix(top, bottom, (y - from) / (to - from));

const textured =
  (base: Color, other: Color, frequency: number): Scene =>
  (x, y) =>
    mix(base, other, noise(x, y, frequency));

const ship = scene(
  vertical([118, 160, 205], [214, 226, 234], 0, 0.6),
  [box(0, 0.62, 1, 1), (x, y) => mix([30, 66, 100], [74, 116, 148], noise(x * 0.6, y * 3, 16))],
  [
    polygon([0.1, 0.52], [0.92, 0.5], [0.82, 0.68], [0.18, 0.68]),
    vertical([60, 62, 70], [120, 44, 40], 0.5, 0.72),
  ],
  [box(0.24, 0.4, 0.5, 0.53), [232, 232, 228]],
  [box(0.28, 0.3, 0.42, 0.41), [244, 244, 240]],
  [box(0.3, 0.34, 0.4, 0.36), [70, 84, 104]],
  [box(0.27, 0.44, 0.48, 0.46), [82, 94, 112]],
  [polygon([0.44, 0.22], [0.5, 0.22], [0.51, 0.41], [0.43, 0.41]), [196, 74, 46]],
  [box(0.56, 0.42, 0.68, 0.52), [176, 92, 54]],
  [box(0.69, 0.44, 0.8, 0.52), [70, 110, 96]],
  [box(0.845, 0.3, 0.855, 0.52), [90, 90, 92]],
);

const airplane = scene(
  (x, y) => mix(mix([72, 128, 200], [168, 204, 236], y), [250, 250, 252], noise(x, y + 0.3, 3) ** 3),
  [polygon([0.42, 0.5], [0.56, 0.47], [0.34, 0.16], [0.27, 0.17]), [178, 184, 194]],
  [ellipse(0.5, 0.5, 0.4, 0.065, -0.06), vertical([246, 247, 250], [150, 158, 172], 0.42, 0.58)],
  [polygon([0.12, 0.53], [0.24, 0.51], [0.13, 0.27], [0.06, 0.27]), [52, 84, 150]],
  [polygon([0.1, 0.54], [0.2, 0.53], [0.1, 0.64], [0.05, 0.63]), [150, 156, 168]],
  [polygon([0.38, 0.53], [0.58, 0.51], [0.32, 0.86], [0.25, 0.86]), [146, 152, 164]],
  [ellipse(0.42, 0.66, 0.06, 0.026), [92, 98, 110]],
  [polygon([0.8, 0.455], [0.87, 0.47], [0.86, 0.485], [0.79, 0.48]), [40, 52, 70]],
);

const wheel = (cx: number, cy: number, r: number) =>
  [
    [ellipse(cx, cy, r, r), [26, 26, 28]],
    [ellipse(cx, cy, r * 0.52, r * 0.52), [172, 174, 178]],
  ] as const;

const automobile = scene(
  vertical([176, 196, 208], [210, 214, 208], 0, 0.5),
  [box(0, 0.36, 1, 0.6), textured([66, 96, 58], [112, 134, 84], 18)],
  [box(0, 0.6, 1, 1), textured([104, 104, 106], [128, 128, 128], 40)],
  [ellipse(0.5, 0.79, 0.42, 0.035), [62, 62, 64]],
  [polygon([0.24, 0.5], [0.36, 0.34], [0.66, 0.34], [0.8, 0.5]), [168, 22, 26]],
  [polygon([0.29, 0.49], [0.38, 0.375], [0.5, 0.375], [0.5, 0.49]), [58, 74, 92]],
  [polygon([0.525, 0.49], [0.525, 0.375], [0.64, 0.375], [0.74, 0.49]), [70, 88, 106]],
  [
    polygon([0.08, 0.54], [0.16, 0.49], [0.86, 0.49], [0.93, 0.56], [0.93, 0.72], [0.07, 0.72]),
    vertical([214, 34, 36], [128, 14, 18], 0.48, 0.74),
  ],
  [box(0.51, 0.5, 0.517, 0.68), [110, 12, 16]],
  [ellipse(0.905, 0.58, 0.022, 0.026), [248, 240, 200]],
  [box(0.07, 0.56, 0.1, 0.61), [250, 120, 70]],
  ...wheel(0.25, 0.72, 0.095),
  ...wheel(0.75, 0.72, 0.095),
);

const truck = scene(
  vertical([150, 184, 216], [222, 226, 222], 0, 0.62),
  [box(0, 0.56, 1, 0.68), textured([120, 126, 84], [160, 150, 108], 14)],
  [box(0, 0.68, 1, 1), textured([92, 92, 96], [116, 116, 118], 40)],
  [box(0.04, 0.2, 0.66, 0.68), vertical([242, 242, 238], [196, 198, 200], 0.2, 0.7)],
  [box(0.04, 0.46, 0.66, 0.5), [38, 92, 150]],
  [polygon([0.68, 0.32], [0.84, 0.32], [0.94, 0.5], [0.94, 0.72], [0.68, 0.72]), [34, 84, 146]],
  [polygon([0.73, 0.37], [0.82, 0.37], [0.89, 0.5], [0.73, 0.5]), [196, 216, 228]],
  [box(0.04, 0.68, 0.94, 0.74), [44, 44, 48]],
  [ellipse(0.92, 0.65, 0.02, 0.025), [252, 244, 206]],
  ...wheel(0.17, 0.75, 0.08),
  ...wheel(0.36, 0.75, 0.08),
  ...wheel(0.82, 0.75, 0.08),
);

const frog = scene(
  textured([70, 58, 38], [128, 104, 66], 9),
  [ellipse(0.22, 0.76, 0.17, 0.08, -0.4), [62, 112, 34]],
  [ellipse(0.8, 0.76, 0.17, 0.08, 0.4), [62, 112, 34]],
  [ellipse(0.5, 0.62, 0.3, 0.24), textured([84, 150, 42], [122, 182, 62], 11)],
  [ellipse(0.5, 0.72, 0.18, 0.14), [206, 214, 150]],
  [ellipse(0.34, 0.86, 0.1, 0.045), [86, 146, 46]],
  [ellipse(0.66, 0.86, 0.1, 0.045), [86, 146, 46]],
  [ellipse(0.5, 0.42, 0.26, 0.17), textured([98, 166, 50], [132, 192, 70], 11)],
  [ellipse(0.34, 0.28, 0.085, 0.085), [108, 172, 56]],
  [ellipse(0.66, 0.28, 0.085, 0.085), [108, 172, 56]],
  [ellipse(0.34, 0.27, 0.055, 0.055), [226, 190, 72]],
  [ellipse(0.66, 0.27, 0.055, 0.055), [226, 190, 72]],
  [ellipse(0.34, 0.27, 0.042, 0.022), [18, 18, 16]],
  [ellipse(0.66, 0.27, 0.042, 0.022), [18, 18, 16]],
  [polygon([0.3, 0.47], [0.5, 0.505], [0.7, 0.47], [0.7, 0.48], [0.5, 0.52], [0.3, 0.48]), [48, 84, 26]],
);

const bird = scene(
  (x, y) => mix(mix([126, 160, 96], [188, 204, 140], y), [92, 130, 70], noise(x, y, 4)),
  [polygon([0, 0.8], [1, 0.74], [1, 0.81], [0, 0.87]), textured([84, 62, 42], [120, 92, 62], 22)],
  [polygon([0.13, 0.73], [0.04, 0.62], [0.34, 0.52], [0.4, 0.62]), [84, 66, 52]],
  [ellipse(0.48, 0.55, 0.24, 0.17, -0.35), textured([148, 112, 78], [172, 136, 98], 16)],
  [ellipse(0.57, 0.6, 0.15, 0.12, -0.4), [226, 196, 158]],
  [ellipse(0.4, 0.54, 0.18, 0.09, -0.3), textured([92, 70, 54], [116, 90, 68], 20)],
  [ellipse(0.68, 0.34, 0.115, 0.11), [152, 112, 76]],
  [polygon([0.77, 0.31], [0.91, 0.36], [0.77, 0.38]), [220, 158, 50]],
  [ellipse(0.715, 0.32, 0.022, 0.022), [14, 14, 14]],
  [box(0.5, 0.7, 0.515, 0.82), [96, 70, 46]],
  [box(0.58, 0.69, 0.595, 0.81), [96, 70, 46]],
);

/** Grain of a few levels, as every photograph has it. */
function paint(at: Scene, size: number): RgbImage {
  const data = new Uint8Array(3 * size * size);
  const taps = 3;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const sum = [0, 0, 0];
      for (let i = 0; i < taps * taps; i++) {
        const color = at(
          (x + ((i % taps) + 0.5) / taps) / size,
          (y + (Math.floor(i / taps) + 0.5) / taps) / size,
        );
        for (let c = 0; c < 3; c++) sum[c]! += color[c]!;
      }
      const grain = 8 * (hash(x + 7, y + 13) - 0.5);
      for (let c = 0; c < 3; c++) {
        data[(y * size + x) * 3 + c] = Math.min(255, Math.max(0, Math.round(sum[c]! / taps ** 2 + grain)));
      }
    }
  }
  return { width: size, height: size, data };
}

const sample = (name: string, at: Scene): Sample => ({ name, draw: (size = 96) => paint(at, size) });

export const samples: readonly Sample[] = [
  sample('ship', ship),
  sample('automobile', automobile),
  sample('airplane', airplane),
  sample('frog', frog),
  sample('truck', truck),
  sample('bird', bird),
];
