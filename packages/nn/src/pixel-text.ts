/** Captions in pictures: capitals of five rows of pixels, drawn by hand, that need no font of the system. */

import type { RgbImage } from './images.ts';

/** Rows from the top, separated by strokes. */
const glyphs: Readonly<Record<string, string>> = {
  A: '.#./#.#/###/#.#/#.#',
  B: '##./#.#/##./#.#/##.',
  C: '.##/#../#../#../.##',
  D: '##./#.#/#.#/#.#/##.',
  E: '###/#../##./#../###',
  F: '###/#../##./#../#..',
  G: '.###/#.../#.##/#..#/.###',
  H: '#.#/#.#/###/#.#/#.#',
  I: '#/#/#/#/#',
  J: '..#/..#/..#/#.#/.#.',
  K: '#..#/#.#./##../#.#./#..#',
  L: '#../#../#../#../###',
  M: '#...#/##.##/#.#.#/#...#/#...#',
  N: '#..#/##.#/#.##/#..#/#..#',
  O: '.##./#..#/#..#/#..#/.##.',
  P: '##./#.#/##./#../#..',
  Q: '.##./#..#/#..#/#.#./.#.#',
  R: '##./#.#/##./#.#/#.#',
  S: '.##/#../.#./..#/##.',
  T: '###/.#./.#./.#./.#.',
  U: '#.#/#.#/#.#/#.#/###',
  V: '#.#/#.#/#.#/#.#/.#.',
  W: '#...#/#...#/#.#.#/##.##/#...#',
  X: '#.#/#.#/.#./#.#/#.#',
  Y: '#.#/#.#/.#./.#./.#.',
  Z: '###/..#/.#./#../###',
  0: '.#./#.#/#.#/#.#/.#.',
  1: '.#./##./.#./.#./###',
  2: '##./..#/.#./#../###',
  3: '##./..#/.#./..#/##.',
  4: '#.#/#.#/###/..#/..#',
  5: '###/#../##./..#/##.',
  6: '.##/#../##./#.#/.#.',
  7: '###/..#/..#/.#./.#.',
  8: '.#./#.#/.#./#.#/.#.',
  9: '.#./#.#/.##/..#/##.',
  ' ': '../../../../..',
  '.': '././././#',
  ',': '../../../.#/#.',
  ':': './#/./#/.',
  '-': '.../.../###/.../...',
  '=': '.../###/.../###/...',
  '×': '.../#.#/.#./#.#/...',
  '/': '..#/..#/.#./#../#..',
  '%': '#.#/..#/.#./#../#.#',
  '?': '##./..#/.#./.../.#.',
};

const rowsOf = (letter: string): string[] => (glyphs[letter] ?? glyphs['?']!).split('/');

/** Width of a line in pixels, at scale 1. */
export function textWidth(text: string): number {
  const widths = Array.from(text.toUpperCase(), (letter) => rowsOf(letter)[0]!.length + 1);
  return Math.max(0, widths.reduce((a, b) => a + b, 0) - 1);
}

/** A picture with lines of text below it, black on white, from its left edge. Letters without a glyph are ?. */
export function caption(image: RgbImage, lines: readonly string[], scale = 2): RgbImage {
  const lineHeight = 8 * scale;
  const margin = 3 * scale;
  const width = Math.max(image.width, ...lines.map((line) => textWidth(line) * scale));
  const height = image.height + margin + lines.length * lineHeight;
  const data = new Uint8Array(3 * width * height).fill(255);
  for (let y = 0; y < image.height; y++)
    data.set(image.data.subarray(3 * y * image.width, 3 * (y + 1) * image.width), 3 * y * width);
  for (const [n, line] of lines.entries()) {
    let left = 0;
    for (const letter of line.toUpperCase()) {
      const rows = rowsOf(letter);
      for (let y = 0; y < rows.length * scale; y++) {
        for (let x = 0; x < rows[0]!.length * scale; x++) {
          if (rows[Math.floor(y / scale)]![Math.floor(x / scale)] !== '#') continue;
          const at = (image.height + margin + n * lineHeight + y) * width + left + x;
          data.fill(0, 3 * at, 3 * at + 3);
        }
      }
      left += (rows[0]!.length + 1) * scale;
    }
  }
  return { width, height, data };
}
