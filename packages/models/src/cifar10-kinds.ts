/** The kinds of files that hold CIFAR-10's teacher and its feature network. Runs in Node and in browsers. */

import { Cifar10Features } from './cifar10-features.ts';
import { cifar10Teacher } from './cifar10-teacher.ts';
import type { Edm } from './diffusion/edm.ts';
import type { DiT, DiTHooks, DiTOptions } from './dit.ts';
import type { LoadedModel, ModelKind } from './model-file.ts';

export type TeacherOptions = Partial<DiTOptions>;
export type Teacher = LoadedModel<TeacherOptions, Edm<DiTHooks, DiT>>;

export const teacherKind: ModelKind<TeacherOptions, Edm<DiTHooks, DiT>> = {
  kind: 'cifar10-teacher',
  create: cifar10Teacher,
};

export interface FeaturesOptions {
  readonly blocksPerStage: number;
}
export type Features = LoadedModel<FeaturesOptions, Cifar10Features>;

export const featuresKind: ModelKind<FeaturesOptions, Cifar10Features> = {
  kind: 'cifar10-features',
  create: (options) => new Cifar10Features(options),
};
