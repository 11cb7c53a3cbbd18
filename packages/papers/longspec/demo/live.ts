/** The page's end of the live run's worker. */

import type { Answer, Call, ModelFacts, OpenRequest, Picked, RunEvent, RunRequest } from './protocol.ts';

export interface Live {
  /** What was asked for. */
  readonly request: OpenRequest;
  readonly facts: ModelFacts;
  /** Resolves when both decodings have ended; `signal` ends them after the call under way and rejects. */
  run(request: RunRequest, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Files of a folder or of one pick. Of folders in the folder nothing is taken. */
export function pickedFrom(files: readonly File[]): Picked {
  const inside = files.map((file) => ({ file, parts: file.webkitRelativePath.split('/') }));
  const top = inside.filter(({ parts }) => parts.length <= 2);
  const folder = inside[0]?.parts.length === 1 ? 'the files' : (inside[0]?.parts[0] ?? 'the folder');
  return { folder, blobs: new Map(top.map(({ file }) => [file.name, file])) };
}

/** Starts a worker with a model, by default the one that ships. Throws with a sentence for the reader. */
export async function openLive(request: OpenRequest): Promise<Live> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  const listeners = new Map<number, (event: RunEvent) => void>();
  const fail = (error: Error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.addEventListener('error', (event) => fail(new Error(event.message || 'the worker did not start')));
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
    if ('event' in data) return listeners.get(data.id)?.(data.event);
    const waiter = waiting.get(data.id);
    waiting.delete(data.id);
    listeners.delete(data.id);
    if ('error' in data) waiter?.reject(new Error(data.error));
    else waiter?.resolve(data);
  });
  const closed = new Error('another model was chosen');
  let isClosed = false;
  let calls = 0;
  const ask = (make: (id: number) => Call): { readonly id: number; readonly answer: Promise<Answer> } => {
    const id = calls++;
    const answer = new Promise<Answer>((resolve, reject) => {
      if (isClosed) reject(closed);
      else waiting.set(id, { resolve, reject });
    });
    worker.postMessage(make(id));
    return { id, answer };
  };
  const close = async () => {
    isClosed = true;
    worker.terminate();
    fail(closed);
  };
  try {
    const answer = await ask((id) => ({ id, open: request })).answer;
    const { opened } = answer as Extract<Answer, { opened: ModelFacts }>;
    return {
      request,
      facts: opened,
      async run(asked, onEvent, signal) {
        signal.throwIfAborted();
        const { id, answer } = ask((id) => ({ id, run: asked }));
        listeners.set(id, onEvent);
        const stop = () => worker.postMessage({ id, stop: true } satisfies Call);
        signal.addEventListener('abort', stop);
        try {
          await answer;
        } catch (error) {
          throw signal.aborted ? signal.reason : error;
        } finally {
          signal.removeEventListener('abort', stop);
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
