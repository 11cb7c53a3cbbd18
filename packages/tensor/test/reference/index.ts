/** Every family's evaluators. Gradients use operators of other families, so all are there at once. */

import './activation.ts';
import './attention.ts';
import './conv.ts';
import './elementwise.ts';
import './indexing.ts';
import './matmul.ts';
import './normalization.ts';
import './pool.ts';
import './random.ts';
import './reduce.ts';
import './resize.ts';
import './rotary.ts';
import './shape.ts';
import './softmax.ts';
