/** How much memory a continued text takes, beside what weights and cache are. Node only. */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { weightBytes } from '@working-papers/models/decoder/by-count';
import { parseConfig } from '@working-papers/models/decoder/config';
import { Decoder } from '@working-papers/models/decoder/decoder';
import { writeDecoder } from '@working-papers/models/decoder/folder';
import type { LoadedDecoder } from '@working-papers/models/decoder/model-files';
import { initialize } from '@working-papers/nn/module';
import type { WeightValues } from '@working-papers/tensor';
import { writeDraft } from './draft-file.ts';
import { DraftModel } from './model.ts';

/** Bytes. */
export interface MemoryUse {
  /** Most that the process has had in memory, everything included. */
  readonly peak: number;
  /** Of the target, computed with in float32. */
  readonly weights: number;
  /** Keys and values of all tokens. */
  readonly cache: number;
}

/**
 * Most that this process has had in memory. On Linux the system's account of the process begins with what the one that
 * started it had; the program's own is in /proc.
 */
function peakMemory(): number {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const own = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return 1024 * (own === undefined ? process.resourceUsage().maxRSS : Number(own));
}

/** Of this process so far, with a text of so many tokens. */
export function memoryUse({ config, weights }: LoadedDecoder<WeightValues>, tokens: number): MemoryUse {
  const { numLayers, numKvHeads, headDim } = config;
  return {
    peak: peakMemory(),
    weights: weightBytes(weights),
    cache: 4 * tokens * 2 * numLayers * numKvHeads * headDim,
  };
}

/** A model whose memory was measured, in a process of its own. */
export interface MemoryResult extends MemoryUse {
  readonly model: string;
  /** Of the prompt. */
  readonly tokens: number;
}

/** Continues the text of a file by `wp run longspec`. Throws what the command says where it fails. */
export async function measureMemory(
  model: string,
  folder: string,
  prompt: string,
  { threads, signal }: { readonly threads: number; readonly signal: AbortSignal },
): Promise<MemoryResult> {
  const command = [
    'run',
    'longspec',
    '--model',
    folder,
    '--prompt',
    prompt,
    '--max-new-tokens',
    '16',
    '--json',
  ];
  const [node, script] = process.argv as [string, string];
  const child = spawn(node, [...process.execArgv, script, ...command, '--threads', String(threads)], {
    signal,
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    error = (error + text).slice(-2000);
  });
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`${command.join(' ')}: ${error}`);
  const { memory, promptTokens } = JSON.parse(out) as { memory: MemoryUse; promptTokens: number };
  return { model, tokens: promptTokens, ...memory };
}

/** The sizes of SmolLM2-360M (Ben Allal et al. 2025, arXiv 2502.02737), as its `config.json` has them. */
const largeConfig = {
  model_type: 'llama',
  vocab_size: 49_152,
  hidden_size: 960,
  intermediate_size: 2560,
  num_hidden_layers: 32,
  num_attention_heads: 15,
  num_key_value_heads: 5,
  rms_norm_eps: 1e-5,
  rope_theta: 100_000,
  max_position_embeddings: 32_768,
  tie_word_embeddings: true,
};

export const largeName = 'generated, of the sizes of SmolLM2-360M';

/** Writes a model of those sizes with random weights in BF16, as most are published, and a draft. */
export async function writeLargeModel(folder: string, tokenizer: object): Promise<void> {
  const config = parseConfig(largeConfig, largeName);
  const model = new Decoder(config);
  await writeDecoder(folder, {
    model,
    weights: initialize(model, 1),
    tokenizer,
    bosToken: 0,
    eosToken: 1,
    storage: 'BF16',
  });
  const draft = new DraftModel(config);
  await writeDraft(join(folder, 'draft.safetensors'), draft, initialize(draft, 1), {}, 'BF16');
}
