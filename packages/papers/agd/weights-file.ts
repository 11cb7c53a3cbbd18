/** Adapters from disk: those that ship, and the user's own in our form or in the release's. Node only. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModelFile } from '@working-papers/models/model-files';
import { adapterKind, readRelease } from './checkpoint.ts';
import type { AdapterFile } from './generate.ts';
import { defaultName, type ShippedName } from './shipped.ts';

/** Beside the sources, and so one folder up from what is compiled into `dist`. */
const folder = new URL(import.meta.url.endsWith('.ts') ? './weights/' : '../weights/', import.meta.url);

/** Where adapters lie that ship. */
export const shippedAdapters = (name: ShippedName = defaultName): string =>
  fileURLToPath(new URL(`agd-${name}.safetensors`, folder));

export interface ReadAdaptersOptions {
  /** Tokens of the network, for files of the release. */
  readonly tokens?: number;
}

/**
 * Reads `.safetensors` of ours, or `.pt` of the release with the `config.yaml` beside it. Throws a ModelFileError, a
 * SafetensorsError, a TorchFileError, an AdapterError or a NameMismatchError, one line each.
 */
export async function readAdapters(path: string, options: ReadAdaptersOptions = {}): Promise<AdapterFile> {
  if (!existsSync(path) || !/\.(pt|pth|ckpt)$/.test(path))
    return readModelFile(adapterKind, path, 'wp train agd');
  const config = [dirname(path), dirname(dirname(path))]
    .map((folder) => join(folder, 'config.yaml'))
    .find((file) => existsSync(file));
  const { adapters: model, weights } = readRelease(await readFile(path), {
    file: path,
    ...options,
    ...(config !== undefined && { config: await readFile(config, 'utf8') }),
  });
  return { model, weights, options: { adapters: model.options, network: model.network }, card: {} };
}
