/** Text from text: what a program that uses a model wants of speculative decoding. */

import type { CachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import {
  type ChatMessage,
  streamDecoder,
  type TextTokenizer,
} from '@working-papers/models/decoder/tokenizer';
import { decode, type Summary } from './decode.ts';
import type { Drafter } from './drafter.ts';
import type { SamplingOptions } from './sampling.ts';
import { stopFilter } from './stop.ts';

/** A target with its tokenizer and a way of guessing ahead. */
export interface TextModel {
  readonly target: CachedDecoder;
  readonly tokenizer: TextTokenizer;
  readonly endTokens: readonly number[];
  readonly drafter: Drafter;
}

export interface GenerateOptions extends SamplingOptions {
  /** Text, a chat for models with a template, or tokens as they are. */
  readonly prompt: string | readonly ChatMessage[] | readonly number[];
  /** Default 256. */
  readonly maxNewTokens?: number;
  /** Strings at which the text ends; they are not part of it. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: (done: number, total: number) => void;
}

/** A token and the text that it made certain, which is empty inside a character and before a possible stop. */
export interface GeneratedToken {
  readonly id: number;
  readonly text: string;
  /** Guessed ahead, and confirmed. */
  readonly guessed: boolean;
}

export interface Generation {
  readonly reason: 'end token' | 'stop string' | 'length';
  readonly promptTokens: number;
  /** Of decoding, unless a stop string cut it short. */
  readonly summary: Summary | undefined;
}

/** The prompt's tokens: text and chats begin as the model expects them to. */
export function promptTokens(tokenizer: TextTokenizer, prompt: GenerateOptions['prompt']): readonly number[] {
  if (typeof prompt === 'string') return tokenizer.encode(prompt);
  const isChat = (list: GenerateOptions['prompt']): list is readonly ChatMessage[] =>
    typeof list[0] === 'object';
  return isChat(prompt) ? tokenizer.chat(prompt) : (prompt as readonly number[]);
}

/**
 * Yields token by token; returns how it ended. Same prompt, same options: same text, whatever the drafter.
 *
 *     for await (const { text } of generate(model, { prompt: 'It was' })) process.stdout.write(text);
 */
export async function* generate(
  model: TextModel,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, Generation, undefined> {
  const { tokenizer, endTokens, target, drafter } = model;
  const { prompt, maxNewTokens = 256, stop = [], onPrefill, ...sampling } = options;
  const ids = promptTokens(tokenizer, prompt);
  const run = decode({
    ...sampling,
    target,
    drafter,
    prompt: ids,
    maxNewTokens,
    endTokens,
    ...(onPrefill && { onPrefill: (done: number) => onPrefill(done, ids.length) }),
  });
  const stream = streamDecoder(tokenizer);
  const filter = stopFilter(stop);
  let emitted = 0;
  try {
    for (;;) {
      const { value, done } = await run.next();
      if (done) return { reason: value.reason, promptTokens: ids.length, summary: value };
      for (const [i, id] of value.tokens.entries()) {
        emitted++;
        const isEnd = endTokens.includes(id);
        const piece = isEnd ? '' : stream.push(id);
        // nothing follows: what was held back is certain
        const isLast = isEnd || emitted === maxNewTokens;
        const { text, done: stopped } = filter.push(isLast ? piece + stream.end() : piece);
        const rest = isLast && !stopped ? filter.end() : '';
        yield { id, text: text + rest, guessed: i < value.tokens.length - 1 };
        if (stopped) return { reason: 'stop string', promptTokens: ids.length, summary: undefined };
      }
    }
  } finally {
    await run.return(undefined as never);
  }
}
