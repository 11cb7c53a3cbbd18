/**
 * Safetensors files on disk: written atomically, read a tensor at a time.
 */
import { type FileHandle, open, realpath } from 'node:fs/promises';
import type { NdArray } from '@working-papers/tensor/array';
import { writeAtomically } from './atomic.ts';
import { type Checkpoint, type ReadOptions, safetensorsChunks, type WriteOptions } from './safetensors.ts';
import { SafetensorsError } from './safetensors-header.ts';
import type { MatchOptions } from './safetensors-names.ts';
import {
  type ByteSource,
  openCheckpoint,
  readMatchingFrom,
  type SafetensorsFile,
} from './safetensors-reader.ts';

/** A file on disk. Throws the system's error, and an Error for a folder. */
export async function diskSource(path: string): Promise<ByteSource> {
  const handle = await open(path, 'r');
  const stats = await handle.stat();
  if (stats.isDirectory()) {
    await handle.close();
    throw new Error('a folder');
  }
  return {
    size: stats.size,
    path: await realpath(path),
    read: (start, length) => readRange(handle, start, length, path),
    close: () => handle.close(),
  };
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
export function openSafetensors(path: string): Promise<SafetensorsFile> {
  return openCheckpoint(path, diskSource);
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
export function readMatching(
  path: string,
  expected: ReadonlyMap<string, readonly number[]>,
  options: ReadOptions & MatchOptions = {},
): Promise<Map<string, NdArray>> {
  return readMatchingFrom(path, diskSource, expected, options);
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
