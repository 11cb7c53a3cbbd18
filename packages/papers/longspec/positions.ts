/** Positions of training sequences (arXiv 2502.17421, section 3.2). */

import type { Random } from '@working-papers/nn/random';

export interface AnchorOffsetOptions {
  /** Positions that the model was made for. */
  readonly maxPositions: number;
  /**
   * Tokens that stay at the beginning: `random` draws 0 to 4, as the release does (0 shifts all, which to rotary
   * positions is no shift at all); the paper has 4 always. Default `random`.
   */
  readonly anchors?: 'random' | number;
  /** Farthest position; default 30,000. */
  readonly range?: number;
}

/** Positions 0, 1, 2, ... */
export function plainPositions(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

/**
 * The first tokens where they are, the others moved by a random offset: a short sequence with the distances of a long
 * one, as the anchors are what every token looks at.
 */
export function anchorOffsetPositions(
  length: number,
  random: Random,
  options: AnchorOffsetOptions,
): number[] {
  const { maxPositions, anchors = 'random', range = 30_000 } = options;
  const kept = anchors === 'random' ? random.integer(5) : anchors;
  const farthest = Math.max(Math.min(range, maxPositions - 1000) - length, 0);
  const offset = random.integer(farthest + 1);
  return Array.from({ length }, (_, i) => (i < kept ? i : i + offset));
}
