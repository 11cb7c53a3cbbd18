/** CIFAR-10's teacher and its feature network from disk: those that ship, and others of their kind. Node only. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Module } from '@working-papers/nn/module';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import { type Features, featuresKind, type Teacher, teacherKind } from './cifar10-kinds.ts';
import { featuresUrl, teacherUrl } from './cifar10-weights.ts';
import { type LoadedModel, ModelFileError, type ModelKind, unpackModel } from './model-file.ts';

/** The paths of the files that ship. */
export const shippedTeacher = fileURLToPath(teacherUrl);
export const shippedFeatures = fileURLToPath(featuresUrl);

async function read<O, M extends Module>(kind: ModelKind<O, M>, path: string): Promise<LoadedModel<O, M>> {
  if (!existsSync(path))
    throw new ModelFileError(`${path} is not there: 'wp train ${kind.kind}' makes such a file`);
  return unpackModel(kind, await readSafetensors(path), path);
}

/** Throws a ModelFileError for a file that is missing or holds something else, a SafetensorsError for a damaged one. */
export const readTeacher = (path = shippedTeacher): Promise<Teacher> => read(teacherKind, path);

/** As `readTeacher`. */
export const readFeatures = (path = shippedFeatures): Promise<Features> => read(featuresKind, path);
