/** Other runtimes with the same weights, each in a process of its own, beside ours. Node only. */

import { type ChildProcess, fork } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import { ggufOf } from './gguf.ts';
import { huggingFaceOnnx } from './hugging-face-onnx.ts';

export const transformersPackage = '@huggingface/transformers';
export const llamaCppPackage = 'node-llama-cpp';

export interface PeerRequest {
  readonly prompt: readonly number[];
  readonly newTokens: number;
}

export interface PeerDecoding {
  readonly tokens: readonly number[];
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

export type PeerAnswer =
  | { readonly version: string }
  | { readonly decoding: PeerDecoding }
  | { readonly error: string };

export interface Peer {
  /** With its version. */
  readonly name: string;
  decode(request: PeerRequest): Promise<PeerDecoding>;
}

export interface Peers extends AsyncDisposable {
  readonly list: readonly Peer[];
  /** Those that could not be had, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

/** Both runtimes with a model of ours, written for them into a folder that goes when they go. */
export async function openPeers(loaded: LoadedDecoder, threads: number): Promise<Peers> {
  const root = await mkdtemp(join(tmpdir(), 'longspec-peers-'));
  const folder = join(root, 'model');
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const read = async (name: string) => JSON.parse(await readFile(join(loaded.folder, name), 'utf8'));
  const { bos_token_id: bosToken, eos_token_id: eosToken } = await read('config.json');
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    await copyFile(join(loaded.folder, name), join(folder, name));
  await writeFile(join(folder, 'onnx', 'model.onnx'), huggingFaceOnnx(loaded));
  const gguf = ggufOf(loaded, { tokenizer: await read('tokenizer.json'), bosToken, eosToken });
  await writeFile(join(folder, 'model.gguf'), gguf);

  const list: Peer[] = [];
  const missing: { name: string; why: string }[] = [];
  const children: ChildProcess[] = [];
  for (const name of [transformersPackage, llamaCppPackage]) {
    const file = import.meta.url.endsWith('.ts') ? './peer-worker.ts' : './peer-worker.js';
    const child = fork(
      fileURLToPath(new URL(file, import.meta.url)),
      [name, folder, String(threads), String(loaded.config.maxPositions)],
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    );
    children.push(child);
    const ready = await answerOf(child);
    if (!('version' in ready)) missing.push({ name, why: 'error' in ready ? ready.error : 'no answer' });
    else
      list.push({
        name: `${name.replace('@huggingface/transformers', 'transformers.js')} ${ready.version}`,
        async decode(request) {
          child.send(request);
          const answer = await answerOf(child);
          if (!('decoding' in answer))
            throw new Error(`${name}: ${'error' in answer ? answer.error : 'lost'}`);
          return answer.decoding;
        },
      });
  }
  return {
    list,
    missing,
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill();
      await rm(root, { recursive: true, force: true });
    },
  };
}

function answerOf(child: ChildProcess): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    const ended = (code: number | null) => resolve({ error: `its process ended with ${code}` });
    child.once('exit', ended);
    child.once('message', (answer: PeerAnswer) => {
      child.off('exit', ended);
      resolve(answer);
    });
  });
}
