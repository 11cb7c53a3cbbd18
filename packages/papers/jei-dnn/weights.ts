/**
 * The weights file: one frozen backbone, and a set of IMs and gates for each cost weight λ, in safetensors. `train.ts`
 * writes it with `packWeights`; `classify.ts` reads it with `unpackWeights`, in Node and in the page.
 *
 * Tensors: `backbone.*`, `lambda.{i}.intermediate_heads.{l}.*`, `lambda.{i}.gates.{l}.linear.*`, with i an index into
 * the metadata's `costWeights`. Metadata values are JSON where they are not text.
 */

import { ResNet, type ResNetOptions } from '@working-papers/models/resnet';
import { loadStateDict, type Weights } from '@working-papers/nn/module';
import type { Checkpoint } from '@working-papers/nn/safetensors';
import type { NdArray } from '@working-papers/tensor';
import { type ExitRule, JeiDnn } from './model.ts';

/** IMs and gates trained for one cost weight, under the model's names: `intermediate_heads.0.weight` ... */
export interface TrainedExits {
  /** λ ≥ 0: what one full network's cost weighs against what gates were taught to avoid: an error, or a nat. */
  readonly costWeight: number;
  readonly tensors: ReadonlyMap<string, NdArray>;
}

/** All that the file holds. */
export interface JeiDnnWeights {
  readonly architecture: Required<ResNetOptions>;
  /** Height and width of the input. */
  readonly imageSize: number;
  readonly classNames: readonly string[];
  /** After which blocks exits stand: the release's `intermediate_head_positions`. */
  readonly exits: readonly number[];
  /** The rule by which the gates let samples out. */
  readonly rule: ExitRule;
  /** Under the backbone's own names: `conv1.weight` ... */
  readonly backbone: ReadonlyMap<string, NdArray>;
  /** In ascending order of λ. */
  readonly trained: readonly TrainedExits[];
  /** How they were made: command, seed, data, steps, machine, time, figures, licence. */
  readonly card: Readonly<Record<string, string>>;
}

/** Something in a weights file, or in what was asked of it, is not as it must be. */
export class WeightsError extends Error {
  override readonly name = 'WeightsError';
}

const format = 'working-papers/jei-dnn';

/** For `writeSafetensors(path, tensors, { metadata, float32As: 'F16' })`. Refuses a set that does not fit the model. */
export function packWeights(weights: JeiDnnWeights): Checkpoint {
  const { card, architecture, imageSize, classNames, exits, rule } = weights;
  const trained = weights.trained.toSorted((a, b) => a.costWeight - b.costWeight);
  const tensors = new Map<string, NdArray>();
  for (const [name, value] of weights.backbone) tensors.set(`backbone.${name}`, value);
  trained.forEach((set, i) => {
    for (const [name, value] of set.tensors) tensors.set(`lambda.${i}.${name}`, value);
  });
  const costWeights = trained.map(({ costWeight }) => costWeight);
  const fields = { architecture, imageSize, classNames, exits, rule, costWeights };
  const described = Object.entries(fields).map(([key, value]) => [key, JSON.stringify(value)]);
  const checkpoint = { tensors, metadata: { ...card, format, ...Object.fromEntries(described) } };
  const read = unpackWeights(checkpoint);
  for (const { costWeight } of read.trained) loadModel(read, costWeight);
  return checkpoint;
}

/** Reads a decoded file. `file` names it in errors. Throws a WeightsError that says what is missing or wrong. */
export function unpackWeights({ tensors, metadata }: Checkpoint, file = 'weights'): JeiDnnWeights {
  if (metadata.format !== format)
    throw new WeightsError(`${file}: metadata 'format' is ${quoted(metadata.format)}, expected '${format}'`);
  const read = <T>(key: string, what: string, fits: (value: unknown) => value is T): T => {
    const value = parse(metadata[key]);
    if (!fits(value))
      throw new WeightsError(`${file}: metadata '${key}' is ${quoted(metadata[key])}, expected ${what}`);
    return value;
  };
  const architecture = read('architecture', '{blocksPerStage, widths, classes}', isArchitecture);
  const imageSize = read('imageSize', 'a size in pixels', isCount);
  const classNames = read(
    'classNames',
    `${architecture.classes} names`,
    (value): value is string[] => isListOf(value, isText) && value.length === architecture.classes,
  );
  const exits = read('exits', 'a list of block numbers', (value): value is number[] =>
    isListOf(value, Number.isInteger),
  );
  const rule = read('rule', '"joint" or "independent"', isRule);
  const costWeights = read(
    'costWeights',
    'ascending numbers from 0',
    (value): value is number[] =>
      isListOf(value, isCost) && value.every((w, i) => i === 0 || w > value[i - 1]!),
  );

  const backbone = new Map<string, NdArray>();
  const sets = costWeights.map((costWeight) => ({ costWeight, tensors: new Map<string, NdArray>() }));
  for (const [name, value] of tensors) {
    const [, index, own] = /^lambda\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (name.startsWith('backbone.')) backbone.set(name.slice('backbone.'.length), value);
    else if (own !== undefined && sets[Number(index)]) sets[Number(index)]!.tensors.set(own, value);
    else throw new WeightsError(`${file}: tensor '${name}' belongs to no backbone and to no cost weight`);
  }
  const known = new Set([
    'format',
    'architecture',
    'imageSize',
    'classNames',
    'exits',
    'rule',
    'costWeights',
  ]);
  const card = Object.fromEntries(Object.entries(metadata).filter(([key]) => !known.has(key)));
  return { architecture, imageSize, classNames, exits, rule, backbone, trained: sets, card };
}

/**
 * The model and its weights for one λ. Throws a WeightsError for a λ that is negative or was not trained, and a
 * NameMismatchError that names every tensor that does not fit.
 */
export function loadModel(
  weights: JeiDnnWeights,
  costWeight: number,
): { model: JeiDnn<ResNet>; values: Weights } {
  if (!(costWeight >= 0)) throw new WeightsError(`cost weight ${costWeight} is not 0 or more`);
  const set = weights.trained.find((each) => each.costWeight === costWeight);
  if (!set) {
    const trained = weights.trained.map((each) => each.costWeight).join(', ');
    throw new WeightsError(`cost weight ${costWeight} was not trained: these weights have ${trained}`);
  }
  const model = new JeiDnn(new ResNet(weights.architecture), { exits: weights.exits });
  const dict = new Map(set.tensors);
  for (const [name, value] of weights.backbone) dict.set(`backbone.${name}`, value);
  return { model, values: loadStateDict(model, dict, { file: `weights for cost weight ${costWeight}` }) };
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function quoted(text: string | undefined): string {
  return text === undefined ? 'missing' : `'${text.length > 60 ? `${text.slice(0, 60)}…` : text}'`;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isRule = (value: unknown): value is ExitRule => value === 'joint' || value === 'independent';
const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
const isCost = (value: unknown): value is number => Number.isFinite(value) && (value as number) >= 0;

function isListOf<T>(value: unknown, fits: (each: unknown) => each is T): value is T[];
function isListOf(value: unknown, fits: (each: unknown) => boolean): value is number[];
function isListOf(value: unknown, fits: (each: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(fits);
}

function isArchitecture(value: unknown): value is Required<ResNetOptions> {
  if (typeof value !== 'object' || value === null) return false;
  const { blocksPerStage, widths, classes } = value as ResNetOptions;
  return isCount(blocksPerStage) && isCount(classes) && isListOf(widths, isCount) && widths.length === 3;
}
