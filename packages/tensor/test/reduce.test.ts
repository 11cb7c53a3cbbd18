import { forwardCases, gradientCases } from './cases/reduce.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
