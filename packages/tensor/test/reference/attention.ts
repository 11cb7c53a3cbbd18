import { register } from './registry.ts';

register('recomputedAttention', ([output]) => output!);
