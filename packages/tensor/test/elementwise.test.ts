import { forwardCases, gradientCases } from './cases/elementwise.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
