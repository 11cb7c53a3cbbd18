/** Models that ship in one safetensors file, from disk and onto it. Node only. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@working-papers/nn/atomic';
import type { Module } from '@working-papers/nn/module';
import { readSafetensors, writeSafetensors } from '@working-papers/nn/safetensors-file';
import {
  cardMarkdown,
  type LoadedModel,
  ModelFileError,
  type ModelKind,
  packModel,
  unpackModel,
} from './model-file.ts';

/**
 * Throws a ModelFileError for a file that is missing (`madeBy` is the command that it names) or holds another model,
 * a SafetensorsError for a damaged one, and a NameMismatchError for tensors that do not fit the model.
 */
export async function readModelFile<O, M extends Module>(
  kind: ModelKind<O, M>,
  path: string,
  madeBy: string,
): Promise<LoadedModel<O, M>> {
  if (!existsSync(path)) throw new ModelFileError(`${path} is not there: '${madeBy}' makes such a file`);
  return unpackModel(kind, await readSafetensors(path), path);
}

/**
 * Writes `NAME.safetensors`, in half precision, and its card `NAME.md` into a folder, which is made where needed.
 *
 * @param about a sentence or two that begin the card.
 * @returns the path of the weights.
 */
export async function writeModelFile<O, M extends Module>(
  folder: string,
  name: string,
  kind: ModelKind<O, M>,
  model: LoadedModel<O, M>,
  about: string,
): Promise<string> {
  const file = `${name}.safetensors`;
  const path = join(folder, file);
  const { tensors, metadata } = packModel(kind, model);
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path, tensors, { metadata, float32As: 'F16' });
  const card = cardMarkdown(file, `${about} Half precision.`, model.card);
  await writeAtomically(join(folder, `${name}.md`), [card]);
  return path;
}
