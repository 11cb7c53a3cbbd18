/** The shape of `results.json`. */

import type { Report } from '@working-papers/edition';
import type { RunManifest } from '@working-papers/paper/manifest';
import type { Summary } from './decode.ts';
import type { MemoryResult } from './memory.ts';

/** One text decoded by one method. */
export interface DecodingResult extends Omit<Summary, 'reason' | 'tau'> {
  readonly method: string;
  /** `prose`, held out from training, or `log`, which repeats itself. */
  readonly text: string;
  readonly context: number;
  readonly temperature: number;
  readonly prompt: number;
  /** Different 4-grams among all: a model in a loop has few. */
  readonly distinct: number;
  /** The first token that vanilla has not, and how far apart the two likeliest were there; absent when all agree. */
  readonly differs?: { readonly at: number; readonly gap: number };
}

/** −log of the probability of the next token, averaged over a range of positions of held-out prose. */
export interface PositionLoss {
  /** `target`, or a draft's name. */
  readonly model: string;
  /** How many tokens before the query the target's keys end; 0 for the target itself. */
  readonly lag: number;
  readonly from: number;
  readonly to: number;
  readonly crossEntropy: number;
}

export interface Settings {
  readonly model: string;
  readonly contexts: readonly number[];
  readonly temperatures: readonly number[];
  readonly prompts: number;
  readonly newTokens: number;
  readonly methods: readonly string[];
  /** Other runtimes with their versions, measured on some of the prompts. */
  readonly peers: readonly string[];
  readonly quick: boolean;
}

export interface Measured extends RunManifest {
  readonly settings: Settings;
  readonly decodings: readonly DecodingResult[];
  readonly losses: readonly PositionLoss[];
  /** Share of the target's last attention that goes to the first four tokens; null until it is measured. */
  readonly sinkMass: number | null;
  readonly memory?: readonly MemoryResult[];
}

/** `results.json`. */
export interface Results extends Measured {
  readonly report: Report;
}
