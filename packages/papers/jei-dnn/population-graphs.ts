/**
 * The graphs of a population: all exits of a batch for every member, a step of the IMs and a step of the gates. Arrays
 * of all members lie side by side; a member's kind of weighting, target or loss is a constant mask over members.
 */

import type { Weight } from '@working-papers/nn/module';
import { sgd } from '@working-papers/nn/optimizers';
import {
  constant,
  gradients,
  type NdArray,
  ndarray,
  oneHot,
  Parameter,
  type Tensor,
  where,
  zerosArray,
} from '@working-papers/tensor';
import type { FeatureLayout } from './features.ts';
import { exitDistribution, gateFeatures, gateInputCount } from './model.ts';
import {
  advantages,
  bestExit,
  type ExitLoss,
  exitWeights,
  type GateTargets,
  gateTargets,
  ruleOf,
  type Weighting,
  withLast,
} from './objective.ts';

/** One set's part in the training. */
export interface Member {
  /** λ: what the whole network's cost weighs against a unit of `loss`. */
  readonly costWeight: number;
  /** How samples are weighted by the gates, or a fixed factor for each early exit's mean cross-entropy. */
  readonly weighting: Weighting | readonly number[];
  /** What gates are taught; default `advantage`. */
  readonly targets?: GateTargets;
  /** What an answer costs a sample beside λc, to the gates; default `error`. IMs always learn cross-entropy. */
  readonly loss?: ExitLoss;
  /** False: the IMs stay as they are, only gates learn. */
  readonly movesHeads?: boolean;
  /** An ablation: gates that see the largest probability only. */
  readonly gateInputs?: 'all' | 'max-p';
  /** False, an ablation: w⁺ = 1. Targets of kind `advantage` have no w⁺. */
  readonly balanced?: boolean;
  /**
   * `best` keeps the epoch with the lowest validation loss + λ·cost, `last` the last one. The release has code for the
   * former that never fires; w⁺ also trains away from that objective on purpose. Default `best` for `advantage`, else
   * `last`.
   */
  readonly select?: 'best' | 'last';
}

/** A member with its defaults, and the rule that its gates are made for. */
export function settled(member: Member) {
  const { targets = 'advantage', loss = 'error', movesHeads = true, balanced = true } = member;
  const { select = targets === 'advantage' ? 'best' : 'last' } = member;
  return { ...member, targets, loss, movesHeads, balanced, select, rule: ruleOf(targets) };
}

/** IMs and gates under the model's names: `intermediate_heads.0.weight` [K, E_0] ... `gates.0.linear.bias` [1]. */
export type ExitTensors = ReadonlyMap<string, NdArray>;

/** A batch as the graphs take it: `x` [L−1, B, D] padded with zeros to the widest exit. */
export interface FeatureBatch {
  readonly x: NdArray;
  readonly logits: NdArray;
  readonly labels: NdArray;
}

const momentum = 0.9;
const weightDecay = 5e-4;

export interface GraphSettings {
  readonly layout: FeatureLayout;
  /** c_l of the L exits, ascending to 1. */
  readonly costs: readonly number[];
  readonly members: readonly Member[];
  readonly batchSize: number;
}

type BatchTensors = { readonly [K in keyof FeatureBatch]: Tensor };

/** The graphs for one group of members, to be traced by `device.compile` and `device.compileStep`. */
export class PopulationGraphs {
  readonly #settings: GraphSettings;
  readonly #members: readonly ReturnType<typeof settled>[];
  readonly #state: State;

  constructor(settings: GraphSettings, state: State) {
    this.#settings = settings;
    this.#members = settings.members.map(settled);
    this.#state = state;
  }

