/** The live run's own thread: text to tokens, weights to graphs, trees and draws. The engine has another below it. */

import { blobFiles, type ModelFiles } from '@working-papers/models/decoder/model-files';
import { blobSource } from '@working-papers/nn/safetensors-reader';
import { fetchWeights, sentenceOf } from '@working-papers/paper/browser';
import { openDevice } from '@working-papers/tensor';
import { draftName } from '../draft-reader.ts';
import type { Answer, Call, OpenRequest } from './protocol.ts';
import { openSession, type Session } from './session.ts';

// each written out, for bundlers to see
const shipped = {
  'config.json': new URL('../weights/books-5m/config.json', import.meta.url),
  'generation_config.json': new URL('../weights/books-5m/generation_config.json', import.meta.url),
  'tokenizer.json': new URL('../weights/books-5m/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../weights/books-5m/tokenizer_config.json', import.meta.url),
  'model.safetensors': new URL('../weights/books-5m/model.safetensors', import.meta.url),
  'draft.safetensors': new URL('../weights/books-5m/draft.safetensors', import.meta.url),
  'draft-plain.safetensors': new URL('../weights/books-5m/draft-plain.safetensors', import.meta.url),
  'draft-no-noise.safetensors': new URL('../weights/books-5m/draft-no-noise.safetensors', import.meta.url),
} as const;

/** The first five make a model; what else is not there is not offered. */
const needed = 5;

let session: Session | undefined;
let stopper: { readonly id: number; readonly controller: AbortController } | undefined;

async function open({ provider, wasmPaths, picked, draft }: OpenRequest): Promise<Session> {
  const blobs = picked?.blobs ?? (await fetchShipped());
  const beside = blobFiles(picked?.folder ?? 'books-5m', blobs);
  const files = draft ? withDraft(beside, draft) : beside;
  const device = await openDevice({ provider, assets: wasmPaths });
  return openSession(device, files);
}

/** Errors call a draft as the reader does. */
function withDraft(files: ModelFiles, draft: File): ModelFiles {
  const name = draftName({ anchorOffset: true, noise: true });
  return {
    ...files,
    names: [...files.names, name],
    path: (asked) => (asked === name ? draft.name : files.path(asked)),
    open: async (path) => (path === draft.name ? blobSource(draft) : files.open(path)),
  };
}

async function fetchShipped(): Promise<ReadonlyMap<string, Blob>> {
  const blobs = new Map<string, Blob>();
  for (const [i, [name, url]] of Object.entries(shipped).entries()) {
    const bytes = await fetchWeights(url).catch((error: unknown) => {
      if (i < needed) throw error;
    });
    if (bytes) blobs.set(name, new Blob([bytes as BlobPart]));
  }
  return blobs;
}

const answer = (message: Answer) => postMessage(message);

async function handle(call: Call): Promise<void> {
  const { id } = call;
  if ('stop' in call) {
    if (stopper?.id === id) stopper.controller.abort();
    return;
  }
  try {
    if ('open' in call) {
      session = await open(call.open);
      answer({ id, opened: session.facts });
    } else {
      const controller = new AbortController();
      stopper = { id, controller };
      await session!.run(call.run, (event) => answer({ id, event }), controller.signal);
      answer({ id, done: true });
    }
  } catch (error) {
    answer({ id, error: sentenceOf(error) });
  }
}

addEventListener('message', (event: MessageEvent<Call>) => handle(event.data));
