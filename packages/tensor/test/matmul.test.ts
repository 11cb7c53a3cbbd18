import { forwardCases, gradientCases } from './cases/matmul.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
