/** All families of operator checks. A new family is one line here. */

import type { Cases } from './case.ts';

export const families: {
  readonly [family: string]: { readonly gradientCases: Cases; readonly forwardCases: Cases };
} = {};
