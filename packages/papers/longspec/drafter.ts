/** What all ways of guessing ahead have in common: they propose trees, and hear what came of them. */

import type { DecodeResult } from '@working-papers/models/decoder/cached-decoder';
import type { KvCache } from '@working-papers/tensor';
import type { TokenTree } from './tree.ts';

/** A text under way, shared by verification and drafting. */
export interface Text {
  /** Prompt and what was emitted, in order. The last token is the root of the next tree: the cache lacks it. */
  readonly tokens: readonly number[];
  readonly promptLength: number;
  /** The target's, of all tokens but the last. */
  readonly cache: KvCache;
  /** Most tokens that the text can come to have. */
  readonly capacity: number;
}

/** What verification found: the text has grown by then. */
export interface Accepted {
  /** Nodes of the last tree that are part of the text now, from the root's child on. */
  readonly path: readonly number[];
  /** Keys and values of the verified rows; row 0 is the last root, row i + 1 node i. */
  readonly result: DecodeResult;
}

export interface DraftSession {
  /** Guesses for what follows the text's last token; at most `room` tokens deep. */
  propose(room: number): Promise<TokenTree>;
  accept(accepted: Accepted): Promise<void>;
  dispose(): Promise<void>;
}

export interface Drafter {
  readonly name: string;
  /** Called when the prompt is in the cache and the first token was chosen. */
  start(text: Text): Promise<DraftSession>;
  dispose(): Promise<void>;
}
