/**
 * Many sets of IMs and gates trained side by side in one graph: one for each cost weight λ, weighting or ablation.
 * They see the same batches and start from the same weights, and none touches another's numbers: a set trained in a
 * crowd is the set trained alone (a test compares), at a small part of the time, since a step's cost is mostly calls.
 */

import {
  type Compiled,
  type Device,
  type NdArray,
  ndarray,
  type Parameter,
  type Store,
  type Tensor,
  zerosArray,
} from '@working-papers/tensor';
import { gateInputCount } from './model.ts';
import { float32 } from './objective.ts';
import {
  batchSpec,
  type ExitTensors,
  emptyExits,
  type FeatureBatch,
  type GraphSettings,
  type Member,
  makeState,
  PopulationGraphs,
  type State,
} from './population-graphs.ts';

export interface PopulationOptions extends GraphSettings {
  readonly device: Device;
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

export class Population {
  readonly members: readonly Member[];
  readonly #options: PopulationOptions;
  readonly #state: State;
  readonly #graphs: PopulationGraphs;
  readonly #store: Store;
  #heads: Run | undefined;
  #gates: Run | undefined;
  readonly #measure = new Map<number, Measure & { dispose(): Promise<void> }>();

  private constructor(options: PopulationOptions, state: State, store: Store) {
    this.members = options.members;
    this.#options = options;
    this.#state = state;
    this.#graphs = new PopulationGraphs(options, state);
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
    this.#heads ??= await this.#compileStep('heads', this.#state.bias.shape as number[], (...inputs) =>
      this.#graphs.trainHeads(...inputs),
    );
    return this.#checked(await this.#heads(batch as never, ndarray([rate]), mask), 'IMs');
  }

  /** One batch of the gate phase; IMs are left as they are. `positive` [M, L−1] holds w⁺. */
  async trainGates(batch: FeatureBatch, rate: number, positive: NdArray): Promise<Float32Array> {
    const shape = [this.members.length, this.#options.costs.length - 1];
    this.#gates ??= await this.#compileStep('gates', shape, (...inputs) =>
      this.#graphs.trainGates(...inputs),
    );
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
      const measured = (inputs: Arrays) => {
        const { gates, ce, correct } = this.#graphs.exits(inputs as never, size);
        return { gates, crossEntropy: ce, correct };
      };
      run = (await this.#options.device.compile(measured, {
        inputs: [batchSpec(this.#options.layout, size)] as const,
        store: this.#store,
        name: 'measure',
      })) as unknown as Measure & { dispose(): Promise<void> };
      this.#measure.set(size, run);
    }
    const { gates, crossEntropy, correct } = await run(batch);
    return { gates: float32(gates), crossEntropy: float32(crossEntropy), correct: float32(correct) };
  }

  /** `extra` is the shape of what the step takes beside a batch and a rate. */
  #compileStep(
    name: string,
    extra: readonly number[],
    step: (
      ...inputs: Parameters<PopulationGraphs['trainGates']>
    ) => ReturnType<PopulationGraphs['trainGates']>,
  ): Promise<Run> {
    const { device, layout, batchSize } = this.#options;
    return device.compileStep((batch, rate, other) => step(batch as never, rate as Tensor, other as Tensor), {
      inputs: [batchSpec(layout, batchSize), { shape: [1] }, { shape: extra }] as const,
      store: this.#store,
      name,
    }) as unknown as Promise<Run>;
  }

  async dispose(): Promise<void> {
    for (const run of [this.#heads, this.#gates, ...this.#measure.values()]) await run?.dispose();
    await this.#store.dispose();
  }
}
