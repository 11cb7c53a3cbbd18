/**
 * Upright boxes in space and how much they overlap. Coordinates are those of KITTI's cameras: x to the right, y down, z
 * ahead; a box stands on (x, y, z) and is turned by `ry` about the axis that points down.
 */

/** An upright box that is turned about the vertical axis. Lengths in metres, angles in radians. */
export interface Box3d {
  /** Middle of the bottom. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly length: number;
  readonly width: number;
  readonly height: number;
  /** Radians; 0 looks along x. */
  readonly ry: number;
}

/** x and z in turn, counter-clockwise or clockwise all along. */
type Polygon = readonly number[];

/** The four corners of the bottom. */
export function groundCorners({ x, z, length, width, ry }: Box3d): number[] {
  const [c, s] = [Math.cos(ry), Math.sin(ry)];
  const corners: number[] = [];
  for (const [a, b] of [
    [length / 2, width / 2],
    [length / 2, -width / 2],
    [-length / 2, -width / 2],
    [-length / 2, width / 2],
  ] as const)
    corners.push(x + c * a + s * b, z - s * a + c * b);
  return corners;
}

/** Twice the signed area. */
function doubleArea(polygon: Polygon): number {
  let sum = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const j = (i + 2) % polygon.length;
    sum += polygon[i]! * polygon[j + 1]! - polygon[j]! * polygon[i + 1]!;
  }
  return sum;
}

/** Area of a polygon whose sides do not cross, in any direction round. */
export function area(polygon: Polygon): number {
  return Math.abs(doubleArea(polygon)) / 2;
}

/** What two convex polygons share (Sutherland and Hodgman 1974); empty where it is nothing. */
export function clip(subject: Polygon, by: Polygon): number[] {
  const side = Math.sign(doubleArea(by));
  let rest = [...subject];
  for (let i = 0; i < by.length && rest.length > 0; i += 2) {
    const j = (i + 2) % by.length;
    const [ax, ay, bx, by_] = [by[i]!, by[i + 1]!, by[j]!, by[j + 1]!];
    const distance = (x: number, y: number) => side * ((bx - ax) * (y - ay) - (by_ - ay) * (x - ax));
    const kept: number[] = [];
    for (let k = 0; k < rest.length; k += 2) {
      const l = (k + 2) % rest.length;
      const [px, py, qx, qy] = [rest[k]!, rest[k + 1]!, rest[l]!, rest[l + 1]!];
      const [dp, dq] = [distance(px, py), distance(qx, qy)];
      if (dp >= 0) kept.push(px, py);
      if (dp >= 0 !== dq >= 0) {
        const share = dp / (dp - dq);
        kept.push(px + share * (qx - px), py + share * (qy - py));
      }
    }
    rest = kept;
  }
  return rest;
}

/** The smallest convex polygon around points (Andrew 1979). */
export function convexHull(points: Polygon): number[] {
  const sorted = Array.from(
    { length: points.length / 2 },
    (_, i) => [points[2 * i]!, points[2 * i + 1]!] as const,
  ).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (order: readonly (readonly [number, number])[]) => {
    const chain: (readonly [number, number])[] = [];
    for (const p of order) {
      for (;;) {
        const [a, b] = [chain.at(-2), chain.at(-1)];
        if (!a || !b || (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        chain.pop();
      }
      chain.push(p);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.toReversed())].flat();
}

const volume = ({ length, width, height }: Box3d) => length * width * height;

/** Too far apart to touch, whichever way they are turned. */
function isApart(a: Box3d, b: Box3d): boolean {
  const reach = (Math.hypot(a.length, a.width) + Math.hypot(b.length, b.width)) / 2;
  return (a.x - b.x) ** 2 + (a.z - b.z) ** 2 > reach * reach;
}

/** Volume that both fill. */
function sharedVolume(a: Box3d, b: Box3d): number {
  const height = Math.min(a.y, b.y) - Math.max(a.y - a.height, b.y - b.height);
  if (!(height > 0) || isApart(a, b)) return 0;
  return area(clip(groundCorners(a), groundCorners(b))) * height;
}

/** Intersection over union of volumes. */
export function iou3d(a: Box3d, b: Box3d): number {
  const shared = sharedVolume(a, b);
  return shared === 0 ? 0 : shared / (volume(a) + volume(b) - shared);
}

/**
 * Generalised IoU (Rezatofighi et al. 2019, arXiv 1902.09630) with the upright prism around both for the enclosing
 * shape: in (−1, 1], below 0 where boxes are apart.
 */
export function giou3d(a: Box3d, b: Box3d): number {
  const shared = sharedVolume(a, b);
  const union = volume(a) + volume(b) - shared;
  const height = Math.max(a.y, b.y) - Math.min(a.y - a.height, b.y - b.height);
  const around = area(convexHull([...groundCorners(a), ...groundCorners(b)])) * height;
  return shared / union - (around - union) / around;
}
