/**
 * Which tree to guess next: wide ones are right more often at their first levels, deep ones emit more when all goes well,
 * and every level costs a call of the draft. What pays depends on text, temperature, length and machine, so it is
 * learned while decoding, from what was accepted and how long it took. The text does not depend on it.
 */

import { mean } from '@working-papers/metrics/rows';
import { nodeCount, type TreeShape } from './tree.ts';

/**
 * Trees of 7 nodes, since 8 rows with the root cost little more to verify than one; and for texts that nobody guesses, a
 * small tree and none at all, which is vanilla decoding.
 */
export const defaultShapes: readonly TreeShape[] = [
  [],
  [3],
  [7],
  [4, 3],
  [3, 2, 2],
  [2, 2, 2, 1],
  [2, 1, 1, 1, 1, 1],
];

/** How a tree went. */
export interface Outcome {
  /** As it was proposed, which may be less deep than what was chosen. */
  readonly shape: TreeShape;
  /** Of each accepted node, how many of its level were thought likelier. */
  readonly ranks: readonly number[];
  readonly draftMs: number;
  readonly verifyMs: number;
}

/** Rounds after which half of what was seen is forgotten: texts change. */
const halfLife = 64;
/** Every so many rounds a neighbour of the tree that pays, by turns the flatter and the deeper one: things change. */
const exploreEvery = 8;
/**
 * What is taken for granted as if so many guesses had been seen: a first node is right this often, a level as often as the
 * one above, and one more node a level takes away from what is missing all but this share.
 */
const prior = { trials: 2, right: 0.5, missing: 0.85 };
/** Calls of which the fastest is the cost: the first ones take longer, and others may be disturbed. */
const remembered = 9;

interface Count {
  trials: number;
  hits: number;
}

export class TreeChoice {
  /** From flat to deep. */
  readonly #shapes: readonly TreeShape[];
  /** By depth and width: was one of that many likeliest nodes right, given that all above were? */
  readonly #counts = new Map<string, Count>();
  readonly #levelMs: number[] = [];
  /** By nodes. */
  readonly #verifyMs = new Map<number, number[]>();
  #rounds = 0;

  /** Throws a RangeError for an empty list. */
  constructor(shapes: readonly TreeShape[]) {
    if (shapes.length === 0) throw new RangeError('no tree to choose from');
    this.#shapes = shapes.toSorted((a, b) => a.length - b.length || nodeCount(a) - nodeCount(b));
  }

  next(): TreeShape {
    // once around first: every width and depth is seen once
    const first = this.#shapes[this.#rounds];
    if (first) return first;
    const level = Math.min(...this.#levelMs);
    const gain = (shape: TreeShape) => {
      // fewer rows never take longer than more
      const nodes = nodeCount(shape);
      const verify = Math.min(...[...this.#verifyMs].flatMap(([more, ms]) => (more >= nodes ? ms : [])));
      return this.expectedTokens(shape) / (verify + (shape.length > 0 ? shape.length * level : 0));
    };
    const best = this.#shapes.reduce((most, shape) => (gain(shape) > gain(most) ? shape : most));
    const turn = this.#rounds / exploreEvery;
    if (!Number.isInteger(turn)) return best;
    const [at, step] = [this.#shapes.indexOf(best), turn % 2 === 0 ? -1 : 1];
    return this.#shapes[at + step] ?? this.#shapes[at - step] ?? best;
  }

  saw({ shape, ranks, draftMs, verifyMs }: Outcome): void {
    this.#rounds++;
    const nodes = nodeCount(shape);
    const verified = this.#verifyMs.get(nodes) ?? [];
    push(verified, verifyMs);
    this.#verifyMs.set(nodes, verified);
    if (shape.length === 0) return;
    const keep = 0.5 ** (1 / halfLife);
    for (const count of this.#counts.values()) {
      count.trials *= keep;
      count.hits *= keep;
    }
    for (const [depth, width] of shape.entries()) {
      if (depth > ranks.length) break;
      const rank = ranks[depth] ?? Number.POSITIVE_INFINITY;
      for (let narrow = 1; narrow <= width; narrow++) {
        const count = this.#count(depth, narrow);
        count.trials++;
        if (rank < narrow) count.hits++;
      }
    }
    push(this.#levelMs, draftMs / shape.length);
  }

  /** Tokens that a call of the target is expected to emit with such a tree. */
  expectedTokens(shape: TreeShape): number {
    let [tokens, reached] = [1, 1];
    for (const [depth, width] of shape.entries()) {
      reached *= this.#rate(depth, width);
      tokens += reached;
    }
    return tokens;
  }

  #rate(depth: number, width: number): number {
    const { trials, hits } = this.#count(depth, width);
    const beside = [
      ...(depth > 0 ? [this.#rate(depth - 1, width)] : []),
      ...(width > 1 ? [1 - prior.missing * (1 - this.#rate(depth, width - 1))] : []),
    ];
    const before = beside.length > 0 ? mean(beside) : prior.right;
    return (hits + prior.trials * before) / (trials + prior.trials);
  }

  #count(depth: number, width: number): Count {
    const key = `${depth} ${width}`;
    const known = this.#counts.get(key);
    if (known) return known;
    const fresh = { trials: 0, hits: 0 };
    this.#counts.set(key, fresh);
    return fresh;
  }
}

function push(list: number[], value: number): void {
  list.push(value);
  if (list.length > remembered) list.shift();
}
