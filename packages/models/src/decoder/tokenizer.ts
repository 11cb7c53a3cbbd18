/** Text to tokens and back, and chats to text, by Hugging Face's own libraries. */

import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';

type Json = { readonly [key: string]: unknown };

/** What chat templates are given. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A chat that cannot be put into words: no template, or one that refuses the messages. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

/** The tokenizer of a `tokenizer.json` and its `tokenizer_config.json`. */
export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #config: Json;
  #template: Template | undefined;

  constructor(tokenizer: object, config: object = {}) {
    this.#tokenizer = new Tokenizer(tokenizer, config);
    this.#config = config as Json;
  }

  /** The largest token id plus one. */
  get size(): number {
    let size = 0;
    for (const id of this.#tokenizer.get_vocab().values()) size = Math.max(size, id + 1);
    return size;
  }

  /** With the special tokens that the model expects around a text (BOS), unless they are not wanted. */
  encode(text: string, options: { readonly special?: boolean } = {}): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: options.special ?? true }).ids;
  }

  /** Without special tokens. */
  decode(ids: readonly number[]): string {
    return this.#tokenizer.decode([...ids], {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  }

  idOf(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  get hasChatTemplate(): boolean {
    return this.#templateText() !== undefined;
  }

  /** The prompt that asks for the answer to a chat. Throws a ChatTemplateError. */
  chat(messages: readonly ChatMessage[]): number[] {
    const text = this.#templateText();
    if (text === undefined)
      throw new ChatTemplateError('this model has no chat template: use plain completions');
    this.#template ??= new Template(text);
    try {
      const prompt = this.#template.render({
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: true,
        bos_token: tokenText(this.#config.bos_token),
        eos_token: tokenText(this.#config.eos_token),
      });
      return this.encode(prompt, { special: false }); // the template writes its own
    } catch (error) {
      throw new ChatTemplateError(`the chat template refuses these messages: ${(error as Error).message}`);
    }
  }

  /** A template, or the one named `default` of several. */
  #templateText(): string | undefined {
    const template = this.#config.chat_template;
    if (typeof template === 'string') return template;
    if (!Array.isArray(template)) return undefined;
    const named = template.find((each) => each?.name === 'default')?.template;
    return typeof named === 'string' ? named : undefined;
  }
}

/** Special tokens are text, or objects that hold their text. */
function tokenText(token: unknown): string {
  if (typeof token === 'string') return token;
  const content = (token as { readonly content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : '';
}

/**
 * Text of a growing list of tokens, piece by piece: a character whose bytes are spread over several tokens is held
 * back until it is whole. The pieces together are the text of all tokens.
 */
export function streamDecoder(tokenizer: TextTokenizer): {
  push(token: number): string;
  /** What was held back. */
  end(): string;
} {
  // Text depends on the tokens before (a leading space is dropped at the beginning), but not on those far before.
  let window: number[] = [];
  let given = '';
  const piece = (text: string): string => {
    const fresh = text.slice(given.length);
    given = text;
    return fresh;
  };
  return {
    push(token) {
      window.push(token);
      const text = tokenizer.decode(window);
      if (text.endsWith('\ufffd') && window.length < 256) return '';
      const fresh = piece(text);
      if (window.length >= 64) {
        window = window.slice(-16);
        given = tokenizer.decode(window);
      }
      return fresh;
    },
    end: () => piece(tokenizer.decode(window)),
  };
}
