/**
 * The choice of a token from logits: greedy, or drawn with noise that depends on seed, position and token alone. The token
 * is the one with the largest logit / T + g, g = −ln(−ln u) for a uniform u of its own, which has the probabilities of the
 * softmax (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030, section 2). Two calls of a model agree in all but the last
 * digits, and so do these sums: which is largest hardly ever changes, where a point in the cumulated probabilities of a
 * large vocabulary often falls between two values of one of its many bounds.
 */

import { Random } from '@working-papers/nn/random';

export interface SamplingOptions {
  /** 0 is greedy; default 0. */
  readonly temperature?: number;
  /** Only the k likeliest tokens; default all. */
  readonly topK?: number;
  /** Only the likeliest tokens that together have this probability; default 1, all. */
  readonly topP?: number;
  /** Default 1. */
  readonly seed?: number;
}

export interface Sampler {
  readonly greedy: boolean;
  /** The token at a position of the text, from the logits of the token before. */
  choose(logits: ArrayLike<number>, position: number): number;
  /** What is compared: the token with the largest is chosen. */
  scores(logits: ArrayLike<number>, position: number): ArrayLike<number>;
}

/** Throws a RangeError that names the option. */
export function createSampler(options: SamplingOptions = {}): Sampler {
  const { temperature = 0, topK = Number.POSITIVE_INFINITY, topP = 1, seed = 1 } = options;
  if (!(temperature >= 0 && Number.isFinite(temperature)))
    throw new RangeError(`temperature is ${temperature}, expected 0 or more`);
  if (!(topK >= 1)) throw new RangeError(`topK is ${topK}, expected 1 or more`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP is ${topP}, expected more than 0 and at most 1`);
  if (temperature === 0) return { greedy: true, choose: argMax, scores: (logits) => logits };
  const random = new Random(seed).fork('tokens');
  const scores = (logits: ArrayLike<number>, position: number): Float64Array => {
    const weights = kept(weightsOf(logits, temperature), topK, topP);
    const noise = random.fork(position);
    return weights.map((weight) => {
      const uniform = noise.uniform(); // of every token, also of those that are left out
      return weight === 0 ? Number.NEGATIVE_INFINITY : Math.log(weight) - Math.log(-Math.log(uniform));
    });
  };
  return { greedy: false, choose: (logits, position) => argMax(scores(logits, position)), scores };
}

/** The first of the largest. */
function argMax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/** e^(logit / T), the largest being 1. */
function weightsOf(logits: ArrayLike<number>, temperature: number): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) largest = Math.max(largest, logits[id]!);
  return Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
}

/** Zeros for what top-k and top-p leave out; top-p looks at what top-k has left. */
function kept(weights: Float64Array, topK: number, topP: number): Float64Array {
  if (topK >= weights.length && topP === 1) return weights;
  const order = Uint32Array.from(weights, (_, id) => id).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const out = new Float64Array(weights.length);
  const candidates = order.subarray(0, Math.min(topK, order.length));
  let total = 0;
  for (const id of candidates) total += weights[id]!;
  let sum = 0;
  for (const id of candidates) {
    out[id] = weights[id]!;
    sum += weights[id]!;
    if (sum >= topP * total) break;
  }
  return out;
}