  /** All exits of a batch for all members; small tensors are [B, M, exits]. */
  exits(batch: BatchTensors, size: number) {
    const { widths, classes } = this.#settings.layout;
    const [exits, members] = [widths.length, this.#members.length];
    const { weight, bias, gateWeight, gateBias } = this.#state;
    const logits = batch.x.matmul(weight).add(bias).reshape([exits, size, members, classes]);
    const logs = logits.logSoftmax();
    const label = oneHot(batch.labels, classes); // (B, K)
    const early = logs.mul(label.unsqueeze(1)).sum(-1).neg(); // (L−1, B, M)
    const last = batch.logits.logSoftmax().mul(label).sum(-1).neg(); // (B)
    const everyone = (x: Tensor) => x.unsqueeze(1).expand([size, members]); // (B) → (B, M)
    const ce = withLast(early.transpose([1, 2, 0]), everyone(last)); // (B, M, L)

    const p = logs.stopGradient().exp();
    const seen = this.#mask(({ gateInputs }) => (gateInputs === 'max-p' ? [1, 0, 0, 0] : [1, 1, 1, 1]));
    const inputs = gateFeatures(p.reshape([exits * size * members, classes]))
      .reshape([exits, size, members, gateInputCount])
      .mul(seen);
    const gateLogits = inputs.mul(gateWeight).sum(-1).add(gateBias).transpose([1, 2, 0]); // (B, M, L−1)
    const gates = gateLogits.sigmoid();

    const truth = batch.labels.cast('int64');
    const hits = logits
      .argMax(-1)
      .transpose([1, 2, 0])
      .equal(truth.reshape([size, 1, 1]));
    const lastHits = everyone(batch.logits.argMax(-1).equal(truth).cast('float32'));
    const correct = withLast(hits.cast('float32'), lastHits);
    return { ce, correct, gateLogits, gates };
  }

  /** A step of the IMs: each member's loss, and what its IMs become where `moving` [L−1, 1, M·K] is 1. */
  trainHeads(batch: BatchTensors, rate: Tensor, moving: Tensor) {
    const { batchSize, costs } = this.#settings;
    const { weight, bias, weightMomentum, biasMomentum } = this.#state;
    const { ce, gates } = this.exits(batch, batchSize);
    const p = this.#each(
      ({ rule }) => rule,
      (rule) =>
        exitDistribution(gates.reshape([batchSize * this.#members.length, costs.length - 1]), rule).reshape(
          ce.shape,
        ),
    );
    const kindOf = ({ weighting }: Member) => (typeof weighting === 'string' ? weighting : 'fixed');
    const weights = this.#each(kindOf, (kind) =>
      // the mean over L exits is taken below, and a fixed factor means a sum over exits
      kind === 'fixed'
        ? this.#mask(({ weighting }) =>
            costs.map((_, l) => (typeof weighting === 'string' ? 0 : (weighting[l] ?? 0) * costs.length)),
          ).expand(ce.shape)
        : exitWeights(p, ce, kind),
    );
    const losses = weights.mul(ce).mean([0, 2]); // (M)
    const [gw, gb] = gradients(losses.sum(), [weight, bias]) as [Tensor, Tensor];
    const updates = update(
      [
        { name: 'weight', value: weight, gradient: gw, buffer: weightMomentum },
        { name: 'bias', value: bias, gradient: gb, buffer: biasMomentum },
      ],
      rate,
      weightDecay,
    );
    const free = moving.greater(0);
    for (const [parameter, value] of updates) updates.set(parameter, where(free, value, parameter));
    return { outputs: losses, updates };
  }

