/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import { measuredIn, type Report } from '@working-papers/edition';
import { claimsOf } from './claims.ts';
import { figuresOf } from './figures.ts';
import type { Measured, Results } from './results.ts';
import { tablesOf } from './tables.ts';

/** Everything of `results.json` but the report, to the whole. */
export function withReport(measured: Measured): Results {
  const { seeds, timings } = measured;
  const report: Report = {
    measured: measuredIn(measured, seeds.length),
    claims: claimsOf(measured),
    figures: figuresOf(seeds, timings),
    tables: tablesOf(measured),
  };
  return { ...measured, report };
}
