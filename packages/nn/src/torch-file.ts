/**
 * Files of PyTorch's `torch.save` (since version 1.6: a zip archive with a pickle and the bytes of each tensor), read
 * and written without executing anything that a file names. For weights and plain data: dicts, lists, numbers, text,
 * tensors. Runs in Node and in browsers.
 */

import { type NdArray, sizeOf } from '@working-papers/tensor/array';
import { unzipSync, zipSync } from 'fflate';
import { PickleError, unpickle } from './pickle.ts';
import { decodeTensor, type ReadOptions } from './safetensors.ts';

/** What a file holds. Tuples and lists are arrays; dicts are Maps in the order of the file. */
export type TorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | NdArray
  | readonly TorchValue[]
  | ReadonlyMap<string | number, TorchValue>;

/** A file is not one of PyTorch's, is damaged, or holds more than plain data; the message names it. */
export class TorchFileError extends Error {
  override readonly name = 'TorchFileError';
}

/** PyTorch's classes of storage, as safetensors calls their numbers, and bytes of each. */
const storages: Readonly<Record<string, readonly [dtype: string, bytes: number]>> = {
  FloatStorage: ['F32', 4],
  DoubleStorage: ['F64', 8],
  HalfStorage: ['F16', 2],
  BFloat16Storage: ['BF16', 2],
  LongStorage: ['I64', 8],
  IntStorage: ['I32', 4],
  ShortStorage: ['I16', 2],
  ByteStorage: ['U8', 1],
  CharStorage: ['I8', 1],
  BoolStorage: ['BOOL', 1],
};

interface Storage {
  readonly dtype: string;
  readonly width: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads a file's bytes; `file` names it in errors. Halves become float32 unless asked for otherwise. Throws a
 * TorchFileError for anything but plain data.
 */
export function decodeTorch(bytes: Uint8Array, file = 'file', options: ReadOptions = {}): TorchValue {
  const fail = (why: string, cause?: unknown) => new TorchFileError(`${file}: ${why}`, { cause });
  let entries: ReadonlyMap<string, Uint8Array>;
  try {
    entries = new Map(Object.entries(unzipSync(bytes)));
  } catch (error) {
    const legacy =
      bytes[0] === 0x80 ? '; it may be of PyTorch before 1.6: save it again with a newer one' : '';
    throw fail(`not a file of torch.save: ${(error as Error).message}${legacy}`, error);
  }
  const pickleName = [...entries.keys()].find((name) => name.endsWith('/data.pkl') || name === 'data.pkl');
  if (pickleName === undefined) throw fail('not a file of torch.save: there is no data.pkl in it');
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(order).trim() !== 'little') throw fail('its numbers are big-endian');

  const loaded = new Map<string, Storage>();
  const persistent = (id: unknown): Storage => {
    const [kind, type, key, , count] = Array.isArray(id) ? (id as unknown[]) : [];
    const name = typeof type === 'object' && type !== null && 'name' in type ? String(type.name) : '';
    const known = storages[name.replace(/^torch\./, '')];
    if (kind !== 'storage' || !known)
      throw new PickleError(`the pickle refers to ${name || 'data'} that is no tensor's`);
    const [dtype, width] = known;
    const bytes = entries.get(`${folder}data/${String(key)}`);
    if (!bytes) throw new PickleError(`the data ${String(key)} of a tensor is missing`);
    if (bytes.length !== Number(count) * width)
      throw new PickleError(
        `the data ${String(key)} of a tensor has ${bytes.length} bytes, expected ${Number(count) * width}`,
      );
    const storage = loaded.get(String(key)) ?? { dtype, width, bytes };
    loaded.set(String(key), storage);
    return storage;
  };
  const rebuild = (args: readonly unknown[]): NdArray => {
    const [storage, offset, shape, strides] = args as [Storage, number, number[], number[]];
    const lists = [shape, strides].every((list) => Array.isArray(list) && list.every(Number.isInteger));
    if (!storage?.bytes || !Number.isInteger(offset) || !lists || shape.length !== strides.length)
      throw new PickleError('a tensor is not described as PyTorch does');
    const packed = contiguous(storage, offset, shape, strides);
    const info = { name: 'tensor', dtype: storage.dtype, shape, begin: 0, end: packed.length };
    return decodeTensor(info as Parameters<typeof decodeTensor>[0], packed, file, options);
  };
  try {
    return unpickle(entries.get(pickleName)!, {
      persistent,
      calls: {
        'collections.OrderedDict': () => new Map(),
        'torch._utils._rebuild_tensor_v2': rebuild,
        'torch._utils._rebuild_parameter': ([tensor]) => tensor,
        'torch.Size': ([sizes]) => sizes,
      },
    }) as TorchValue;
  } catch (error) {
    if (error instanceof PickleError || error instanceof TypeError) throw fail(error.message, error);
    throw error;
  }
}

