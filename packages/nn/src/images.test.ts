import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  beside,
  centerCrop,
  crop,
  flatten,
  flipHorizontal,
  fromNumbers,
  fromPlanes,
  imageFormat,
  type RgbImage,
  randomCrop,
  randomFlip,
  resize,
  resizeShorter,
  tile,
  toInput,
  toPlanes,
} from './images.ts';
import { Random } from './random.ts';

/** A picture of pseudo-random bytes that other languages can make too. */
function noise(width: number, height: number): RgbImage {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => Math.floor((i * 2654435761) / 65536) % 256,
  );
  return { width, height, data };
}

/** A picture whose red is x, green y and blue 7. */
function grid(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set([i % width, Math.floor(i / width), 7], 3 * i);
  return { width, height, data };
}

const pixel = ({ data, width }: RgbImage, x: number, y: number) => [
  ...data.subarray((y * width + x) * 3).subarray(0, 3),
];

test('resizing equals Pillow 12.3 (BILINEAR) bit for bit', () => {
  const pillow = [
    [5, 4, 3, 3, '1bc3bbbaf6904688'],
    [7, 5, 16, 11, 'be1b2ea7dd0c3de8'],
    [100, 75, 32, 32, 'c8ac3c170924685f'],
    [33, 64, 32, 20, 'bd5be6e6ab0d091a'],
    [640, 480, 224, 224, '44c814bcb4057483'],
    [3, 3, 3, 7, '90c48aec7d4f49a4'],
  ] as const;
  for (const [inWidth, inHeight, width, height, expected] of pillow) {
    const { data } = resize(noise(inWidth, inHeight), width, height);
    const digest = createHash('sha256').update(data).digest('hex').slice(0, 16);
    assert.equal(digest, expected, `${inWidth}x${inHeight} to ${width}x${height}`);
  }
});

test('resizing keeps a plain colour, the size itself, and the shorter side', () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }));
  fc.assert(
    fc.property(sizes, sizes, fc.nat(255), ([w, h], [width, height], value) => {
      const plain = { width: w, height: h, data: new Uint8Array(w * h * 3).fill(value) };
      const out = resize(plain, width, height);
      assert.deepEqual(out, { width, height, data: new Uint8Array(width * height * 3).fill(value) });
    }),
  );
  const image = noise(9, 5);
  assert.equal(resize(image, 9, 5), image);
  const { width, height } = resizeShorter(image, 8);
  assert.deepEqual([width, height], [14, 8]);
  assert.throws(() => resize(image, 0, 3), /cannot resize to 0x3/);
});

test('crops show the place they name, black outside', () => {
  const image = grid(4, 3);
  const out = crop(image, -1, 1, 3, 3);
  assert.deepEqual(
    [pixel(out, 0, 0), pixel(out, 1, 0), pixel(out, 2, 1), pixel(out, 1, 2)],
    [
      [0, 0, 0],
      [0, 1, 7],
      [1, 2, 7],
      [0, 0, 0],
    ],
  );
  assert.deepEqual(crop(image, 10, 10, 1, 1).data, new Uint8Array(3));
  assert.deepEqual(
    pixel(centerCrop(grid(7, 7), 4), 0, 0),
    [2, 2, 7],
    '1.5 rounds to even, as in torchvision',
  );
  assert.deepEqual(pixel(centerCrop(grid(5, 5), 4), 0, 0), [0, 0, 7], '0.5 rounds to even');
  assert.deepEqual(
    pixel(centerCrop(grid(3, 3), 6), 1, 1),
    [0, 0, 7],
    'torchvision pads 1 before and 2 after',
  );
});

test('random crops cover all places, flips half of the images, both by the seed', () => {
  const image = grid(32, 32);
  const random = new Random(5);
  const corners = new Set<string>();
  for (let i = 0; i < 3000; i++) {
    const out = randomCrop(image, random, { padding: 4 });
    assert.equal(out.data.length, image.data.length);
    const [x, y] = pixel(out, 16, 16) as [number, number];
    corners.add(`${x - 16},${y - 16}`);
  }
  assert.equal(corners.size, 81);
  assert.deepEqual(
    randomCrop(image, new Random(1), { width: 8, height: 8 }),
    randomCrop(image, new Random(1), { width: 8, height: 8 }),
  );
  assert.throws(() => randomCrop(image, random, { width: 33 }), /no 33x32 crop in 32x32 with padding 0/);
  const flips = Array.from({ length: 1000 }, () => randomFlip(image, random) !== image);
  assert.ok(Math.abs(flips.filter(Boolean).length - 500) < 60);
  assert.deepEqual(pixel(flipHorizontal(image), 0, 3), [31, 3, 7]);
  assert.deepEqual(flipHorizontal(flipHorizontal(image)), image);
});

