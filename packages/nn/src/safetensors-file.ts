/**
 * Safetensors files on disk: written atomically, read a tensor at a time.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { NdArray } from '@working-papers/tensor/array';
import { writeAtomically } from './atomic.ts';
import {
  type Checkpoint,
  decodeTensor,
  type ReadOptions,
  safetensorsChunks,
  type WriteOptions,
} from './safetensors.ts';
import { parseHeader, parseHeaderLength, SafetensorsError, type TensorInfo } from './safetensors-header.ts';
import { type MatchOptions, matchNames } from './safetensors-names.ts';

/** An open checkpoint of one file or of many shards; only the headers are in memory. */
export interface SafetensorsFile extends AsyncDisposable {
  readonly path: string;
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Throws a SafetensorsError for a name that is not there. */
  info(name: string): TensorInfo;
  /** Reads the bytes of this tensor only. */
  read(name: string, options?: ReadOptions): Promise<NdArray>;
  close(): Promise<void>;
}

/**
 * Writes `tensors` to `path`, atomically: a failure, a full disk for one, leaves an earlier file as it was.
 * The arrays must not change until the promise settles.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, NdArray>,
  options: WriteOptions = {},
): Promise<void> {
  await writeAtomically(path, safetensorsChunks(tensors, options));
}

/**
 * Opens a `.safetensors` file, or all shards of a `model.safetensors.index.json`.
 * Throws a SafetensorsError that names the file for whatever is malformed.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  return path.endsWith('.json') ? openShards(path) : openOne(path);
}

/** Every tensor of a checkpoint and its metadata. */
export async function readSafetensors(path: string, options: ReadOptions = {}): Promise<Checkpoint> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, NdArray>();
  for (const name of file.names) tensors.set(name, await file.read(name, options));
  return { tensors, metadata: file.metadata };
}

/**
 * The tensors of a model from a checkpoint at `path`, under the model's names, in the model's order.
 * Throws a NameMismatchError, before any tensor is read, when names or shapes do not fit.
 */
export async function readMatching(
  path: string,
  expected: ReadonlyMap<string, readonly number[]>,
  options: ReadOptions & MatchOptions = {},
): Promise<Map<string, NdArray>> {
  await using file = await openSafetensors(path);
  const shapes = new Map(file.names.map((name) => [name, file.info(name).shape]));
  const pairs = matchNames(expected, shapes, { file: path, ...options });
  const tensors = new Map<string, NdArray>();
  for (const name of expected.keys()) tensors.set(name, await file.read(pairs.get(name)!, options));
  return tensors;
}

async function openOne(path: string): Promise<SafetensorsFile> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error);
  });
  try {
    const stats = await handle.stat();
    if (stats.isDirectory())
      throw new SafetensorsError(path, undefined, 'file', 'a folder', 'a readable file');
    const { size } = stats;
    const length = parseHeaderLength(await readRange(handle, 0, Math.min(8, size), path), size, path);
    const dataStart = 8 + length;
    const { tensors, metadata } = parseHeader(
      await readRange(handle, 8, length, path),
      size - dataStart,
      path,
    );
    const info = (name: string) => lookUp(tensors, name, path);
    return {
      path,
      names: [...tensors.keys()],
      metadata,
      info,
      async read(name, options) {
        const { begin, end } = info(name);
        return decodeTensor(
          info(name),
          await readRange(handle, dataStart + begin, end - begin, path),
          path,
          options,
        );
      },
      close: () => handle.close(),
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** In the system's words, without the path that the error names anyway. */
function unreadable(path: string, { code, message }: NodeJS.ErrnoException): SafetensorsError {
  const found = code === 'ENOENT' ? undefined : message.replace(/, \w+ '.*'$/, '');
  return new SafetensorsError(path, undefined, 'file', found, 'a readable file');
}

async function openShards(path: string): Promise<SafetensorsFile> {
  const shardOf = await readIndex(path);
  const shards = new Map<string, SafetensorsFile>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  const tensors = new Map<string, TensorInfo>();
  const metadata: Record<string, string> = {};
  try {
    for (const [name, shardName] of shardOf) {
      let shard = shards.get(shardName);
      if (shard === undefined) {
        shard = await openOne(join(dirname(path), shardName));
        shards.set(shardName, shard);
        Object.assign(metadata, shard.metadata);
      }
      tensors.set(name, shard.info(name));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const info = (name: string) => lookUp(tensors, name, path);
  return {
    path,
    names: [...tensors.keys()],
    metadata,
    info,
    async read(name, options) {
      return shards.get(shardOf.get(info(name).name)!)!.read(name, options);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Names to shard files, from the index that large checkpoints have beside their shards. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error);
  });
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError(path, undefined, 'index', (error as Error).message, 'JSON');
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new SafetensorsError(
      path,
      undefined,
      'weight_map',
      map,
      'an object from tensor names to file names',
    );
  }
  const entries = Object.entries(map);
  for (const [name, shard] of entries) {
    if (typeof shard !== 'string' || shard === '' || shard !== basename(shard)) {
      throw new SafetensorsError(path, name, 'shard', shard, 'the name of a file beside the index');
    }
  }
  return new Map(entries as [string, string][]);
}

function lookUp(tensors: ReadonlyMap<string, TensorInfo>, name: string, path: string): TensorInfo {
  const info = tensors.get(name);
  if (info === undefined)
    throw new SafetensorsError(path, name, 'tensor', 'none', `one of ${tensors.size} names`);
  return info;
}

async function readRange(
  handle: FileHandle,
  start: number,
  length: number,
  path: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
    if (bytesRead === 0)
      throw new SafetensorsError(path, undefined, 'bytes read', done, `${length}, the file shrank`);
    done += bytesRead;
  }
  return bytes;
}
