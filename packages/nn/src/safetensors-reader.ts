/**
 * Checkpoints read a tensor at a time, from wherever their bytes are: a disk, or files that a reader of a page picked.
 */
import { type FileArray, folderOf, isFileArray, type NdArray } from '@working-papers/tensor/array';
import { decodeTensor, type ReadOptions } from './safetensors.ts';
import {
  elementBytes,
  parseHeader,
  parseHeaderLength,
  SafetensorsError,
  type TensorInfo,
} from './safetensors-header.ts';
import { type MatchOptions, matchNames } from './safetensors-names.ts';

/** A file that parts of can be read. */
export interface ByteSource {
  readonly size: number;
  /** Where it lies, absolute and without symbolic links, if that is on a disk. */
  readonly path?: string;
  /** An array of its own of exactly `length` bytes. */
  read(start: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a file by its path. Throws where there is none. */
export type OpenBytes = (path: string) => Promise<ByteSource>;

/** A blob, a reader's file for one. */
export function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    read: async (start, length) => new Uint8Array(await blob.slice(start, start + length).arrayBuffer()),
    close: async () => {},
  };
}

/** An open checkpoint of one file or of many shards; only the headers are in memory. */
export interface SafetensorsFile extends AsyncDisposable {
  readonly path: string;
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Throws a SafetensorsError for a name that is not there. */
  info(name: string): TensorInfo;
  /** Reads the bytes of this tensor only. */
  read(name: string, options?: ReadOptions): Promise<NdArray>;
  /**
   * Where this tensor lies, for devices that map it; undefined where they cannot: for a file that is not on a disk, for
   * what is not F32, F16 or BF16, and for one whose place is no multiple of its element's size.
   */
  locate(name: string): FileArray | undefined;
  close(): Promise<void>;
}

/**
 * Opens a `.safetensors` file, or all shards of a `model.safetensors.index.json`, which lie beside it.
 * Throws a SafetensorsError that names the file for whatever is malformed.
 */
export async function openCheckpoint(path: string, open: OpenBytes): Promise<SafetensorsFile> {
  return path.endsWith('.json') ? openShards(path, open) : openOne(path, open);
}

/**
 * The tensors of a model from a checkpoint at `path`, under the model's names, in the model's order.
 * Throws a NameMismatchError, before any tensor is read, when names or shapes do not fit.
 */
export async function readMatchingFrom(
  path: string,
  open: OpenBytes,
  expected: ReadonlyMap<string, readonly number[]>,
  options: ReadOptions & MatchOptions = {},
): Promise<Map<string, NdArray>> {
  return matching(path, open, expected, options, (file, name) => file.read(name, options));
}

/**
 * As `readMatchingFrom`, but tensors that a device can map stay in their files. Those of a second folder are read, as
 * a graph takes files from one.
 */
export async function locateMatchingFrom(
  path: string,
  open: OpenBytes,
  expected: ReadonlyMap<string, readonly number[]>,
  options: MatchOptions = {},
): Promise<Map<string, NdArray | FileArray>> {
  const take = (file: SafetensorsFile, name: string, folder: string | undefined) => {
    const located = file.locate(name);
    const fits = located && (folder ?? folderOf(located.path)) === folderOf(located.path);
    return fits ? located : file.read(name);
  };
  return matching<NdArray | FileArray>(path, open, expected, options, take);
}

async function matching<A extends NdArray | FileArray>(
  path: string,
  open: OpenBytes,
  expected: ReadonlyMap<string, readonly number[]>,
  options: MatchOptions,
  take: (file: SafetensorsFile, name: string, folder: string | undefined) => Promise<A> | A,
): Promise<Map<string, A>> {
  await using file = await openCheckpoint(path, open);
  const shapes = new Map(file.names.map((name) => [name, file.info(name).shape]));
  const pairs = matchNames(expected, shapes, { file: path, ...options });
  const tensors = new Map<string, A>();
  let folder: string | undefined;
  for (const name of expected.keys()) {
    const tensor = await take(file, pairs.get(name)!, folder);
    if (isFileArray(tensor)) folder = folderOf(tensor.path);
    tensors.set(name, tensor);
  }
  return tensors;
}

/** Opens, or throws in the system's words, without the path that the error names anyway. */
async function openReadable(path: string, open: OpenBytes): Promise<ByteSource> {
  return open(path).catch(({ code, message }: Error & { readonly code?: string }) => {
    const found = code === 'ENOENT' ? undefined : message.replace(/, \w+ '.*'$/, '');
    throw new SafetensorsError(path, undefined, 'file', found, 'a readable file');
  });
}

async function openOne(path: string, open: OpenBytes): Promise<SafetensorsFile> {
  const source = await openReadable(path, open);
  const { size } = source;
  try {
    const length = parseHeaderLength(await source.read(0, Math.min(8, size)), size, path);
    const dataStart = 8 + length;
    const { tensors, metadata } = parseHeader(await source.read(8, length), size - dataStart, path);
    return fileOf(
      { path, tensors, metadata },
      async (info, options) => {
        const bytes = await source.read(dataStart + info.begin, info.end - info.begin);
        return decodeTensor(info, bytes, path, options);
      },
      (info) => locate(info, source.path, dataStart),
      () => source.close(),
    );
  } catch (error) {
    await source.close();
    throw error;
  }
}

const storedFloats = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

function locate(
  { dtype, shape, begin }: TensorInfo,
  path: string | undefined,
  dataStart: number,
): FileArray | undefined {
  const offset = dataStart + begin;
  if (path === undefined || !(dtype in storedFloats) || offset % elementBytes[dtype] !== 0) return undefined;
  const stored = storedFloats[dtype as keyof typeof storedFloats];
  return { dtype: 'float32', shape, stored, path, offset };
}

async function openShards(path: string, open: OpenBytes): Promise<SafetensorsFile> {
  const shardOf = await readIndex(path, open);
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
        shard = await openOne(`${path.slice(0, -basename(path).length)}${shardName}`, open);
        shards.set(shardName, shard);
        Object.assign(metadata, shard.metadata);
      }
      tensors.set(name, shard.info(name));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return fileOf(
    { path, tensors, metadata },
    ({ name }, options) => shards.get(shardOf.get(name)!)!.read(name, options),
    ({ name }) => shards.get(shardOf.get(name)!)!.locate(name),
    close,
  );
}

interface Contents extends Pick<SafetensorsFile, 'path' | 'metadata'> {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

function fileOf(
  { path, tensors, metadata }: Contents,
  read: (info: TensorInfo, options?: ReadOptions) => Promise<NdArray>,
  locate: (info: TensorInfo) => FileArray | undefined,
  close: () => Promise<void>,
): SafetensorsFile {
  const info = (name: string) => lookUp(tensors, name, path);
  return {
    path,
    names: [...tensors.keys()],
    metadata,
    info,
    read: async (name, options) => read(info(name), options),
    locate: (name) => locate(info(name)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Names to shard files, from the index that large checkpoints have beside their shards. */
async function readIndex(path: string, open: OpenBytes): Promise<Map<string, string>> {
  const source = await openReadable(path, open);
  const text = new TextDecoder().decode(await source.read(0, source.size));
  await source.close();
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

/** What follows the last slash, of either kind. */
function basename(path: string): string {
  return /[^/\\]*$/.exec(path)![0];
}
