/** CIFAR-10's teacher and its feature network from disk: those that ship, and others of their kind. Node only. */

import { fileURLToPath } from 'node:url';
import { type Features, featuresKind, type Teacher, teacherKind } from './cifar10-kinds.ts';
import { featuresUrl, teacherUrl } from './cifar10-weights.ts';
import { readModelFile } from './model-files.ts';

/** The paths of the files that ship. */
export const shippedTeacher = fileURLToPath(teacherUrl);
export const shippedFeatures = fileURLToPath(featuresUrl);

/** Throws a ModelFileError for a file that is missing or holds something else, a SafetensorsError for a damaged one. */
export const readTeacher = (path = shippedTeacher): Promise<Teacher> =>
  readModelFile(teacherKind, path, 'wp train cifar10-teacher');

/** As `readTeacher`. */
export const readFeatures = (path = shippedFeatures): Promise<Features> =>
  readModelFile(featuresKind, path, 'wp train cifar10-features');
