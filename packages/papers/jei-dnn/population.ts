/**
 * Many sets of IMs and gates trained side by side in one graph: one for each cost weight λ, weighting or ablation.
 * They see the same batches and start from the same weights, and none touches another's numbers: a set trained in a
 * crowd is the set trained alone (a test compares), at a small part of the time, since a step's cost is mostly calls.
 */

import type { Weight } from '@working-papers/nn/module';
import { sgd } from '@working-papers/nn/optimizers';
import {
  type Compiled,
  constant,
  type Device,
  gradients,
  type NdArray,
  ndarray,
  oneHot,
  Parameter,
  type Store,
  type Tensor,
  where,
  zerosArray,
} from '@working-papers/tensor';
import type { FeatureLayout } from './features.ts';
import { exitDistribution, gateFeatures } from './model.ts';
import {
  bestExit,
  exitWeights,
  float32,
  gateTargets,
  type Weighting,
  weightings,
  withLast,
} from './objective.ts';

/** One set's part in the training. */
export interface Member {
  /** λ. */
  readonly costWeight: number;
  /** How samples are weighted by the gates, or a fixed factor for each early exit's mean cross-entropy. */
  readonly weighting: Weighting | readonly number[];
  /** False: the IMs stay as they are, only gates learn. */
  readonly movesHeads?: boolean;
  /** An ablation: gates that see the largest probability only. */
  readonly gateInputs?: 'all' | 'max-p';
  /** False, an ablation: w⁺ = 1. */
  readonly balanced?: boolean;
}

/** IMs and gates under the model's names: `intermediate_heads.0.weight` [K, E_0] ... `gates.0.linear.bias` [1]. */
export type ExitTensors = ReadonlyMap<string, NdArray>;

export interface PopulationOptions {
  readonly device: Device;
  readonly layout: FeatureLayout;
  /** c_l of the L exits, ascending to 1. */
  readonly costs: readonly number[];
  readonly members: readonly Member[];
  readonly batchSize: number;
}

/** A batch as the graphs take it: `x` [L−1, B, D] padded with zeros to the widest exit. */
export interface FeatureBatch {
  readonly x: NdArray;
  readonly logits: NdArray;
  readonly labels: NdArray;
}

/** What each exit says of each sample for each member: sample-major, then member, then exit. */
export interface Measured {
  /** g [B, M, L−1]. */
  readonly gates: Float32Array;
  /** [B, M, L]. */
  readonly crossEntropy: Float32Array;
  /** [B, M, L]: 1 where the exit's answer is right. */
  readonly correct: Float32Array;
}

type Arrays = { readonly [name: string]: Tensor };
type Measure = (batch: FeatureBatch) => Promise<{ readonly [K in keyof Measured]: NdArray }>;
type Run = Compiled<readonly [Arrays, ...Tensor[]], Tensor>;

const momentum = 0.9;
const weightDecay = 5e-4;
const gateInputCount = 4;

export class Population {
  readonly members: readonly Member[];
  readonly #options: PopulationOptions;
  readonly #state: State;
  readonly #store: Store;
  #heads: Run | undefined;
  #gates: Run | undefined;
  readonly #measure = new Map<number, Measure & { dispose(): Promise<void> }>();

  private constructor(options: PopulationOptions, state: State, store: Store) {
    this.members = options.members;
    this.#options = options;
    this.#state = state;
    this.#store = store;
  }

  /** Every member begins with its entry of `initial`, or all with the same one. */
  static async create(
    options: PopulationOptions,
    initial: ExitTensors | readonly ExitTensors[],
  ): Promise<Population> {
    const { members, costs, layout } = options;
    if (members.length === 0) throw new RangeError('no members to train');
    if (costs.length !== layout.widths.length + 1)
      throw new RangeError(`${costs.length} costs for ${layout.widths.length + 1} exits`);
    for (const { costWeight } of members)
      if (!(costWeight >= 0)) throw new RangeError(`cost weight ${costWeight} is not 0 or more`);
    const state = makeState(layout, members.length);
    const values = new Map<Parameter, NdArray>();
    for (const parameter of Object.values(state))
      values.set(parameter, zerosArray(parameter.shape as number[]));
    const population = new Population(options, state, await options.device.store(values));
    await population.write(Array.isArray(initial) ? initial : members.map(() => initial as ExitTensors));
    return population;
  }

