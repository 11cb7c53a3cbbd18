/** Which of the results a report shows, and in which order. */

import { names } from './bench.ts';
import type { Measured, PictureResult } from './results.ts';

/** In the order of tables. */
export const trainedMethods = [
  names.gated,
  names.attention,
  names.offset,
  names.gatedForward,
  names.offsetForward,
  names.full,
];
export const guidedMethods = [names.cfg, names.half, ...trainedMethods];

export const trainingsNamed = ({ trainings }: Measured, name: string) =>
  trainings.filter((training) => training.name === name);

/** Pictures of a method at a scale, in the order of seeds. */
export const at = (pictures: readonly PictureResult[], method: string, scale: number) =>
  pictures
    .filter((each) => each.method === method && each.scale === scale)
    .toSorted((a, b) => a.seed - b.seed);

/** As `at`; at ω = 1 all methods are the model without guidance. */
export const atOrPlain = (pictures: readonly PictureResult[], method: string, scale: number) =>
  scale === 1 && pictures.some((each) => each.method === method)
    ? at(pictures, names.plain, 1)
    : at(pictures, method, scale);
