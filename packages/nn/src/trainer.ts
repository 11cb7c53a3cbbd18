/**
 * A training step compiled for a device: forward, backward, clipping, optimiser and moving average are one ONNX
 * graph that reads the state from one set of buffers and writes the other. Runs in Node and in browsers.
 */

import {
  type Compiled,
  type Device,
  gradients,
  type InputSpec,
  type NdArray,
  ndarray,
  type Parameter,
  type Store,
  type Tensor,
  type WeightValues,
  zerosArray,
  zeros as zerosTensor,
} from '@working-papers/tensor';
import { zeros } from './initializers.ts';
import { initialize, type Module, traceTraining, Weight, type Weights } from './module.ts';
import { clipByGlobalNorm, type Optimizer } from './optimizers.ts';
import { Random } from './random.ts';
import { matchNames } from './safetensors-names.ts';

/** The arrays of one batch by name. */
export type Batch = { readonly [name: string]: NdArray };

/** What a batch looks like, batch size included: training graphs are made for one size. */
export type BatchSpec = { readonly [name: string]: InputSpec };

type Tensors<S extends BatchSpec> = { readonly [K in keyof S]: Tensor };

/** The scalar to minimise and other scalars to report. */
export type Losses = { readonly loss: Tensor; readonly [metric: string]: Tensor };

/** Of `Trainer.create`. */
export interface TrainerOptions<S extends BatchSpec> {
  readonly device: Device;
  readonly model: Module;
  /** Traced once, as training. */
  readonly loss: (batch: Tensors<S>) => Losses;
  readonly batch: S;
  readonly optimizer: Optimizer;
  /** Seeds first weights, dropout and all else that is random. */
  readonly seed: number;
  /** First weights instead of fresh ones: a pretrained model, or parts of one (the rest is initialised). */
  readonly weights?: Weights;
  /**
   * Values of parameters that the loss uses and that are none of the model's: a frozen network below. They become part
   * of the graph and are neither moved nor saved.
   */
  readonly frozen?: WeightValues;
  /** Which weights move; default all that are trainable. */
  readonly trainable?: (name: string) => boolean;
  /** Largest joint L2 norm of the gradients. */
  readonly clipNorm?: number;
  /** Batches whose gradients are averaged before one update; default 1. */
  readonly accumulate?: number;
  /** Decay of an exponential moving average of the weights. */
  readonly ema?: number;
  /** A shorter average at first, which forgets the first weights: decay min(ema, (1 + t)/(10 + t)) at update t. */
  readonly emaRamp?: boolean;
}

/** A loss or a weight that is not finite. What the device holds is of no use any more; the last checkpoint is. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  /** The update that went wrong, counted from 1. */
  readonly step: number;
  readonly figures: { readonly [name: string]: number };

  constructor(step: number, figures: { readonly [name: string]: number }, advice?: string) {
    const values = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
    super([`training diverged at step ${step}: ${values.join(', ')}`, advice].filter(Boolean).join('; '));
    this.step = step;
    this.figures = figures;
  }
}

/** Everything that a training run must keep to go on exactly: names begin with `model.`, `optimizer.`, `ema.` ... */
export interface TrainingState {
  readonly step: number;
  readonly tensors: ReadonlyMap<string, NdArray>;
}

type StepFunction = Compiled<
  readonly [{ readonly [name: string]: Tensor }, Tensor, Tensor],
  { [metric: string]: Tensor }
>;

/** The weights that training moves, by name. */
function trainableWeights<S extends BatchSpec>(options: TrainerOptions<S>): Map<string, Weight> {
  const { model, trainable = () => true } = options;
  return new Map([...model.namedWeights()].filter(([name, weight]) => weight.trainable && trainable(name)));
}

/** Forward, backward, clipping, optimiser and moving average as one graph on a device. Made by `Trainer.create`. */
export class Trainer<S extends BatchSpec = BatchSpec> {
  /** Updates done. */
  step = 0;
  /** Batches of one update. */
  readonly accumulate: number;
  /** What a resumed run must have in common with the run it continues, as JSON. */
  readonly settings: { readonly [name: string]: unknown };
  readonly #options: TrainerOptions<S>;
  readonly #store: Store;
  /** State of the run by checkpoint name. */
  readonly #state: ReadonlyMap<string, Weight>;
  /** Gradients collected since the last update. */
  readonly #sums: readonly Weight[];
  readonly #apply: StepFunction;
  readonly #accumulate: StepFunction | undefined;
  readonly #random: Random;
  #collected = 0;

