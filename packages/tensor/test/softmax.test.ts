import { forwardCases, gradientCases } from './cases/softmax.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
