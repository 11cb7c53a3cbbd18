/** CIFAR-10's teacher and its feature network from disk: those that ship, and others of their kind. Node only. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Module } from '@working-papers/nn/module';
import { readSafetensors } from '@working-papers/nn/safetensors-file';
import { type Features, featuresKind, type Teacher, teacherKind } from './cifar10-kinds.ts';
import { type LoadedModel, ModelFileError, type ModelKind, unpackModel } from './model-file.ts';

const shipped = (name: string) => fileURLToPath(new URL(`../weights/${name}`, import.meta.url));

/** Where the weights lie that ship with this package. */
export const shippedTeacher = shipped('cifar10-teacher.safetensors');
export const shippedFeatures = shipped('cifar10-features.safetensors');

async function read<O, M extends Module>(kind: ModelKind<O, M>, path: string): Promise<LoadedModel<O, M>> {
  if (!existsSync(path))
    throw new ModelFileError(`${path} is not there: 'wp train ${kind.kind}' makes such a file`);
  return unpackModel(kind, await readSafetensors(path), path);
}

/** Throws a ModelFileError for a file that is missing or holds something else, a SafetensorsError for a damaged one. */
export const readTeacher = (path = shippedTeacher): Promise<Teacher> => read(teacherKind, path);

/** As `readTeacher`. */
export const readFeatures = (path = shippedFeatures): Promise<Features> => read(featuresKind, path);
