/** All families of operator checks. A new family is a line here and one in `reference/index.ts`. */

import * as activation from './activation.ts';
import * as attention from './attention.ts';
import type { Cases } from './case.ts';
import * as conv from './conv.ts';
import * as elementwise from './elementwise.ts';
import * as indexing from './indexing.ts';
import * as matmul from './matmul.ts';
import * as normalization from './normalization.ts';
import * as pool from './pool.ts';
import * as random from './random.ts';
import * as reduce from './reduce.ts';
import * as resize from './resize.ts';
import * as rotary from './rotary.ts';
import * as shape from './shape.ts';
import * as softmax from './softmax.ts';

interface Family {
  readonly gradientCases: Cases;
  readonly forwardCases: Cases;
}

export const families: { readonly [name: string]: Family } = {
  activation,
  attention,
  conv,
  elementwise,
  indexing,
  matmul,
  normalization,
  pool,
  random,
  reduce,
  resize,
  rotary,
  shape,
  softmax,
};
