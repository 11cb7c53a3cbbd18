import { forwardCases, gradientCases } from './cases/normalization.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