test('planes, transparency and formats', () => {
  const image = noise(5, 3);
  assert.deepEqual(fromPlanes(toPlanes(image), 5, 3), image);
  assert.deepEqual([...toPlanes(grid(2, 1))], [0, 1, 0, 0, 7, 7]);
  assert.deepEqual(
    [...flatten(Uint8Array.of(10, 20, 30, 255, 0, 0, 0, 0, 0, 100, 255, 128), 3, 1).data],
    [10, 20, 30, 255, 255, 255, 127, 177, 255],
  );
  const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  assert.equal(imageFormat(bytes('\xff\xd8\xff\xe0'), 'a'), 'JPEG');
  assert.equal(imageFormat(bytes('RIFF\0\0\0\0WEBPVP8 '), 'a'), 'WebP');
  assert.throws(
    () => imageFormat(bytes('Dear reader, this'), 'a.jpg'),
    /^ImageError: a.jpg: begins with "Dear reader,"/,
  );
  assert.throws(() => imageFormat(bytes(''), 'a.jpg'), /a.jpg: the file is empty/);
});

test('a network sees (N, 3, H, W), normalised', () => {
  const input = toInput([grid(2, 1), flipHorizontal(grid(2, 1))], {
    mean: [0, 0.5, 0],
    std: [1 / 255, 0.5, 7 / 255],
  });
  assert.deepEqual(input.shape, [2, 3, 1, 2]);
  assert.deepEqual([...input.data], [0, 1, -1, -1, 1, 1, 1, 0, -1, -1, 1, 1]);
  const plain = { mean: [0, 0, 0], std: [1, 1, 1] } as const;
  assert.throws(() => toInput([grid(2, 1), grid(1, 2)], plain), /image 1 is 1x2, the first is 2x1/);
  assert.throws(() => toInput([], plain), /no images/);
});

test('numbers in [−1, 1] become the nearest bytes', () => {
  const image = fromNumbers([-1, 0.999, -3, 7, 0, 1 / 255], 2, 1);
  assert.deepEqual(image, { width: 2, height: 1, data: Uint8Array.from([0, 0, 128, 255, 255, 128]) });
});

test('pictures on a sheet: enlarged, white between them and where the last row ends', () => {
  const dot = (value: number) => ({ width: 1, height: 1, data: new Uint8Array(3).fill(value) });
  const sheet = tile([dot(1), dot(2), dot(3)], { columns: 2, scale: 2, gap: 1 });
  assert.deepEqual([sheet.width, sheet.height], [5, 5]);
  const red = Array.from({ length: 25 }, (_, i) => sheet.data[3 * i]);
  const rows = [0, 1, 2, 3, 4].map((y) => red.slice(5 * y, 5 * y + 5));
  const [upper, white, lower] = [
    [1, 1, 255, 2, 2],
    [255, 255, 255, 255, 255],
    [3, 3, 255, 255, 255],
  ];
  assert.deepEqual(rows, [upper, upper, white, lower, lower]);
  assert.equal(tile([dot(1)], { columns: 10 }).width, 1);
  assert.throws(() => tile([], { columns: 1 }), /no pictures/);
  assert.throws(() => tile([dot(1), grid(2, 1)], { columns: 1 }), /pictures of 1×1 and 2×1/);
});

test('pictures beside each other, tops in line', () => {
  const grey = (width: number, height: number, value: number) => ({
    width,
    height,
    data: new Uint8Array(3 * width * height).fill(value),
  });
  const { width, height, data } = beside([grey(1, 2, 1), grey(2, 1, 2)], 1);
  const values = Array.from({ length: width * height }, (_, i) => data[3 * i]);
  assert.deepEqual([width, height, values], [4, 2, [1, 255, 2, 2, 1, 255, 255, 255]]);
  assert.throws(() => beside([], 1), RangeError);
});
