/** What the bench sets side by side, by name. */

import type { ExitLoss } from './objective.ts';
import type { Member } from './population-graphs.ts';

/** λ for gates that weigh cost against errors, and for those that weigh it against cross-entropy. */
export type CostWeights = Readonly<Record<ExitLoss, readonly number[]>>;

/** The paper's form, and ours. */
export const paper = { targets: 'exact', loss: 'cross-entropy', weighting: 'stopgrad' } as const;
const errors = { targets: 'advantage', loss: 'error', weighting: 'plain P' } as const;

/**
 * The variants that are trained once for each λ, all from the same warm-up. `on errors` is ours: gates that weigh cost
 * against errors and learn their advantage, and IMs weighted by P itself; the others are the paper's form, one part
 * changed at a time.
 */
export const variants = {
  'JEI-DNN': paper,
  'Gates only': { ...paper, movesHeads: false },
  'JEI-DNN, released weighting': { ...paper, weighting: 'released' },
  'JEI-DNN, plain P': { ...paper, weighting: 'plain P' },
  'JEI-DNN, released targets': { ...paper, targets: 'cumulative' },
  'JEI-DNN, gates see max p only': { ...paper, gateInputs: 'max-p' },
  'JEI-DNN, w⁺ = 1': { ...paper, balanced: false },
  'JEI-DNN on errors': errors,
  'Gates only on errors': { ...errors, movesHeads: false },
  'JEI-DNN on errors, released weighting': { ...errors, weighting: 'released' },
  'JEI-DNN on errors, stopgrad weighting': { ...errors, weighting: 'stopgrad' },
  'Gates only, advantage of cross-entropy': { ...errors, loss: 'cross-entropy', movesHeads: false },
} as const satisfies Readonly<Record<string, Omit<Member, 'costWeight'>>>;
export type Variant = keyof typeof variants;
export const sequential = 'Uniform IMs, then gates';
export const independent = 'JEI-DNN, independent rule';
/** One training, other thresholds than ½: our extension. */
export const varied = 'JEI-DNN at one λ, τ varied (extension)';
/** The paper's form of the method, and the one that `wp train` makes by default and that ships, with their ablations. */
export const forms = {
  'JEI-DNN': {
    gatesOnly: 'Gates only',
    released: 'JEI-DNN, released weighting',
    plain: 'JEI-DNN, plain P',
  },
  'JEI-DNN on errors': {
    gatesOnly: 'Gates only on errors',
    released: 'JEI-DNN on errors, released weighting',
  },
} as const satisfies Readonly<Partial<Record<Variant, Beside>>>;
export type Form = keyof typeof forms;
/** The same training with one part changed. `plain` where the form's own weighting is not P itself. */
export interface Beside {
  readonly gatesOnly: Variant;
  readonly released: Variant;
  readonly plain?: Variant;
}
export const served: Form = 'JEI-DNN on errors';
export const oracle = 'Oracle';
export const full = 'Full network';
