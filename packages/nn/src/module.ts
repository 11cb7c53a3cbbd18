/**
 * Modules: parts of a model that own weights. A module is used like a function of symbolic tensors; the numbers of
 * its weights live outside it, in a `Weights` map, so one module can run with many sets of weights.
 */

import { type FileArray, type NdArray, Parameter, type Tensor, withScope } from '@working-papers/tensor';
import { Random } from './random.ts';
import { type MatchOptions, matchNames } from './safetensors-names.ts';

/** Fills a weight of `shape` with its first values. */
export type Initializer = (shape: readonly number[], random: Random) => NdArray;

/** A parameter of a module: what it starts as, and whether training moves it. */
export class Weight extends Parameter {
  readonly initialize: Initializer;
  /** False for buffers, such as running averages: saved and loaded, never trained. */
  readonly trainable: boolean;

  constructor(shape: readonly number[], initialize: Initializer, options: { trainable?: boolean } = {}) {
    super(shape);
    this.initialize = initialize;
    this.trainable = options.trainable ?? true;
  }
}

/** Values of weights. */
export type Weights = ReadonlyMap<Parameter, NdArray>;

type Forward = (...inputs: never[]) => unknown;

/**
 * The base of every part of a model. Weights and submodules are found in its properties (also in arrays), and named
 * after them as PyTorch's `state_dict` names them: `runningMean` of `blocks[3].norm` is `blocks.3.norm.running_mean`.
 */
export abstract class Module {
  constructor() {
    // So that errors can say in which module they happened, every forward runs in its module's scope.
    const { forward } = this as { forward?: Forward };
    if (forward) {
      const scoped: Forward = (...inputs) => withScope(this, () => forward.apply(this, inputs));
      Object.defineProperty(this, 'forward', { value: scoped, enumerable: false });
    }
  }

  /** How a property is spelled in checkpoints; snake case unless a module knows better. */
  stateName(property: string): string {
    return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  }

  /** All weights with their full names, in the order of the properties. A shared weight appears once, first name. */
  namedWeights(): Map<string, Weight> {
    const found = new Map<string, Weight>();
    const seen = new Set<Weight>();
    collect(this, '', (name, weight) => {
      if (seen.has(weight)) return;
      seen.add(weight);
      found.set(name, weight);
    });
    return found;
  }
}

function collect(module: Module, prefix: string, add: (name: string, weight: Weight) => void): void {
  const visit = (value: unknown, name: string): void => {
    // a part named '' has its own parts named as its owner's: the list of a Sequential, the network in a wrapper
    const inner = name === '' || name.endsWith('.') ? name : `${name}.`;
    if (value instanceof Weight) add(name, value);
    else if (value instanceof Module) collect(value, inner, add);
    else if (Array.isArray(value)) {
      for (const [i, each] of value.entries()) visit(each, `${inner}${i}`);
    }
  };
  for (const [property, value] of Object.entries(module)) visit(value, prefix + module.stateName(property));
}

/** First values for every weight. Each weight draws from a stream of its own name: adding one changes no other. */
export function initialize(module: Module, seed: number): Map<Parameter, NdArray> {
  const random = new Random(seed).fork('weights');
  const values = new Map<Parameter, NdArray>();
  for (const [name, weight] of module.namedWeights()) {
    values.set(weight, weight.initialize(weight.shape as number[], random.fork(name)));
  }
  return values;
}

/** Weights by their checkpoint names. */
export function stateDict(module: Module, weights: Weights): Map<string, NdArray> {
  const dict = new Map<string, NdArray>();
  for (const [name, weight] of module.namedWeights()) {
    const value = weights.get(weight);
    if (!value) throw new Error(`weight '${name}' has no value`);
    dict.set(name, value);
  }
  return dict;
}

/** The shapes that a checkpoint of the module has. */
export function stateShapes(module: Module): Map<string, readonly number[]> {
  return new Map([...module.namedWeights()].map(([name, weight]) => [name, weight.shape as number[]]));
}

/**
 * Weights of a module from a checkpoint's tensors. Throws a NameMismatchError that lists missing, unexpected and
 * mis-shaped names, and a TypeError for another dtype; `rename` maps names of the checkpoint to the module's
 * (undefined leaves a tensor out).
 */
export function loadStateDict<A extends NdArray | FileArray = NdArray>(
  module: Module,
  dict: ReadonlyMap<string, A>,
  options: MatchOptions = {},
): Map<Parameter, A> {
  const found = new Map([...dict].map(([name, array]) => [name, array.shape]));
  const pairs = matchNames(stateShapes(module), found, options);
  const values = new Map<Parameter, A>();
  for (const [name, weight] of module.namedWeights()) {
    const value = dict.get(pairs.get(name)!)!;
    if (value.dtype !== weight.dtype) {
      const { file = 'checkpoint' } = options;
      throw new TypeError(`${file}: ${name} is ${value.dtype}, expected ${weight.dtype}`);
    }
    values.set(weight, value);
  }
  return values;
}

/** How many numbers training can move. */
export function countParameters(module: Module): number {
  let count = 0;
  for (const weight of module.namedWeights().values()) {
    if (weight.trainable) count += (weight.shape as number[]).reduce((a, b) => a * b, 1);
  }
  return count;
}

interface TrainingMode {
  readonly seed: Tensor | undefined;
  readonly updates: Map<Parameter, Tensor>;
  draws: number;
}

let training: TrainingMode | undefined;

/**
 * Traces `body` as training: dropout drops and batch normalisation uses the batch's statistics. Returns what modules
 * want to change beside the gradients (running averages). `seed` (int32 scalar) feeds all that is random.
 */
export function traceTraining<T>(
  seed: Tensor | undefined,
  body: () => T,
): { value: T; updates: Map<Parameter, Tensor> } {
  const outer = training;
  training = { seed, updates: new Map(), draws: 0 };
  try {
    const value = body();
    return { value, updates: training.updates };
  } finally {
    training = outer;
  }
}

/** Traces `body` as inference inside a training trace: a frozen part, a teacher. */
export function traceInference<T>(body: () => T): T {
  const outer = training;
  training = undefined;
  try {
    return body();
  } finally {
    training = outer;
  }
}

/** Is what is being traced a training step? Dropout and batch norm ask. */
export function isTraining(): boolean {
  return training !== undefined;
}

/** The step's seed and a stream number that no other draw of this trace has. */
export function nextDraw(): { seed: Tensor; stream: number } {
  if (!training?.seed)
    throw new Error('something random was traced without a seed: give one to traceTraining');
  return { seed: training.seed, stream: training.draws++ };
}

/** Records the new value of a buffer, computed from the one so far; the training step writes the last. */
export function updateBuffer(buffer: Parameter, next: (value: Tensor) => Tensor): void {
  training?.updates.set(buffer, next(training.updates.get(buffer) ?? buffer));
}
