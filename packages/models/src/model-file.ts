/**
 * Models that ship in one safetensors file: the weights under the model's own names, and in the metadata what kind of
 * model it is, its options and its card (how it was made). Runs in Node and in browsers.
 */

import { loadStateDict, type Module, stateDict, type Weights } from '@working-papers/nn/module';
import type { Checkpoint } from '@working-papers/nn/safetensors';

/** How a model was made: command, seed, data, steps, machine, time, figures, licence. */
export type ModelCard = Readonly<Record<string, string>>;

/** A file holds another model than the one asked for, or does not say which. */
export class ModelFileError extends Error {
  override readonly name = 'ModelFileError';
}

/** One kind of model and how it is made of its options, which must survive JSON. */
export interface ModelKind<O, M extends Module> {
  /** As the file's metadata has it: `cifar10-teacher`. */
  readonly kind: string;
  readonly create: (options: O) => M;
}

/** A model with its weights, and what its file says of it. */
export interface LoadedModel<O, M extends Module> {
  readonly model: M;
  readonly weights: Weights;
  readonly options: O;
  readonly card: ModelCard;
}

const format = (kind: string) => `working-papers/${kind}`;

/** For `writeSafetensors(path, tensors, { metadata, float32As: 'F16' })`. */
export function packModel<O, M extends Module>(
  { kind }: ModelKind<O, M>,
  { model, weights, options, card }: LoadedModel<O, M>,
): Checkpoint {
  const metadata = { ...card, format: format(kind), options: JSON.stringify(options) };
  return { tensors: stateDict(model, weights), metadata };
}

/**
 * The model of a decoded file. `file` names it in errors. Throws a ModelFileError for a file of another kind, and a
 * NameMismatchError that lists the tensors that do not fit the model.
 */
export function unpackModel<O, M extends Module>(
  { kind, create }: ModelKind<O, M>,
  { tensors, metadata }: Checkpoint,
  file = 'checkpoint',
): LoadedModel<O, M> {
  const { format: found, options: text, ...card } = metadata;
  if (found !== format(kind)) {
    const what = found === undefined ? 'does not say what it holds' : `holds '${found}'`;
    throw new ModelFileError(`${file} ${what}, expected '${format(kind)}'`);
  }
  let options: O;
  try {
    options = JSON.parse(text ?? '') as O;
  } catch {
    throw new ModelFileError(`${file}: metadata 'options' is ${text === undefined ? 'missing' : 'not JSON'}`);
  }
  const model = create(options);
  return { model, weights: loadStateDict(model, tensors, { file }), options, card };
}

/** What the facts of a card are called, in their order. */
const titles = {
  command: 'Made by',
  date: 'Date',
  machine: 'Machine',
  minutes: 'Minutes',
  seed: 'Seed',
  data: 'Data',
  start: 'Went on',
  base: 'Frozen model (SHA-256 of its tensors)',
  steps: 'Updates',
  figures: 'Figures',
  licence: 'Licence',
};

/** A card as Markdown, for people: those facts that have a title. */
export function cardMarkdown(file: string, about: string, card: ModelCard): string {
  const rows = Object.entries(titles).flatMap(([key, title]) =>
    card[key] === undefined ? [] : [`| ${title} | ${card[key]} |`],
  );
  return `# ${file}\n\n${about}\n\n| | |\n| --- | --- |\n${rows.join('\n')}\n`;
}
