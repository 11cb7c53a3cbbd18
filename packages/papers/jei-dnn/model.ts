/**
 * What JEI-DNN adds to a backbone: a small classifier (intermediate module, IM) and a learned gate after every block
 * but the last, and the distribution over exits that the gates define. Training uses the whole of it in one graph;
 * `classify.ts` runs the same modules block by block and stops.
 *
 * Regol, Chataoui, Coates: Jointly-Learned Exit and Inference for a Dynamic Neural Network (arXiv 2310.09163), section 4.
 */

import { type Layer, Linear } from '@working-papers/nn/layers';
import { loadStateDict, Module, type Weights } from '@working-papers/nn/module';
import { concat, type NdArray, type Tensor, TensorError, topK } from '@working-papers/tensor';

/** A network that can be left between its blocks: a stem, blocks, and what a classifier reads after each of them. */
export interface EarlyExitBackbone extends Module {
  /** K. */
  readonly classes: number;
  /** The input as the first block takes it. */
  embed(x: Tensor): Tensor;
  readonly blocks: readonly Layer[];
  /** What a classifier reads of a block's output: [N, E], with E the block's entry of `featureWidths`. */
  features(h: Tensor): Tensor;
  readonly featureWidths: readonly number[];
  /** The backbone's own classifier, on the last block's features: [N, K]. */
  readonly head: Layer;
}

/** How many numbers a gate sees. */
export const gateInputCount = 4;

/** Below it p·ln p is 0 in float32, and its logarithm is still finite: so 0·ln 0 = 0. */
const smallest = 1e-37;

/** −Σ p ln p of each row: [N, K] → [N, 1]. */
function entropy(p: Tensor): Tensor {
  return p.mul(p.maximum(smallest).log()).sum(-1, { keepDims: true }).neg();
}

/**
 * The four numbers that a gate sees of class probabilities p [N, K]: largest p, entropy, margin between the two
 * largest, entropy of p²/Σp² (which is the softmax at temperature ½). [N, 4]
 */
export function gateFeatures(p: Tensor): Tensor {
  if (p.rank !== 2 || p.size(1) < 2)
    throw new TensorError(`gateFeatures ${p}: a margin needs [N, 2 or more]`);
  const { values } = topK(p, 2); // (N, 2)
  const [top1, top2] = [values.slice(1, 0, 1), values.slice(1, 1, 2)];
  const squared = p.mul(p);
  const sharpened = squared.div(squared.sum(-1, { keepDims: true }));
  return concat([top1, entropy(p), top1.sub(top2), entropy(sharpened)], 1); // (N, 4)
}

/**
 * P(E = l | x) for every exit from the gates' g [N, L−1], and what is left for the last exit. [N, L], each row sums
 * to 1. `joint`, the paper's: g_l is the share of all samples that leave at l, P_l = max(0, min(g_l, 1 − Σ_{j<l} g_j)).
 * `independent`: g_l is the share of those that are still there, P_l = g_l Π_{j<l} (1 − g_j).
 */
export function exitDistribution(g: Tensor, rule: ExitRule = 'joint'): Tensor {
  if (rule === 'independent') {
    const shares: Tensor[] = [];
    let left: Tensor | undefined;
    for (let l = 0; l < g.size(1); l++) {
      const here = g.slice(1, l, l + 1);
      shares.push(left ? left.mul(here) : here);
      const stay = here.neg().add(1);
      left = left ? left.mul(stay) : stay;
    }
    return concat([...shares, left!], 1);
  }
  const left = g.cumSum(1, { exclusive: true }).neg().add(1);
  const early = g.minimum(left).maximum(0);
  const last = early.sum(1, { keepDims: true }).neg().add(1).maximum(0);
  return concat([early, last], 1);
}

/** What g_l means and so when to leave at exit l: see `exitDistribution` and `takesExit`. */
export type ExitRule = 'joint' | 'independent';

/**
 * Is this exit taken, given its gate's g and R = 1 − Σ_{j<l} g_j? `joint`: g ≥ τR, which at τ = ½ says that leaving
 * here is at least as likely as going on (P_l / Π_{j<l}(1 − P_j|not before) ≥ ½). `independent`: g ≥ τ, whatever the
 * earlier gates said. A threshold τ other than ½ is our extension: it moves along the cost axis without retraining.
 */
export function takesExit(g: number, remaining: number, rule: ExitRule = 'joint', threshold = 0.5): boolean {
  const { slope, offset } = exitBound(rule, threshold);
  return g >= slope * remaining + offset;
}

/** Both rules in one form: an exit is taken when g ≥ slope·R + offset. */
export function exitBound(
  rule: ExitRule = 'joint',
  threshold = 0.5,
): { readonly slope: number; readonly offset: number } {
  return rule === 'joint' ? { slope: threshold, offset: 0 } : { slope: 0, offset: threshold };
}

/**
 * `takesExit` inside a graph: g and R [n] float32 (R is 1 where it is left out), the bound's scalars float64, since
 * JavaScript compares in float64 too: both decide alike to the last bit. bool [n]
 */
export function takesExitTensor(
  g: Tensor,
  remaining: Tensor | undefined,
  bound: { readonly slope: Tensor; readonly offset: Tensor },
): Tensor {
  const scaled = remaining ? remaining.cast('float64').mul(bound.slope) : bound.slope;
  return g.cast('float64').greaterEqual(scaled.add(bound.offset));
}

