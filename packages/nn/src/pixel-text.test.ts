import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RgbImage } from './images.ts';
import { caption, textWidth } from './pixel-text.ts';

const picture = (image: RgbImage) =>
  Array.from({ length: image.height }, (_, y) =>
    Array.from({ length: image.width }, (_, x) =>
      image.data[3 * (y * image.width + x)] === 0 ? '#' : '.',
    ).join(''),
  );

test('text below a picture, whose pixels stay', () => {
  const image = { width: 2, height: 1, data: new Uint8Array(6).fill(7) };
  const drawn = caption(image, ['T1.', 'ü'], 1);
  assert.deepEqual([...drawn.data.slice(0, 9)], [7, 7, 7, 7, 7, 7, 255, 255, 255]);
  assert.deepEqual(
    picture(drawn).slice(4, 9),
    ['###..#..', '.#..##..', '.#...#..', '.#...#..', '.#..###.#'].map((row) => row.padEnd(9, '.')),
  );
  assert.deepEqual(
    picture(drawn).slice(12, 17),
    ['##.', '..#', '.#.', '...', '.#.'].map((row) => row.padEnd(9, '.')),
  );
  assert.equal(textWidth('T1.'), drawn.width);
});

test('every letter has five rows of one width', () => {
  const all = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:-=×/%?';
  const drawn = caption({ width: 1, height: 1, data: new Uint8Array(3) }, [all], 1);
  const rows = picture(drawn);
  assert.equal(drawn.width, textWidth(all));
  // nothing above or below the five rows
  for (const row of [...rows.slice(1, 4), ...rows.slice(9)]) assert.ok(!row.includes('#'));
  const unknown = picture(caption({ width: 1, height: 1, data: new Uint8Array(3) }, ['A?'], 1));
  assert.notDeepEqual(unknown, rows);
});
