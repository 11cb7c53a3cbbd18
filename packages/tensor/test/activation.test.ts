import { forwardCases, gradientCases } from './cases/activation.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