  /** Sets all members' weights, and their momentum to zero. */
  async write(sets: readonly ExitTensors[]): Promise<void> {
    const values = new Map<Parameter, NdArray>();
    for (const parameter of Object.values(this.#state))
      values.set(parameter, zerosArray(parameter.shape as number[]));
    sets.forEach((set, m) => {
      this.#visit(values, m, (name, array, at, index) => {
        const source = set.get(name);
        if (!source) throw new Error(`no weights '${name}' to start from`);
        array[at] = float32(source)[index]!;
      });
    });
    await this.#store.write(values);
  }

  /** Copies of every member's weights as they are now. */
  async read(): Promise<Map<string, NdArray>[]> {
    const { weight, bias, gateWeight, gateBias } = this.#state;
    const values = await this.#store.read([weight, bias, gateWeight, gateBias]);
    return this.members.map((_, m) => {
      const set = emptyExits(this.#options.layout);
      this.#visit(values, m, (name, array, at, index) => {
        float32(set.get(name)!)[index] = array[at]!;
      });
      return set;
    });
  }

  /** All numbers that training moves, momentum included, for a checkpoint that goes on exactly. */
  async state(): Promise<Map<string, NdArray>> {
    const values = await this.#store.read();
    return new Map(Object.entries(this.#state).map(([name, parameter]) => [name, values.get(parameter)!]));
  }

  async load(state: ReadonlyMap<string, NdArray>): Promise<void> {
    const values = new Map<Parameter, NdArray>();
    for (const [name, parameter] of Object.entries(this.#state)) {
      const value = state.get(name);
      if (!value) throw new Error(`the checkpoint has no '${name}'`);
      values.set(parameter, value);
    }
    await this.#store.write(values);
  }

  /** Calls back for every weight of member `m`: where it lies in the joint arrays, and where in its own tensor. */
  #visit(
    values: ReadonlyMap<Parameter, NdArray>,
    m: number,
    each: (name: string, array: Float32Array, at: number, index: number) => void,
  ): void {
    const { widths, classes } = this.#options.layout;
    const members = this.members.length;
    const widest = Math.max(...widths);
    const { weight, bias, gateWeight, gateBias } = this.#state;
    const [w, b, gw, gb] = [weight, bias, gateWeight, gateBias].map((p) => float32(values.get(p)!)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    widths.forEach((width, l) => {
      for (let k = 0; k < classes; k++) {
        const column = m * classes + k;
        for (let d = 0; d < width; d++)
          each(
            `intermediate_heads.${l}.weight`,
            w,
            (l * widest + d) * members * classes + column,
            k * width + d,
          );
        each(`intermediate_heads.${l}.bias`, b, l * members * classes + column, k);
      }
      for (let f = 0; f < gateInputCount; f++)
        each(`gates.${l}.linear.weight`, gw, (l * members + m) * gateInputCount + f, f);
      each(`gates.${l}.linear.bias`, gb, l * members + m, 0);
    });
  }

  /**
   * One batch of the IM phase; gates are left as they are, bit for bit. `moving` [L−1, M] holds 1 where an IM may move
   * (default: wherever its member moves heads). Resolves to each member's loss.
   */
  async trainHeads(batch: FeatureBatch, rate: number, moving?: Uint8Array): Promise<Float32Array> {
    const { widths, classes } = this.#options.layout;
    const mask = zerosArray([widths.length, 1, this.members.length * classes]);
    const data = float32(mask);
    for (let i = 0; i < data.length; i++) {
      const cell = Math.floor(i / classes);
      const member = this.members[cell % this.members.length]!;
      data[i] = (moving?.[cell] ?? 1) && (member.movesHeads ?? true) ? 1 : 0;
    }
    this.#heads ??= await this.#compileHeads();
    return this.#checked(await this.#heads(batch as never, ndarray([rate]), mask), 'IMs');
  }

  /** One batch of the gate phase; IMs are left as they are. `positive` [M, L−1] holds w⁺. */
  async trainGates(batch: FeatureBatch, rate: number, positive: NdArray): Promise<Float32Array> {
    this.#gates ??= await this.#compileGates();
    return this.#checked(await this.#gates(batch as never, ndarray([rate]), positive), 'gates');
  }

  #checked(losses: NdArray, what: string): Float32Array {
    const values = float32(losses);
    const bad = values.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0)
      throw new Error(
        `training the ${what} diverged: loss ${values[bad]} at cost weight ${this.members[bad]!.costWeight}`,
      );
    return values;
  }

  /** What all exits say of a batch of any size. */
  async measure(batch: FeatureBatch): Promise<Measured> {
    const size = batch.labels.shape[0]!;
    let run = this.#measure.get(size);
    if (!run) {
      run = (await this.#options.device.compile((inputs) => this.#exits(inputs as never, size).measured, {
        inputs: [batchSpec(this.#options.layout, size)] as const,
        store: this.#store,
        name: 'measure',
      })) as unknown as Measure & { dispose(): Promise<void> };
      this.#measure.set(size, run);
    }
    const { gates, crossEntropy, correct } = await run(batch);
    return { gates: float32(gates), crossEntropy: float32(crossEntropy), correct: float32(correct) };
  }

  /** All exits of a batch for all members; small tensors are [B, M, exits]. */
  #exits(batch: { x: Tensor; logits: Tensor; labels: Tensor }, size: number) {
    const { widths, classes } = this.#options.layout;
    const [exits, members] = [widths.length, this.members.length];
    const { weight, bias, gateWeight, gateBias } = this.#state;
    const logits = batch.x.matmul(weight).add(bias).reshape([exits, size, members, classes]);
    const logs = logits.logSoftmax();
    const label = oneHot(batch.labels, classes); // (B, K)
    const early = logs.mul(label.unsqueeze(1)).sum(-1).neg(); // (L−1, B, M)
    const last = batch.logits.logSoftmax().mul(label).sum(-1).neg(); // (B)
    const everyone = (x: Tensor) => x.unsqueeze(1).expand([size, members]); // (B) → (B, M)
    const ce = withLast(early.transpose([1, 2, 0]), everyone(last)); // (B, M, L)

    const p = logs.stopGradient().exp();
    const inputs = gateFeatures(p.reshape([exits * size * members, classes]))
      .reshape([exits, size, members, gateInputCount])
      .mul(this.#gateInputMask());
    const gateLogits = inputs.mul(gateWeight).sum(-1).add(gateBias).transpose([1, 2, 0]); // (B, M, L−1)
    const gates = gateLogits.sigmoid();

    const hits = logits
      .argMax(-1)
      .transpose([1, 2, 0])
      .equal(batch.labels.cast('int64').reshape([size, 1, 1]));
    const lastHits = everyone(batch.logits.argMax(-1).equal(batch.labels.cast('int64')).cast('float32'));
    const measured = { gates, crossEntropy: ce, correct: withLast(hits.cast('float32'), lastHits) };
    return { ce, gateLogits, gates, measured };
  }

  #gateInputMask(): Tensor {
    const rows = this.members.map(({ gateInputs }) => (gateInputs === 'max-p' ? [1, 0, 0, 0] : [1, 1, 1, 1]));
    return constant(ndarray(Float32Array.from(rows.flat()), [1, 1, rows.length, gateInputCount]));
  }

  /** A constant [M, n] from one row a member. */
  #perMember(row: (member: Member) => readonly number[]): Tensor {
    const rows = this.members.map((member) => row(member));
    return constant(ndarray(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]));
  }

  #compileHeads(): Promise<Run> {
    const { device, layout, batchSize: size, costs } = this.#options;
    const members = this.members.length;
    const { weight, bias, weightMomentum, biasMomentum } = this.#state;
    const uses = (weighting: Member['weighting'] | 'fixed') =>
      this.#perMember((m) => [
        (typeof m.weighting === 'string' ? m.weighting : 'fixed') === weighting ? 1 : 0,
      ]);
    return device.compileStep(
      (inputs, rate, moving) => {
        const { ce, gates } = this.#exits(inputs as never, size);
        const p = exitDistribution(gates.reshape([size * members, costs.length - 1])).reshape(ce.shape);
        // Every member's samples get its own kind of weight: the other kinds' terms are zero for it.
        const kinds = weightings.filter((kind) => this.members.some(({ weighting }) => weighting === kind));
        const terms = kinds.map((kind) => exitWeights(p, ce, kind).mul(uses(kind)));
        const anyFixed = this.members.some(({ weighting }) => typeof weighting !== 'string');
        // the mean over L exits is taken below, and a fixed factor means a sum over exits
        const fixed = this.#perMember(({ weighting }) =>
          typeof weighting === 'string'
            ? costs.map(() => 0)
            : costs.map((_, l) => (weighting[l] ?? 0) * costs.length),
        );
        const weights = terms.reduce<Tensor | undefined>((a, b) => (a ? a.add(b) : b), undefined);
        const all = anyFixed ? (weights ? weights.add(fixed) : fixed) : weights!;
        const losses = all.mul(ce).mean([0, 2]); // (M)
        const [gw, gb] = gradients(losses.sum(), [weight, bias]) as [Tensor, Tensor];
        const updates = update(
          [
            { name: 'weight', value: weight, gradient: gw, buffer: weightMomentum },
            { name: 'bias', value: bias, gradient: gb, buffer: biasMomentum },
          ],
          rate,
        );
        const free = moving.greater(0);
        for (const [parameter, value] of updates) updates.set(parameter, where(free, value, parameter));
        return { outputs: losses, updates };
      },
      {
        inputs: [batchSpec(layout, size), { shape: [1] }, { shape: bias.shape as number[] }] as const,
        store: this.#store,
        name: 'heads',
      },
    ) as unknown as Promise<Run>;
  }

  #compileGates(): Promise<Run> {
    const { device, layout, batchSize: size, costs } = this.#options;
    const gateCount = costs.length - 1;
    const { gateWeight, gateBias, gateWeightMomentum, gateBiasMomentum } = this.#state;
    return device.compileStep(
      (inputs, rate, positive) => {
        const { ce, gateLogits } = this.#exits(inputs as never, size);
        const price = this.#perMember(({ costWeight }) => costs.map((cost) => costWeight * cost)); // λc (M, L)
        const targets = gateTargets(bestExit(ce.stopGradient(), price), gateCount);
        const yes = targets.mul(gateLogits.neg().softplus()).mul(positive);
        const no = targets.neg().add(1).mul(gateLogits.softplus());
        const losses = yes.add(no).mean([0, 2]); // (M)
        const [gw, gb] = gradients(losses.sum(), [gateWeight, gateBias]) as [Tensor, Tensor];
        const updates = update(
          [
            { name: 'weight', value: gateWeight, gradient: gw, buffer: gateWeightMomentum },
            { name: 'bias', value: gateBias, gradient: gb, buffer: gateBiasMomentum },
          ],
          rate,
        );
        return { outputs: losses, updates };
      },
      {
        inputs: [
          batchSpec(layout, size),
          { shape: [1] },
          { shape: [this.members.length, gateCount] },
        ] as const,
        store: this.#store,
        name: 'gates',
      },
    ) as unknown as Promise<Run>;
  }

  async dispose(): Promise<void> {
    for (const run of [this.#heads, this.#gates, ...this.#measure.values()]) await run?.dispose();
    await this.#store.dispose();
  }
}

interface State {
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
function makeState({ widths, classes }: FeatureLayout, members: number): State {
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
): Map<Parameter, Tensor> {
  return sgd({ momentum, weightDecay }).update(
    moved.map(({ name, value, gradient }) => ({ name, weight: value as Weight, gradient })),
    new Map(moved.map(({ name, buffer }) => [`${name}.momentum_buffer`, buffer as Weight])),
    rate,
  );
}

function batchSpec({ widths, classes }: FeatureLayout, size: number) {
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
