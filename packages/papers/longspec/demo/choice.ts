/** What the reader may choose, and the request that a choice makes. */

import { type DraftTraining, draftName } from '../draft-reader.ts';
import { nodeCount, type TreeShape } from '../tree.ts';
import { type Guesser, guessers, type ModelFacts, type RunRequest } from './protocol.ts';

/** As the controls hold it. */
export interface Choice {
  guesser: Guesser;
  tree: string;
  anchorOffset: boolean;
  noise: boolean;
  hybrid: boolean;
  maxNewTokens: number;
  temperature: number;
  seed: number;
}

/** What a model has drafts for. */
export interface Offer {
  readonly guessers: readonly Guesser[];
  readonly drafts: readonly DraftTraining[];
  /** Is there a draft with and one without? Else there is nothing to switch. */
  readonly anchorOffset: boolean;
  readonly noise: boolean;
}

export function offerOf({ drafts }: ModelFacts): Offer {
  const both = (key: keyof DraftTraining) => new Set(drafts.map((draft) => draft[key])).size === 2;
  return {
    guessers: (Object.keys(guessers) as Guesser[]).filter((name) => name !== 'longspec' || drafts.length > 0),
    drafts,
    anchorOffset: both('anchorOffset'),
    noise: both('noise'),
  };
}

/** Nodes of a tree that a page waits for. */
const mostNodes = 128;

/** Reads `2,2,2,1`, or `auto` for whichever tree pays. Throws a RangeError. */
export function readShape(text: string): TreeShape | undefined {
  if (text.trim() === 'auto') return undefined;
  const shape = text.split(',').map(Number);
  if (shape.some((width) => !Number.isInteger(width) || width < 1) || nodeCount(shape) > mostNodes)
    throw new RangeError(
      `tree “${text}”: expected auto, or widths of its levels, such as 2,2,2,1, of ${mostNodes} nodes at most`,
    );
  return shape;
}

/** Throws a RangeError that names what cannot be asked for. */
export function requestOf(choice: Choice, offer: Offer, text: string): RunRequest {
  const { guesser, tree, hybrid, maxNewTokens, temperature, seed } = choice;
  // a switch that is not offered stands where the model's drafts have it
  const [only] = offer.drafts;
  const training = {
    anchorOffset: offer.anchorOffset || !only ? choice.anchorOffset : only.anchorOffset,
    noise: offer.noise || !only ? choice.noise : only.noise,
  };
  const isThere = offer.drafts.some((draft) => draftName(draft) === draftName(training));
  if (guesser === 'longspec' && !isThere)
    throw new RangeError(`no draft ${draftName(training)} lies beside this model`);
  if (text === '') throw new RangeError('there is no text to continue');
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw new RangeError(`new tokens: ${maxNewTokens}, expected 1 or more`);
  if (!Number.isInteger(seed) || seed < 0) throw new RangeError(`seed: ${seed}, expected 0 or more`);
  return {
    text,
    guesser,
    shape: readShape(tree),
    training,
    hybrid,
    maxNewTokens,
    temperature,
    seed,
  };
}
