/** The kinds of files that hold CIFAR-10's teacher and its feature network. Runs in Node and in browsers. */

import { Cifar10Features } from './cifar10-features.ts';
import { cifar10Teacher } from './cifar10-teacher.ts';
import type { Edm } from './diffusion/edm.ts';
import type { DiT, DiTHooks, DiTOptions } from './dit.ts';
import type { LoadedModel, ModelKind } from './model-file.ts';

/** What differs from the teacher's own size. */
export type TeacherOptions = Partial<DiTOptions>;
/** The teacher with its weights. */
export type Teacher = LoadedModel<TeacherOptions, Edm<DiTHooks, DiT>>;

/** Files of the diffusion model of CIFAR-10. */
export const teacherKind: ModelKind<TeacherOptions, Edm<DiTHooks, DiT>> = {
  kind: 'cifar10-teacher',
  create: cifar10Teacher,
};

/** How deep the feature network is. */
export interface FeaturesOptions {
  readonly blocksPerStage: number;
}
/** The feature network with its weights. */
export type Features = LoadedModel<FeaturesOptions, Cifar10Features>;

/** Files of the network whose features judge pictures. */
export const featuresKind: ModelKind<FeaturesOptions, Cifar10Features> = {
  kind: 'cifar10-features',
  create: (options) => new Cifar10Features(options),
};
