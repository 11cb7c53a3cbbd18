/** Activation functions. */

import { erf, unary } from './elementwise.ts';

unary('relu', (x) => Math.max(x, 0));
unary('leakyRelu', (x, { slope }) => (x > 0 ? x : (slope as number) * x));
unary('softplus', (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));
unary('silu', (x) => x / (1 + Math.exp(-x)));
unary('gelu', (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)));
unary('geluTanh', (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))));
