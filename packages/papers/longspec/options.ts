/** Options that several commands have: which model, what guesses ahead, and how text is drawn. Loads no engine. */

import type { OptionSpecs } from '@working-papers/paper';

/** What may guess ahead. */
export const methods = ['longspec', 'chain', 'lookup', 'magicdec', 'vanilla'] as const;
export type Method = (typeof methods)[number];

/** `--model` and `--draft`. */
export const modelOptions = {
  model: { type: 'string', description: 'folder of a Hugging Face model; default the one that ships' },
  draft: { type: 'string', description: "a draft for it; default draft.safetensors in the model's folder" },
} as const satisfies OptionSpecs;

/** `--method` and `--tree`. */
export const drafterOptions = {
  method: {
    type: 'string',
    choices: methods,
    default: 'longspec',
    description: 'what guesses ahead; the text is the same with each',
  },
  tree: {
    type: 'integers',
    min: 1,
    description: 'nodes on each level of the tree of guesses; default whichever pays, none included',
  },
} as const satisfies OptionSpecs;

/** How text is drawn, and where it ends. */
export const generationOptions = {
  maxNewTokens: { type: 'integer', min: 1, default: 256, description: 'where to stop' },
  temperature: { type: 'number', min: 0, default: 0, description: '0 takes the likeliest token' },
  topK: { type: 'integer', min: 1, description: 'draw from the k likeliest tokens only' },
  topP: {
    type: 'number',
    min: 0,
    max: 1,
    description: 'draw from the likeliest tokens with this probability',
  },
  seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same text' },
  stop: { type: 'string', description: 'a string at which the text ends' },
} as const satisfies OptionSpecs;