  /** A step of the gates: each member's weighted BCE. `positive` [M, L−1] holds w⁺. */
  trainGates(batch: BatchTensors, rate: Tensor, positive: Tensor) {
    const { batchSize, costs } = this.#settings;
    const { gateWeight, gateBias, gateWeightMomentum, gateBiasMomentum } = this.#state;
    const { ce, correct, gateLogits, gates } = this.exits(batch, batchSize);
    const loss = this.#each(
      (member) => member.loss,
      (kind) => (kind === 'error' ? correct.neg().add(1) : ce.stopGradient()),
    );
    const price = loss.add(this.#mask(({ costWeight }) => costs.map((cost) => costWeight * cost))); // (B, M, L)
    /** Per gate and sample: what a shut gate and an open one cost, by how wrong they are. */
    const bce = this.#each(
      ({ targets }) => targets,
      (kind) => {
        const [shut, open] = [gateLogits.neg().softplus(), gateLogits.softplus()];
        if (kind === 'advantage') {
          const advantage = advantages(price, gates.stopGradient());
          return shut.mul(advantage.maximum(0)).add(open.mul(advantage.neg().maximum(0)));
        }
        const targets = gateTargets(bestExit(price), costs.length - 1, kind);
        return shut
          .mul(targets)
          .mul(positive)
          .add(open.mul(targets.neg().add(1)));
      },
    );
    const losses = bce.mean([0, 2]); // (M)
    const [gw, gb] = gradients(losses.sum(), [gateWeight, gateBias]) as [Tensor, Tensor];
    const updates = update(
      [
        { name: 'weight', value: gateWeight, gradient: gw, buffer: gateWeightMomentum },
        { name: 'bias', value: gateBias, gradient: gb, buffer: gateBiasMomentum },
      ],
      rate,
      // decay would pull every gate towards ½, which is a decision, not a small weight
      0,
    );
    return { outputs: losses, updates };
  }

  /** A constant [M, n] from one row a member. */
  #mask(row: (member: ReturnType<typeof settled>) => readonly number[]): Tensor {
    const rows = this.#members.map((member) => row(member));
    return constant(ndarray(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]));
  }

  /** Every kind's tensor [B, M, n] where a member is of that kind; no more kinds are traced than there are. */
  #each<K extends string>(
    kindOf: (member: ReturnType<typeof settled>) => K,
    trace: (kind: K) => Tensor,
  ): Tensor {
    const kinds = [...new Set(this.#members.map(kindOf))];
    return kinds.reduce<Tensor | undefined>((others, kind) => {
      const own = trace(kind);
      if (!others) return own;
      return where(this.#mask((member) => [kindOf(member) === kind ? 1 : 0]).greater(0), own, others);
    }, undefined)!;
  }
}

/** All members' numbers side by side, and their momentum. */
export interface State {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly gateWeight: Parameter;
  readonly gateBias: Parameter;
  readonly weightMomentum: Parameter;
  readonly biasMomentum: Parameter;
  readonly gateWeightMomentum: Parameter;
  readonly gateBiasMomentum: Parameter;
  readonly [name: string]: Parameter;
}

/** Padded to the widest exit: a zero feature gives its weight a zero gradient, so what is padded stays zero. */
export function makeState({ widths, classes }: FeatureLayout, members: number): State {
  const exits = widths.length;
  const weight = [exits, Math.max(...widths), members * classes];
  const bias = [exits, 1, members * classes];
  const gateWeight = [exits, 1, members, gateInputCount];
  const gateBias = [exits, 1, members];
  return {
    weight: new Parameter(weight),
    bias: new Parameter(bias),
    gateWeight: new Parameter(gateWeight),
    gateBias: new Parameter(gateBias),
    weightMomentum: new Parameter(weight),
    biasMomentum: new Parameter(bias),
    gateWeightMomentum: new Parameter(gateWeight),
    gateBiasMomentum: new Parameter(gateBias),
  };
}

function update(
  moved: readonly { name: string; value: Parameter; gradient: Tensor; buffer: Parameter }[],
  rate: Tensor,
  decay: number,
): Map<Parameter, Tensor> {
  return sgd({ momentum, weightDecay: decay }).update(
    moved.map(({ name, value, gradient }) => ({ name, weight: value as Weight, gradient })),
    new Map(moved.map(({ name, buffer }) => [`${name}.momentum_buffer`, buffer as Weight])),
    rate,
  );
}

export function batchSpec({ widths, classes }: FeatureLayout, size: number) {
  return {
    x: { shape: [widths.length, size, Math.max(...widths)] },
    logits: { shape: [size, classes] },
    labels: { shape: [size], dtype: 'int32' as const },
  };
}

/** Zeros in the shapes of one set of IMs and gates. */
export function emptyExits({ widths, classes }: FeatureLayout): Map<string, NdArray> {
  return new Map(
    widths.flatMap((width, l) => [
      [`intermediate_heads.${l}.weight`, zerosArray([classes, width])] as const,
      [`intermediate_heads.${l}.bias`, zerosArray([classes])] as const,
      [`gates.${l}.linear.weight`, zerosArray([1, gateInputCount])] as const,
      [`gates.${l}.linear.bias`, zerosArray([1])] as const,
    ]),
  );
}