  private constructor(
    options: TrainerOptions<S>,
    store: Store,
    state: ReadonlyMap<string, Weight>,
    sums: readonly Weight[],
    apply: StepFunction,
    accumulate: StepFunction | undefined,
  ) {
    this.#options = options;
    this.#store = store;
    this.#state = state;
    this.#sums = sums;
    this.#apply = apply;
    this.#accumulate = accumulate;
    this.#random = new Random(options.seed).fork('steps');
    this.accumulate = options.accumulate ?? 1;
    const { seed, clipNorm = null, ema = null, emaRamp = false, model, optimizer } = options;
    const moving = trainableWeights(options);
    this.settings = {
      seed,
      accumulate: this.accumulate,
      clipNorm,
      ema,
      ...(emaRamp && { emaRamp }),
      frozen: [...model.namedWeights()]
        .filter(([name, w]) => w.trainable && !moving.has(name))
        .map(([name]) => name),
      ...optimizer.settings(moving),
    };
  }

  /** Traces, differentiates and compiles the step, and puts the first weights on the device. */
  static async create<S extends BatchSpec>(options: TrainerOptions<S>): Promise<Trainer<S>> {
    const { device, model, optimizer, seed, accumulate = 1, ema } = options;
    if (!Number.isInteger(accumulate) || accumulate < 1)
      throw new RangeError(`accumulate ${accumulate} is not 1 or more`);
    const all = model.namedWeights();
    const moving = trainableWeights(options);
    if (moving.size === 0) throw new Error('nothing to train: no weight is trainable');
    const copies = (prefix: string, source: ReadonlyMap<string, Weight>) =>
      new Map(
        [...source].map(([name, w]) => [
          prefix + name,
          new Weight(w.shape as number[], zeros, { trainable: false }),
        ]),
      );
    const optimizerState = optimizer.state(moving);
    const sums = accumulate > 1 ? copies('', moving) : new Map<string, Weight>();
    const averages = ema === undefined ? new Map<string, Weight>() : copies('', all);

    const values = new Map<Parameter, NdArray>(initialize(model, seed));
    for (const [weight, value] of options.weights ?? []) if (values.has(weight)) values.set(weight, value);
    for (const weight of [...optimizerState.values(), ...sums.values()])
      values.set(weight, zerosArray(weight.shape as number[]));
    for (const [name, average] of averages) values.set(average, values.get(all.get(name)!)!);
    const store = await device.store(values);

    const scalarCount = optimizer.scalars(1, 1).length;
    const trace = (batch: Tensors<S>, seedTensor: Tensor, scalars: Tensor, apply: boolean) => {
      const { value: losses, updates } = traceTraining(seedTensor, () => options.loss(batch));
      const names = [...moving.keys()];
      const weights = [...moving.values()];
      let slopes = gradients(losses.loss, weights);
      if (accumulate > 1) {
        slopes = slopes.map((g, i) => sums.get(names[i]!)!.add(g.mul(1 / accumulate)));
        names.forEach((name, i) => {
          const sum = sums.get(name)!;
          updates.set(sum, apply ? zerosTensor(sum.shape) : slopes[i]!);
        });
      }
      const outputs: { [metric: string]: Tensor } = { ...losses };
      if (apply) {
        if (options.clipNorm !== undefined) {
          const clipped = clipByGlobalNorm(slopes, options.clipNorm);
          slopes = clipped.gradients;
          outputs.gradientNorm = clipped.norm;
        }
        const trained = names.map((name, i) => ({ name, weight: weights[i]!, gradient: slopes[i]! }));
        const own = averages.size > 0 ? scalars.slice(0, 0, scalarCount) : scalars;
        for (const [target, value] of optimizer.update(trained, optimizerState, own))
          updates.set(target, value);
        for (const [name, average] of averages) {
          const weight = all.get(name)!;
          const now = updates.get(weight) ?? weight;
          const decay = scalars.slice(0, scalarCount).reshape([]);
          updates.set(average, average.mul(decay).add(now.mul(decay.neg().add(1))));
        }
      }
      return { outputs, updates };
    };
    const compile = (apply: boolean) =>
      device.compileStep(
        (batch, seedTensor, scalars) => trace(batch as Tensors<S>, seedTensor, scalars, apply),
        {
          inputs: [
            options.batch as BatchSpec,
            { shape: [], dtype: 'int32' },
            { shape: [scalarCount + (ema === undefined ? 0 : 1)] },
          ] as const,
          store,
          ...(options.frozen && { weights: options.frozen }),
          name: apply ? 'step' : 'accumulate',
        },
      ) as unknown as Promise<StepFunction>;

    const prefixed = (prefix: string, map: ReadonlyMap<string, Weight>) =>
      [...map].map(([name, weight]) => [prefix + name, weight] as const);
    const state = new Map([
      ...prefixed('model.', all),
      ...prefixed('optimizer.', optimizerState),
      ...prefixed('ema.', averages),
    ]);
    return new Trainer(
      options,
      store,
      state,
      [...sums.values()],
      await compile(true),
      accumulate > 1 ? await compile(false) : undefined,
    );
  }

