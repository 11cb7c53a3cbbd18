/**
 * A model behind the HTTP interface of OpenAI's completions and chat completions, streaming included, for the client
 * libraries that speak it (https://platform.openai.com/docs/api-reference). One request is answered at a time, others
 * wait. Node only.
 */

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type GenerateOptions, generate, promptTokens, type TextModel } from './generate.ts';
import { ApiError, type ApiRequest, parseRequest } from './server-request.ts';

export interface ServerOptions {
  readonly model: TextModel & { readonly name: string };
  /** Called with one line for each answered request. */
  readonly log?: (line: string) => void;
}

/** Largest body of a request in bytes. */
const bodyLimit = 16 * 2 ** 20;

/** The server; the caller listens and closes. */
export function createModelServer({ model, log = () => {} }: ServerOptions): Server {
  let queue: Promise<unknown> = Promise.resolve();
  /** Runs requests one after the other, since they share the device. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  };
  return createServer((request, response) => {
    const closed = new AbortController();
    response.on('close', () => closed.abort(new Error('the client has gone')));
    answer(request, response, closed.signal).catch((error: unknown) => {
      if (!closed.signal.aborted) sendError(response, error);
    });
  });

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (request.method === 'GET' && path === '/v1/models') {
      sendJson(response, 200, { object: 'list', data: [modelCard()] });
      return;
    }
    const kind = path === '/v1/completions' ? 'text' : path === '/v1/chat/completions' ? 'chat' : undefined;
    if (!kind || request.method !== 'POST')
      throw new ApiError(404, `${request.method} ${path} is not served here`, null, 'not_found');
    const parsed = parseRequest(kind, await readJson(request));
    await inTurn(async () => {
      if (signal.aborted) return;
      await complete(parsed, response, signal);
    });
  }

  function modelCard(): object {
    return { id: model.name, object: 'model', created: 0, owned_by: 'local' };
  }

  async function complete(request: ApiRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { kind, stream, includeUsage } = request;
    const started = performance.now();
    const choices = request.prompts.map((prompt) => choiceOf(request, prompt));
    const about = {
      id: `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
    const object = kind === 'chat' ? 'chat.completion' : 'text_completion';
    const chunk = { ...about, object: kind === 'chat' ? 'chat.completion.chunk' : object };
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    const finished: object[] = [];
    const send = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
    for (const [index, options] of choices.entries()) {
      const run = generate(model, { ...options, signal });
      let text = '';
      for (;;) {
        // the first error comes before the first byte, so that it can be told with its status
        const { value, done } = await run.next();
        if (stream && !response.headersSent) beginStream(response);
        if (stream && kind === 'chat' && text === '' && usage.completion_tokens === 0)
          send({ ...chunk, choices: [delta(kind, index, { role: 'assistant', content: '' })] });
        if (done) {
          const reason = value.reason === 'length' ? 'length' : 'stop';
          usage.prompt_tokens += value.promptTokens;
          if (stream) send({ ...chunk, choices: [delta(kind, index, {}, reason)] });
          finished.push(whole(kind, index, text, reason));
          break;
        }
        usage.completion_tokens++;
        text += value.text;
        if (stream && value.text !== '')
          send({ ...chunk, choices: [delta(kind, index, { content: value.text })] });
      }
    }
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    if (stream) {
      if (includeUsage) send({ ...chunk, choices: [], usage });
      response.end('data: [DONE]\n\n');
    } else sendJson(response, 200, { ...about, object, choices: finished, usage });
    const seconds = (performance.now() - started) / 1000;
    log(
      `${kind}: ${usage.prompt_tokens} + ${usage.completion_tokens} tokens in ${seconds.toFixed(2)} s with ${model.drafter.name}`,
    );
  }

  /** Tokenizes now: a chat that the template refuses is the request's fault. */
  function choiceOf(request: ApiRequest, prompt: GenerateOptions['prompt']): GenerateOptions {
    const { maxPositions } = model.target.config;
    try {
      const ids = promptTokens(model.tokenizer, prompt);
      const room = maxPositions - ids.length;
      const { maxNewTokens = Math.max(1, request.kind === 'chat' ? room : Math.min(16, room)) } = request;
      return { ...request.options, prompt: ids, maxNewTokens };
    } catch (error) {
      throw new ApiError(400, (error as Error).message, request.kind === 'chat' ? 'messages' : 'prompt');
    }
  }
}

/** A piece of a streamed choice. */
function delta(
  kind: ApiRequest['kind'],
  index: number,
  piece: { readonly role?: string; readonly content?: string },
  reason: string | null = null,
): object {
  const content = kind === 'chat' ? { delta: piece } : { text: piece.content ?? '' };
  return { index, ...content, logprobs: null, finish_reason: reason };
}

/** A choice that is complete. */
function whole(kind: ApiRequest['kind'], index: number, text: string, reason: string): object {
  const content =
    kind === 'chat' ? { message: { role: 'assistant', content: text, refusal: null } } : { text };
  return { index, ...content, logprobs: null, finish_reason: reason };
}

function beginStream(response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    connection: 'keep-alive',
  });
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(value));
}

/** What cannot be decoded is the request's fault, everything else ours. */
function sendError(response: ServerResponse, error: unknown): void {
  const known = error instanceof Error ? error : new Error(String(error));
  const theirs = ['DecodeError', 'RangeError', 'ChatTemplateError'].includes(known.name);
  const { status, param, code } =
    known instanceof ApiError ? known : { status: theirs ? 400 : 500, param: null, code: null };
  const type = status === 500 ? 'server_error' : 'invalid_request_error';
  const body = { error: { message: known.message, type, param, code } };
  if (!response.headersSent) sendJson(response, status, body);
  else response.end(`data: ${JSON.stringify(body)}\n\n`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > bodyLimit) throw new ApiError(413, `the body has more than ${bodyLimit} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (error) {
    throw new ApiError(400, `the body is not JSON: ${(error as Error).message}`);
  }
}
