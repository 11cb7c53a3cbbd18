import { forwardCases, gradientCases } from './cases/shape.ts';
import { runCases } from './check.ts';

runCases({ gradientCases, forwardCases });
