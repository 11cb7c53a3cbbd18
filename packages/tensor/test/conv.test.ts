import { forwardCases, gradientCases } from './cases/conv.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
