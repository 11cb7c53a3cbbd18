/** Requests of OpenAI's interface, checked: what is not supported is refused by name, not passed over. */

import type { ChatMessage } from '@working-papers/models/decoder/tokenizer';
import type { GenerateOptions } from './generate.ts';

/** An answer with a status, in the form that OpenAI's clients expect. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}

export interface ApiRequest {
  readonly kind: 'text' | 'chat';
  readonly prompts: readonly GenerateOptions['prompt'][];
  readonly maxNewTokens?: number;
  readonly options: Pick<GenerateOptions, 'temperature' | 'topP' | 'topK' | 'seed' | 'stop'>;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

type Json = { readonly [key: string]: unknown };

/** Fields that change the answer and are not supported, with the values that change nothing. */
const neutral: { readonly [field: string]: readonly unknown[] } = {
  n: [1],
  best_of: [1],
  echo: [false],
  suffix: [''],
  logprobs: [false, 0],
  presence_penalty: [0],
  frequency_penalty: [0],
  logit_bias: [],
  tools: [],
  functions: [],
  response_format: [],
};

/** Throws an ApiError that names the field, the value found and the value expected. */
export function parseRequest(kind: ApiRequest['kind'], body: unknown): ApiRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new ApiError(400, 'the body is not a JSON object');
  const json = body as Json;
  const wrong = (field: string, expected: string): never => {
    throw new ApiError(400, `${field} is ${JSON.stringify(json[field])}, expected ${expected}`, field);
  };
  for (const [field, allowed] of Object.entries(neutral)) {
    const value = json[field];
    const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    const isText = field === 'response_format' && (value as Json | null)?.type === 'text';
    if (value != null && !isEmpty && !isText && !allowed.includes(value))
      wrong(field, 'nothing: it is not supported');
  }
  const number = (field: string, isRight: (n: number) => boolean, expected: string): number | undefined => {
    const value = json[field] ?? undefined;
    if (value === undefined) return undefined;
    return typeof value === 'number' && isRight(value) ? value : wrong(field, expected);
  };
  const count = (field: string) => number(field, (n) => Number.isInteger(n) && n >= 1, 'a positive integer');
  const maxNewTokens = count('max_completion_tokens') ?? count('max_tokens');
  const topP = number('top_p', (n) => n > 0 && n <= 1, 'more than 0 and at most 1');
  const topK = count('top_k');
  const seed =
    number('seed', (n) => Number.isSafeInteger(n) && n >= 0, 'a non-negative integer') ??
    Math.floor(Math.random() * 2 ** 31);
  const flag = (value: unknown, field: string): boolean => {
    if (value != null && typeof value !== 'boolean') wrong(field, 'true or false');
    return value === true;
  };
  const streamOptions = (json.stream_options ?? {}) as Json;
  return {
    kind,
    prompts: kind === 'chat' ? [messagesOf(json.messages)] : promptsOf(json.prompt, wrong),
    ...(maxNewTokens !== undefined && { maxNewTokens }),
    options: {
      temperature: number('temperature', (n) => n >= 0 && n <= 2, 'a number from 0 to 2') ?? 1,
      ...(topP !== undefined && { topP }),
      ...(topK !== undefined && { topK }),
      seed,
      stop: stopsOf(json.stop, wrong),
    },
    stream: flag(json.stream, 'stream'),
    includeUsage: flag(streamOptions.include_usage, 'stream_options'),
  };
}

type Wrong = (field: string, expected: string) => never;

const isTokens = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id));

function promptsOf(prompt: unknown, wrong: Wrong): GenerateOptions['prompt'][] {
  if (typeof prompt === 'string') return [prompt];
  if (isTokens(prompt)) return [prompt];
  const isList = Array.isArray(prompt) && prompt.length > 0;
  if (isList && prompt.every((each) => typeof each === 'string' || isTokens(each)))
    return prompt as GenerateOptions['prompt'][];
  return wrong('prompt', 'a string, a list of strings, or tokens');
}

function stopsOf(stop: unknown, wrong: Wrong): readonly string[] {
  if (stop == null) return [];
  const list: unknown = typeof stop === 'string' ? [stop] : stop;
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string'))
    wrong('stop', 'a string or a list of strings');
  return list as string[];
}

function messagesOf(messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new ApiError(
      400,
      `messages is ${JSON.stringify(messages)}, expected a list of messages`,
      'messages',
    );
  return messages.map((message: Json | null, i) => {
    const { role, content } = message ?? {};
    const text = contentOf(content);
    if (typeof role !== 'string' || text === undefined)
      throw new ApiError(
        400,
        `messages[${i}] is ${JSON.stringify(message)}, expected a role and a content of text`,
        'messages',
      );
    return { role, content: text };
  });
}

/** Text, or parts of text. */
function contentOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  const parts = content.map((part: Json | null) => (part?.type === 'text' ? part.text : undefined));
  return parts.every((part) => typeof part === 'string') ? parts.join('') : undefined;
}
