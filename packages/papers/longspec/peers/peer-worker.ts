/** A process of its own for another runtime: `peer-worker.ts NAME FOLDER THREADS POSITIONS`, prompts by messages. */

import { basename, dirname, join } from 'node:path';
import type { PeerAnswer, PeerDecoding, PeerRequest } from './peers.ts';
import { llamaCppPackage, transformersPackage } from './peers.ts';

type Decode = (request: PeerRequest) => Promise<PeerDecoding>;
interface Runtime {
  readonly version: string;
  readonly decode: Decode;
}

/** When tokens came, and which. */
function watch() {
  const start = performance.now();
  const times: number[] = [];
  const tokens: number[] = [];
  return {
    saw(token: number): void {
      times.push(performance.now());
      tokens.push(token);
    },
    /** The first token is the prompt's; decoding is what follows. */
    done: (): PeerDecoding => ({
      tokens,
      prefillMs: times[0]! - start,
      decodeMs: times.at(-1)! - times[0]!,
    }),
  };
}

/** The parts of the packages that are used; neither is among our dependencies. */
interface Transformers {
  readonly env: { readonly version: string; allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: object): Promise<{ generate(options: object): Promise<unknown> }>;
  };
  readonly BaseStreamer: new () => { put(value: bigint[][]): void; end(): void };
  readonly Tensor: new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => unknown;
}

async function transformersJs(folder: string, threads: number): Promise<Runtime> {
  const { env, AutoModelForCausalLM, BaseStreamer, Tensor } = (await import(
    transformersPackage
  )) as Transformers;
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const model = await AutoModelForCausalLM.from_pretrained(basename(folder), {
    dtype: 'fp32',
    device: 'cpu',
    session_options: { intraOpNumThreads: threads },
  });
  return {
    version: env.version,
    async decode({ prompt, newTokens }) {
      const watched = watch();
      let isPrompt = true;
      class Streamer extends BaseStreamer {
        override put([tokens]: bigint[][]): void {
          if (!isPrompt) for (const token of tokens!) watched.saw(Number(token));
          isPrompt = false;
        }
        override end(): void {}
      }
      const row = (values: readonly number[]) =>
        new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
      await model.generate({
        input_ids: row(prompt),
        attention_mask: row(prompt.map(() => 1)),
        max_new_tokens: newTokens,
        do_sample: false,
        streamer: new Streamer(),
      });
      return watched.done();
    },
  };
}

interface LlamaCpp {
  getModuleVersion(): Promise<string>;
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          clearHistory(): Promise<void>;
          evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
        };
      }>;
    }>;
  }>;
}

async function llamaCpp(folder: string, threads: number, positions: number): Promise<Runtime> {
  const { getLlama, getModuleVersion } = (await import(llamaCppPackage)) as LlamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: join(folder, 'model.gguf') });
  // on a processor its flash attention is the slower of the two for single tokens after a long prompt
  const context = await model.createContext({ contextSize: positions, threads, flashAttention: false });
  const sequence = context.getSequence();
  const version = await getModuleVersion();
  return {
    version,
    async decode({ prompt, newTokens }) {
      await sequence.clearHistory();
      const watched = watch();
      let left = newTokens;
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        watched.saw(token);
        left--;
        if (left === 0) break;
      }
      return watched.done();
    },
  };
}

const [name, folder, threads, positions] = process.argv.slice(2) as [string, string, string, string];
const send = (answer: PeerAnswer) => process.send!(answer);
try {
  const open = { [transformersPackage]: transformersJs, [llamaCppPackage]: llamaCpp }[name]!;
  const runtime = await open(folder, Number(threads), Number(positions));
  process.on('message', async (request: PeerRequest) => {
    try {
      send({ decoding: await runtime.decode(request) });
    } catch (error) {
      send({ error: (error as Error).message });
    }
  });
  send({ version: runtime.version });
} catch (error) {
  send({ error: (error as Error).message.split('\n')[0]! });
  process.disconnect();
}
