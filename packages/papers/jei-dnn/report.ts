/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import { reported } from '@working-papers/edition';
import { claimsOf } from './claims.ts';
import { figuresOf } from './figures.ts';
import type { Measured, Results } from './results.ts';
import { tablesOf } from './tables.ts';

/** Everything of `results.json` but the report, to the whole. */
export const withReport = (measured: Measured): Results =>
  reported(measured, measured.seeds.length, {
    claims: claimsOf(measured),
    figures: figuresOf(measured.seeds, measured.timings),
    tables: tablesOf(measured),
  });
