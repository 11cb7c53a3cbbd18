/** What the page and its worker say to each other. */

import type { Provider } from '@working-papers/tensor';
import type { DraftTraining } from '../draft-reader.ts';
import type { TreeShape } from '../tree.ts';

/** Files of a folder by their names. */
export interface Picked {
  readonly folder: string;
  readonly blobs: ReadonlyMap<string, Blob>;
}

export interface OpenRequest {
  readonly provider: Provider;
  readonly wasmPaths: string;
  /** The reader's own; absent for the model that ships. */
  readonly picked?: Picked | undefined;
  /** Taken as the paper's draft of the model, whatever it is called. */
  readonly draft?: File | undefined;
}

/** What was opened. */
export interface ModelFacts {
  readonly name: string;
  readonly family: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** The drafts that lie beside it. */
  readonly drafts: readonly DraftTraining[];
}

/** What may guess ahead on the page. */
export const guessers = {
  longspec: 'LongSpec',
  lookup: 'prompt lookup',
  magicdec: 'MagicDec',
} as const;
export type Guesser = keyof typeof guessers;

export interface RunRequest {
  readonly text: string;
  readonly guesser: Guesser;
  /** Of LongSpec. */
  /** Absent: whichever pays. */
  readonly shape: TreeShape | undefined;
  /** Which of LongSpec's drafts. */
  readonly training: DraftTraining;
  /** Verify trees by hybrid attention; else by one masked softmax. */
  readonly hybrid: boolean;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

/** A token as the reader sees it. */
export interface Piece {
  readonly id: number;
  readonly text: string;
  /** Guessed ahead and accepted; else the model's own. */
  readonly guessed: boolean;
}

/** The tree of a round, in words. */
export interface TreeView {
  /** The text's last token. */
  readonly root: string;
  readonly nodes: readonly { readonly text: string; readonly parent: number }[];
  /** Accepted nodes, from the root's child on. */
  readonly path: readonly number[];
  /** The token that the model itself added. */
  readonly own: string;
}

export const lanes = ['guessing', 'vanilla'] as const;
export type LaneName = (typeof lanes)[number];

export type RunEvent =
  | { readonly kind: 'prompt'; readonly done: number; readonly total: number }
  | {
      readonly kind: 'round';
      readonly lane: LaneName;
      readonly pieces: readonly Piece[];
      /** On the lane's own clock. */
      readonly milliseconds: number;
      /** Absent from rounds without guesses. */
      readonly tree?: TreeView;
    };

/** To the worker. Answers and events carry the request's number. */
export type Call =
  | { readonly id: number; readonly open: OpenRequest }
  | { readonly id: number; readonly run: RunRequest }
  /** Ends the run of that number. */
  | { readonly id: number; readonly stop: true };

/** From the worker. */
export type Answer =
  | { readonly id: number; readonly event: RunEvent }
  | { readonly id: number; readonly opened: ModelFacts }
  | { readonly id: number; readonly done: true }
  | { readonly id: number; readonly error: string };