/** The bytes of a strided view, in row-major order and in a buffer of their own. */
function contiguous(
  { bytes, width }: Storage,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
): Uint8Array {
  const size = sizeOf(shape);
  const last = size === 0 ? 0 : offset + shape.reduce((at, dim, i) => at + (dim - 1) * strides[i]!, 0) + 1;
  if (offset < 0 || strides.some((stride) => stride < 0) || last * width > bytes.length)
    throw new PickleError(`a tensor of shape [${shape.join(',')}] reaches beyond its data`);
  let packed = 1;
  const rowMajor = shape.every((_, i) => {
    const axis = shape.length - 1 - i;
    const fits = shape[axis] === 1 || strides[axis] === packed;
    packed *= shape[axis]!;
    return fits;
  });
  if (rowMajor) return bytes.slice(offset * width, (offset + size) * width);
  const out = new Uint8Array(size * width);
  const index = new Array<number>(shape.length).fill(0);
  for (let to = 0; to < size; to++) {
    const from = (offset + index.reduce((at, i, axis) => at + i * strides[axis]!, 0)) * width;
    out.set(bytes.subarray(from, from + width), to * width);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = index[axis]! + 1;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return out;
}

const storageOf: Readonly<Partial<Record<NdArray['dtype'], string>>> = {
  float32: 'FloatStorage',
  float64: 'DoubleStorage',
  float16: 'HalfStorage',
  int64: 'LongStorage',
  int32: 'IntStorage',
  uint8: 'ByteStorage',
  int8: 'CharStorage',
  bool: 'BoolStorage',
};

/** The bytes of a file that `torch.load` reads, with `weights_only` too. Arrays become lists, Maps dicts. */
export function encodeTorch(value: TorchValue): Uint8Array {
  const tensors: NdArray[] = [];
  const pickle: number[] = [0x80, 2];
  const text = (word: string) => {
    const bytes = new TextEncoder().encode(word);
    pickle.push(0x58, ...littleEndian(bytes.length), ...bytes);
  };
  const global = (module: string, name: string) => pickle.push(0x63, ...ascii(`${module}\n${name}\n`));
  const integer = (n: number) => {
    if (n === (n | 0)) pickle.push(0x4a, ...littleEndian(n));
    else long(BigInt(n));
  };
  const long = (n: bigint) => {
    const bytes = Array.from({ length: 9 }, (_, i) => Number(BigInt.asUintN(8, n >> BigInt(8 * i))));
    pickle.push(0x8a, 9, ...bytes);
  };
  const tuple = (numbers: readonly number[]) => {
    pickle.push(0x28);
    for (const n of numbers) integer(n);
    pickle.push(0x74);
  };
  const tensor = (array: NdArray) => {
    const storage = storageOf[array.dtype];
    if (storage === undefined) throw new RangeError(`PyTorch's files have no ${array.dtype}`);
    const strides = array.shape.map((_, axis) => sizeOf(array.shape.slice(axis + 1)));
    global('torch._utils', '_rebuild_tensor_v2');
    pickle.push(0x28); // the arguments: storage, offset, shape, strides, requires_grad, hooks
    pickle.push(0x28);
    text('storage');
    global('torch', storage);
    text(String(tensors.length));
    text('cpu');
    integer(array.data.length);
    pickle.push(0x74, 0x51);
    integer(0);
    tuple(array.shape);
    tuple(strides);
    pickle.push(0x89);
    global('collections', 'OrderedDict');
    pickle.push(0x29, 0x52, 0x74, 0x52);
    tensors.push(array);
  };
  const put = (item: TorchValue): void => {
    if (item === null) pickle.push(0x4e);
    else if (typeof item === 'boolean') pickle.push(item ? 0x88 : 0x89);
    else if (typeof item === 'string') text(item);
    else if (typeof item === 'bigint') long(item);
    else if (typeof item === 'number') {
      if (Number.isSafeInteger(item)) integer(item);
      else pickle.push(0x47, ...bigEndianDouble(item));
    } else if (Array.isArray(item)) {
      pickle.push(0x5d, 0x28);
      for (const each of item as readonly TorchValue[]) put(each);
      pickle.push(0x65);
    } else if (item instanceof Map) {
      pickle.push(0x7d, 0x28);
      for (const [key, each] of item as ReadonlyMap<string | number, TorchValue>) {
        put(key);
        put(each);
      }
      pickle.push(0x75);
    } else tensor(item as NdArray);
  };
  put(value);
  pickle.push(0x2e);
  const entries: Record<string, Uint8Array> = {
    'archive/data.pkl': Uint8Array.from(pickle),
    'archive/byteorder': Uint8Array.from(ascii('little')),
    'archive/version': Uint8Array.from(ascii('3\n')),
  };
  for (const [i, { data }] of tensors.entries())
    entries[`archive/data/${i}`] = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return zipSync(entries, { level: 0 }); // PyTorch maps the numbers from the file: not compressed
}

function ascii(word: string): number[] {
  return Array.from(word, (letter) => letter.charCodeAt(0));
}

function littleEndian(n: number): number[] {
  return [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
}

function bigEndianDouble(n: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, n, false);
  return bytes;
}