  /**
   * One batch: an update, or with `accumulate` a share of one. Resolves to the batch's metrics. Throws a
   * DivergedError when the loss is not finite.
   */
  async train(batch: Batch, learningRate: number): Promise<{ [metric: string]: number }> {
    const { accumulate, step } = this;
    const last = this.#collected + 1 >= accumulate;
    const draw = this.#random.fork(step * accumulate + this.#collected).integer(2 ** 31);
    const seed = ndarray([draw], [], 'int32');
    const { optimizer, ema, emaRamp } = this.#options;
    const decay = ema !== undefined && emaRamp ? Math.min(ema, (2 + step) / (11 + step)) : ema;
    const scalars = ndarray([
      ...optimizer.scalars(step + 1, learningRate),
      ...(decay === undefined ? [] : [decay]),
    ]);
    const run = last ? this.#apply : this.#accumulate!;
    const outputs = await run(this.#ordered(batch), seed, scalars);
    const metrics = Object.fromEntries(
      Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])]),
    );
    if (!Number.isFinite(metrics.loss)) throw new DivergedError(step + 1, metrics);
    this.#collected = last ? 0 : this.#collected + 1;
    if (last) this.step++;
    return metrics;
  }

  /** The arrays in the order of the batch's description, which is that of the graph's inputs. */
  #ordered(batch: Batch): Batch {
    const wanted = Object.keys(this.#options.batch);
    const given = Object.keys(batch);
    if (wanted.length !== given.length || wanted.some((name) => !(name in batch)))
      throw new TypeError(`a batch has ${wanted.join(', ')}, got ${given.join(', ')}`);
    return Object.fromEntries(wanted.map((name) => [name, batch[name]!]));
  }

  /** The model's weights as they are now; with `ema`, their moving average. */
  async weights(kind: 'now' | 'ema' = 'now'): Promise<Map<Parameter, NdArray>> {
    const all = this.#options.model.namedWeights();
    if (kind === 'now') return this.#store.read(all.values());
    const averages = [...all.keys()].map((name) => this.#state.get(`ema.${name}`));
    if (averages.includes(undefined)) throw new Error('this trainer keeps no moving average');
    const values = await this.#store.read(averages as Weight[]);
    return new Map([...all].map(([name, weight]) => [weight, values.get(this.#state.get(`ema.${name}`)!)!]));
  }

  /**
   * All that a checkpoint needs. Between updates only, not in the middle of an accumulation. Throws a DivergedError
   * when something that training moves is not finite, since going on from there would be of no use.
   */
  async state(): Promise<TrainingState> {
    if (this.#collected > 0) throw new Error('state() in the middle of accumulated batches');
    const values = await this.#store.read(this.#state.values());
    const tensors = new Map<string, NdArray>();
    const buffers = new Set([...this.#options.model.namedWeights().values()].filter((w) => !w.trainable));
    for (const [name, weight] of this.#state) {
      const value = values.get(weight)!;
      const bad = buffers.has(weight)
        ? undefined
        : (value.data as Float32Array).find((v) => !Number.isFinite(v));
      if (bad !== undefined) throw new DivergedError(this.step, { [name]: bad });
      tensors.set(name, value);
    }
    return { step: this.step, tensors };
  }

  /**
   * Goes on from a state. Throws a NameMismatchError when it is not one of this model, optimiser and average; the
   * store then holds what it held.
   */
  async load(state: TrainingState, file?: string): Promise<void> {
    const shapes = (map: ReadonlyMap<string, { readonly shape: readonly unknown[] }>) =>
      new Map([...map].map(([name, { shape }]) => [name, shape as number[]]));
    matchNames(shapes(this.#state), shapes(state.tensors), file === undefined ? {} : { file });
    const values = new Map<Parameter, NdArray>();
    for (const [name, weight] of this.#state) values.set(weight, state.tensors.get(name)!);
    for (const sum of this.#sums) values.set(sum, zerosArray(sum.shape as number[]));
    await this.#store.write(values);
    this.step = state.step;
    this.#collected = 0;
  }

  /** The store, for other functions that read the same weights while they train. */
  get store(): Store {
    return this.#store;
  }

  async dispose(): Promise<void> {
    await this.#apply.dispose();
    await this.#accumulate?.dispose();
    await this.#store.dispose();
  }
}