/** The exit that one sample takes, from all its gates: 0..L−1, the last where no gate opens. */
export function exitOf(g: ArrayLike<number>, rule: ExitRule = 'joint', threshold = 0.5): number {
  let remaining = 1;
  for (let l = 0; l < g.length; l++) {
    if (takesExit(g[l]!, remaining, rule, threshold)) return l;
    remaining -= g[l]!;
  }
  return g.length;
}

/** p of an IM, [N, K] → the logit of its gate, [N, 1]. The gate does not reach into the IM: p counts as a constant. */
export class Gate extends Module implements Layer {
  readonly linear = new Linear(gateInputCount, 1);

  forward(p: Tensor): Tensor {
    return this.linear.forward(gateFeatures(p.stopGradient()));
  }
}

export interface JeiDnnOptions {
  /** After which blocks (from 0) an exit stands, ascending; default after every block but the last. */
  readonly exits?: readonly number[];
}

/** All exits of one batch. */
export interface Exits {
  /** L tensors [N, K]: the IMs', then the backbone's own. */
  readonly logits: readonly Tensor[];
  /** Logits of the gates: [N, L−1]. */
  readonly gates: Tensor;
}

/** A backbone with IMs and gates. L exits: one for each entry of `exits`, and the backbone's own at the end. */
export class JeiDnn<B extends EarlyExitBackbone = EarlyExitBackbone> extends Module {
  readonly backbone: B;
  readonly intermediateHeads: readonly Linear[];
  readonly gates: readonly Gate[];
  /** Block of each early exit. The release calls it `intermediate_head_positions`. */
  readonly #exits: readonly number[];

  constructor(backbone: B, options: JeiDnnOptions = {}) {
    super();
    const last = backbone.blocks.length - 1;
    const exits = options.exits ?? backbone.blocks.slice(0, last).map((_, i) => i);
    if (backbone.classes < 2)
      throw new RangeError(`${backbone.classes} class: the gates' margin needs 2 or more`);
    exits.forEach((block, l) => {
      if (!Number.isInteger(block) || block < 0 || block >= last) {
        const range = last > 0 ? `early exits stand after blocks 0 to ${last - 1}` : 'no early exit fits';
        throw new RangeError(`exit ${block}: the backbone has ${last + 1} blocks, ${range}`);
      }
      if (l > 0 && block <= exits[l - 1]!)
        throw new RangeError(`exits [${exits}] are not in ascending order`);
    });
    this.backbone = backbone;
    this.#exits = exits;
    this.intermediateHeads = exits.map(
      (block) => new Linear(backbone.featureWidths[block]!, backbone.classes),
    );
    this.gates = exits.map(() => new Gate());
  }

  /** After which block each early exit stands. */
  get exits(): readonly number[] {
    return this.#exits;
  }

  /** L: early exits and the last one. */
  get exitCount(): number {
    return this.#exits.length + 1;
  }

  /** The first and the last block (inclusive) of the stretch that ends at each of the L exits. */
  get segments(): readonly (readonly [first: number, last: number])[] {
    const ends = [...this.#exits, this.backbone.blocks.length - 1];
    return ends.map((end, l) => [l === 0 ? 0 : ends[l - 1]! + 1, end]);
  }

  /** What each exit's classifier reads, L tensors [N, E_l]: all that training needs of a frozen backbone. */
  features(x: Tensor): readonly Tensor[] {
    const { backbone } = this;
    let h = backbone.embed(x);
    return this.segments.map(([first, last]) => {
      h = backbone.blocks.slice(first, last + 1).reduce((y, block) => block.forward(y), h);
      return backbone.features(h);
    });
  }

  /** Logits of the L exits from their features. */
  logits(features: readonly Tensor[]): readonly Tensor[] {
    const heads = [...this.intermediateHeads, this.backbone.head];
    if (features.length !== heads.length)
      throw new TensorError(`${heads.length} exits need as many features, got ${features.length}`);
    return heads.map((head, l) => head.forward(features[l]!));
  }

  /** Logits of the gates, [N, L−1], from the exits' logits (those of the last exit are not used). */
  gateLogits(logits: readonly Tensor[]): Tensor {
    return concat(
      this.gates.map((gate, l) => gate.forward(logits[l]!.softmax())),
      1,
    );
  }

  /** Every exit in one graph: training's view. x → logits and gates. */
  forward(x: Tensor): Exits {
    const logits = this.logits(this.features(x));
    return { logits, gates: this.gateLogits(logits) };
  }
}

/**
 * Weights from a checkpoint of the authors' release: `module.` is dropped, IMs and gates have our names, the rest is
 * the backbone's. Throws a NameMismatchError that lists missing, unexpected and mis-shaped names.
 */
export function loadRelease(model: JeiDnn, dict: ReadonlyMap<string, NdArray>, file?: string): Weights {
  return loadStateDict(model, dict, {
    rename(found) {
      const name = found.replace(/^module\./, '');
      return /^(intermediate_heads|gates)\./.test(name) ? name : `backbone.${name}`;
    },
    ...(file === undefined ? {} : { file }),
  });
}
