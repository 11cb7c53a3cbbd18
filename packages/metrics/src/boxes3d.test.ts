import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { area, type Box3d, clip, convexHull, giou3d, groundCorners, iou3d } from './boxes3d.ts';

const box = (x: number, z: number, ry = 0, rest: Partial<Box3d> = {}): Box3d => ({
  x,
  y: 0,
  z,
  length: 4,
  width: 2,
  height: 1.5,
  ry,
  ...rest,
});
const near = (a: number, b: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);

test('boxes by hand: shifted, lifted, turned, apart', () => {
  near(iou3d(box(0, 0), box(0, 0)), 1);
  near(iou3d(box(0, 0), box(2, 0)), 1 / 3);
  near(iou3d(box(0, 0), box(0, 0, 0, { y: 0.5 })), 1 / 2); // one metre of one and a half shared: 8/(24 − 8)
  near(iou3d(box(0, 0), box(0, 0, Math.PI / 2)), 4 / 12);
  near(iou3d(box(0, 0), box(0, 0, Math.PI)), 1);
  assert.equal(iou3d(box(0, 0), box(4.5, 0)), 0);
  assert.equal(iou3d(box(0, 0), box(0, 0, 0, { y: 2 })), 0);
  // touching: the shape around is as large as both
  near(giou3d(box(0, 0), box(4, 0)), 0);
  // a gap as long as a box: around is 12 long, the union 8
  near(giou3d(box(0, 0), box(8, 0)), -4 / 12);
});

test('a square turned by 45° shares an octagon with itself', () => {
  const square = box(1, 2, 0, { length: 2, width: 2 });
  const turned = { ...square, ry: Math.PI / 4 };
  const octagon = 8 * (Math.SQRT2 - 1);
  near(area(clip(groundCorners(square), groundCorners(turned))), octagon, 1e-12);
  near(iou3d(square, turned), octagon / (8 - octagon), 1e-12);
});

const anyBox = fc.record({
  x: fc.double({ min: -3, max: 3, noNaN: true }),
  y: fc.double({ min: -1, max: 1, noNaN: true }),
  z: fc.double({ min: -3, max: 3, noNaN: true }),
  length: fc.double({ min: 0.5, max: 5, noNaN: true }),
  width: fc.double({ min: 0.5, max: 5, noNaN: true }),
  height: fc.double({ min: 0.5, max: 3, noNaN: true }),
  ry: fc.double({ min: -4, max: 4, noNaN: true }),
});

test('overlap is symmetric, stays when both are moved and turned together, and GIoU is not above it', () => {
  fc.assert(
    fc.property(anyBox, anyBox, fc.double({ min: -3, max: 3, noNaN: true }), (a, b, angle) => {
      const iou = iou3d(a, b);
      assert.ok(iou >= 0 && iou <= 1 + 1e-12);
      near(iou3d(b, a), iou, 1e-9);
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      const turn = (one: Box3d) => ({
        ...one,
        x: c * one.x + s * one.z + 5,
        z: -s * one.x + c * one.z - 7,
        ry: one.ry + angle,
      });
      near(iou3d(turn(a), turn(b)), iou, 1e-9);
      const giou = giou3d(a, b);
      assert.ok(giou <= iou + 1e-9 && giou > -1);
      near(giou3d(turn(a), turn(b)), giou, 1e-9);
    }),
  );
});

test('overlap is the share of points that lie in both', () => {
  const [a, b] = [box(0.3, 0.1, 0.4), box(0.9, -0.4, -0.7)];
  const inside = ({ x, z, length, width, ry }: Box3d, px: number, pz: number) => {
    const [dx, dz, c, s] = [px - x, pz - z, Math.cos(ry), Math.sin(ry)];
    return Math.abs(c * dx - s * dz) <= length / 2 && Math.abs(s * dx + c * dz) <= width / 2;
  };
  let [both, either] = [0, 0];
  for (let x = -4; x < 5; x += 0.01)
    for (let z = -4; z < 4; z += 0.01) {
      const [inA, inB] = [inside(a, x, z), inside(b, x, z)];
      if (inA && inB) both++;
      if (inA || inB) either++;
    }
  near(iou3d(a, b), both / either, 2e-3);
});

test('a hull has the outer points only', () => {
  const hull = convexHull([0, 0, 2, 0, 1, 0.5, 2, 2, 0, 2, 1, 1, 1, 0]);
  assert.equal(hull.length, 8);
  assert.equal(area(hull), 4);
});
