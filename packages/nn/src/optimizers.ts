/**
 * Optimisers as graphs: new values of weights and of the optimiser's own state from the old ones and the gradients.
 * Formulas: PyTorch 2 documentation of torch.optim.SGD, Adam and AdamW.
 */

import { constant, type Parameter, type Tensor } from '@working-papers/tensor';
import { zeros } from './initializers.ts';
import { Weight } from './module.ts';

/** A trained weight with its checkpoint name, by which groups are decided. */
export interface Trained {
  readonly name: string;
  readonly weight: Weight;
  readonly gradient: Tensor;
}

/** What a group of weights does differently. */
export interface Group {
  readonly learningRateScale?: number;
  readonly weightDecay?: number;
}

/** Of all optimisers. */
export interface OptimizerOptions {
  readonly weightDecay?: number;
  /** Settings for one weight by its name and shape, for example no decay for biases and norms. */
  readonly groups?: (name: string, weight: Weight) => Group;
}

/** An optimiser as nodes of the training step's graph. */
export interface Optimizer {
  /** What a resumed run must have in common with the run it continues, as JSON. */
  settings(weights: ReadonlyMap<string, Weight>): { readonly [name: string]: unknown };
  /** Numbers for one step, computed outside the graph in double precision; `step` counts from 1. */
  scalars(step: number, learningRate: number): number[];
  /** The optimiser's state for these weights, by checkpoint name. */
  state(weights: ReadonlyMap<string, Weight>): Map<string, Weight>;
  /** New values of weights and state. `scalars` is the tensor of what `scalars` returned. */
  update(
    trained: readonly Trained[],
    state: ReadonlyMap<string, Weight>,
    scalars: Tensor,
  ): Map<Parameter, Tensor>;
}

function group(options: OptimizerOptions, name: string, weight: Weight): Required<Group> {
  const { learningRateScale = 1, weightDecay = options.weightDecay ?? 0 } =
    options.groups?.(name, weight) ?? {};
  return { learningRateScale, weightDecay };
}

/** What `groups` decided, as the names of each distinct group. */
function groupSettings(options: OptimizerOptions, weights: ReadonlyMap<string, Weight>) {
  const groups: { [settings: string]: string[] } = {};
  for (const [name, weight] of weights) {
    const { learningRateScale, weightDecay } = group(options, name, weight);
    const key = `learning rate × ${learningRateScale}, weight decay ${weightDecay}`;
    groups[key] ??= [];
    groups[key].push(name);
  }
  return groups;
}

/** Decay for matrices and kernels only: biases, norms and other vectors are left alone. */
export function decayMatrices(weightDecay: number): (name: string, weight: Weight) => Group {
  return (_, weight) => ({ weightDecay: weight.rank > 1 ? weightDecay : 0 });
}

/** Of `sgd`. */
export interface SgdOptions extends OptimizerOptions {
  readonly momentum?: number;
  readonly nesterov?: boolean;
}

/** Stochastic gradient descent; weight decay is added to the gradient. */
export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false } = options;
  return {
    settings: (weights) => ({
      optimizer: 'sgd',
      momentum,
      nesterov,
      groups: groupSettings(options, weights),
    }),
    scalars: (_, learningRate) => [learningRate],
    state: (weights) => (momentum === 0 ? new Map() : stateFor(weights, ['momentum_buffer'])),
    update(trained, state, scalars) {
      const updates = new Map<Parameter, Tensor>();
      for (const { name, weight, gradient } of trained) {
        const { learningRateScale, weightDecay } = group(options, name, weight);
        const rate = scalars.select(0, 0).mul(learningRateScale);
        let direction = weightDecay === 0 ? gradient : gradient.add(weight.mul(weightDecay));
        const buffer = state.get(`${name}.momentum_buffer`);
        if (buffer) {
          const moved = buffer.mul(momentum).add(direction);
          updates.set(buffer, moved);
          direction = nesterov ? direction.add(moved.mul(momentum)) : moved;
        }
        updates.set(weight, weight.sub(direction.mul(rate)));
      }
      return updates;
    },
  };
}

/** Of `adam` and `adamW`. */
export interface AdamOptions extends OptimizerOptions {
  readonly betas?: readonly [number, number];
  readonly epsilon?: number;
}

/** Adam (Kingma and Ba 2015, arXiv 1412.6980) with decay added to the gradient. */
export function adam(options: AdamOptions = {}): Optimizer {
  return adamLike(options, false);
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101). Decay defaults to 0.01. */
export function adamW(options: AdamOptions = {}): Optimizer {
  return adamLike({ weightDecay: 0.01, ...options }, true);
}

function adamLike(options: AdamOptions, decoupled: boolean): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const epsilon = options.epsilon ?? 1e-8;
  return {
    settings: (weights) => ({
      optimizer: decoupled ? 'adamW' : 'adam',
      betas: [beta1, beta2],
      epsilon,
      groups: groupSettings(options, weights),
    }),
    // lr, lr / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ)
    scalars: (step, lr) => [lr, lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step)],
    state: (weights) => stateFor(weights, ['exp_avg', 'exp_avg_sq']),
    update(trained, state, scalars) {
      const updates = new Map<Parameter, Tensor>();
      const [rate, correctedRate, rootCorrection] = [0, 1, 2].map((i) => scalars.select(0, i)) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      for (const { name, weight, gradient } of trained) {
        const { learningRateScale, weightDecay } = group(options, name, weight);
        const g = decoupled || weightDecay === 0 ? gradient : gradient.add(weight.mul(weightDecay));
        const [average, square] = [state.get(`${name}.exp_avg`)!, state.get(`${name}.exp_avg_sq`)!];
        const newAverage = average.mul(beta1).add(g.mul(1 - beta1));
        const newSquare = square.mul(beta2).add(g.mul(g).mul(1 - beta2));
        const step = newAverage.mul(correctedRate.mul(learningRateScale));
        const moved = step.div(newSquare.sqrt().mul(rootCorrection).add(epsilon));
        const decayed =
          decoupled && weightDecay !== 0
            ? weight.mul(constant(1).sub(rate.mul(learningRateScale * weightDecay)))
            : weight;
        updates.set(average, newAverage);
        updates.set(square, newSquare);
        updates.set(weight, decayed.sub(moved));
      }
      return updates;
    },
  };
}

function stateFor(weights: ReadonlyMap<string, Weight>, kinds: readonly string[]): Map<string, Weight> {
  const state = new Map<string, Weight>();
  for (const [name, weight] of weights) {
    for (const kind of kinds) {
      state.set(`${name}.${kind}`, new Weight(weight.shape as number[], zeros, { trainable: false }));
    }
  }
  return state;
}

/** Gradients scaled down so that their joint L2 norm is at most `limit`; also that norm, before. */
export function clipByGlobalNorm(
  gradients: readonly Tensor[],
  limit: number,
): { gradients: Tensor[]; norm: Tensor } {
  const norm = gradients
    .map((g) => g.sumSquares())
    .reduce((a, b) => a.add(b))
    .sqrt();
  const scale = constant(limit).div(norm.add(1e-6)).minimum(1);
  return { gradients: gradients.map((g) => g.mul(scale)), norm };
}
