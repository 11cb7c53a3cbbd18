/**
 * The safetensors format: eight bytes of header length (little-endian), a JSON header, the tensors' bytes.
 * https://github.com/huggingface/safetensors#format
 *
 * This part knows bytes only and runs anywhere; `safetensors-file.ts` reads and writes files.
 */
import {
  type DType,
  halfToNumber,
  type NdArray,
  numberToHalf,
  sizeOf,
  viewAs,
} from '@working-papers/tensor/array';
import {
  elementBytes,
  parseHeader,
  parseHeaderLength,
  SafetensorsError,
  type StoredDType,
  type TensorInfo,
} from './safetensors-header.ts';

/** How `float32` arrays are stored; `F16` and `BF16` halve the file and round to nearest, ties to even. */
export type FloatStorage = 'F32' | 'F16' | 'BF16';

/** Of whatever writes safetensors. */
export interface WriteOptions {
  /** Free text pairs, e.g. `{ format: 'pt' }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly float32As?: FloatStorage;
}

/** Of whatever reads safetensors. */
export interface ReadOptions {
  /** `'float16'` keeps the bits of F16 tensors; the default converts them to `float32`. */
  readonly half?: 'float32' | 'float16';
}

/** A file's tensors by name, and what it says of itself. */
export interface Checkpoint {
  readonly tensors: Map<string, NdArray>;
  readonly metadata: Readonly<Record<string, string>>;
}

const storedAs: Record<DType, StoredDType> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  int32: 'I32',
  int64: 'I64',
  uint32: 'U32',
  uint8: 'U8',
  int8: 'I8',
  bool: 'BOOL',
};

/** What an array in memory becomes of each stored type; 16-bit integers widen, the others have no array. */
const heldAs: Partial<Record<StoredDType, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'float32',
  I64: 'int64',
  I32: 'int32',
  I16: 'int32',
  U16: 'int32',
  U32: 'uint32',
  U8: 'uint8',
  I8: 'int8',
  BOOL: 'bool',
};

/**
 * All tensors of a file's bytes. The arrays are copies; `file` names the source in errors.
 * Throws a SafetensorsError for whatever the format forbids.
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  file = 'safetensors',
  options: ReadOptions = {},
): Checkpoint {
  const length = parseHeaderLength(bytes.subarray(0, 8), bytes.length, file);
  const data = bytes.subarray(8 + length);
  const header = parseHeader(bytes.subarray(8, 8 + length), data.length, file);
  const tensors = new Map<string, NdArray>();
  for (const info of header.tensors.values()) {
    tensors.set(info.name, decodeTensor(info, data.slice(info.begin, info.end), file, options));
  }
  return { tensors, metadata: header.metadata };
}

/**
 * The array of one tensor from its bytes, which become the array's own storage where no conversion is needed:
 * give it bytes that start a buffer and that nobody else holds.
 */
export function decodeTensor(
  info: TensorInfo,
  bytes: Uint8Array,
  file: string,
  options: ReadOptions = {},
): NdArray {
  const { name, dtype: stored, shape } = info;
  const dtype = heldAs[stored];
  if (dtype === undefined) {
    throw new SafetensorsError(file, name, 'dtype', stored, `one of ${Object.keys(heldAs).join(', ')}`);
  }
  const size = sizeOf(shape);
  const words = () => new Uint16Array(bytes.buffer, bytes.byteOffset, size);
  if (stored === 'BF16') return { dtype, shape, data: bfloat16ToFloat32(words()) };
  if (stored === 'F16' && options.half !== 'float16') {
    return { dtype: 'float32', shape, data: float16ToFloat32(words()) };
  }
  if (stored === 'U16') return { dtype, shape, data: Int32Array.from(words()) };
  if (stored === 'I16') {
    return { dtype, shape, data: Int32Array.from(new Int16Array(bytes.buffer, bytes.byteOffset, size)) };
  }
  if (stored === 'BOOL') {
    const bad = bytes.find((byte) => byte > 1);
    if (bad !== undefined) throw new SafetensorsError(file, name, 'BOOL byte', bad, '0 or 1');
  }
  return { dtype, shape, data: viewAs(dtype, bytes.buffer, bytes.byteOffset, size) };
}

/** A whole file in one array of bytes. Equal tensors give equal bytes, in whatever order they come. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, NdArray>,
  options: WriteOptions = {},
): Uint8Array {
  const chunks = [...safetensorsChunks(tensors, options)];
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/**
 * The bytes of a file piece by piece: the header, then one chunk a tensor, in the reference implementation's
 * order: wide elements first and then by name, so that every tensor is aligned without holes.
 * Throws a SafetensorsError for a reserved or ill-formed name, an array whose length is not its shape's size,
 * and a finite value that F16 cannot hold.
 */
export function* safetensorsChunks(
  tensors: ReadonlyMap<string, NdArray>,
  options: WriteOptions = {},
): Generator<Uint8Array> {
  const floats = options.float32As ?? 'F32';
  const entries = [...tensors].map(([name, array]) => {
    if (name === '__metadata__' || !name.isWellFormed()) {
      throw new SafetensorsError(
        'safetensors',
        name,
        'name',
        name,
        'well-formed Unicode other than __metadata__',
      );
    }
    if (array.data.length !== sizeOf(array.shape)) {
      const expected = `${sizeOf(array.shape)} for shape [${array.shape}]`;
      throw new SafetensorsError('safetensors', name, 'number of elements', array.data.length, expected);
    }
    const stored = array.dtype === 'float32' ? floats : storedAs[array.dtype];
    return { name, array, stored };
  });
  const dtypes = Object.keys(elementBytes);
  const rank = (stored: StoredDType) => dtypes.indexOf(stored);
  entries.sort((a, b) => rank(b.stored) - rank(a.stored) || (a.name < b.name ? -1 : 1));

  // Written piece by piece: an object would move keys such as "0" to the front.
  const fields: string[] = [];
  if (options.metadata) {
    const pairs = Object.entries(options.metadata).sort(([a], [b]) => (a < b ? -1 : 1));
    const text = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    fields.push(`"__metadata__":{${text.join(',')}}`);
  }
  let begin = 0;
  for (const { name, array, stored } of entries) {
    const end = begin + array.data.length * elementBytes[stored];
    const entry = { dtype: stored, shape: array.shape, data_offsets: [begin, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  yield header;

  for (const { name, array, stored } of entries) {
    let { data } = array;
    if (array.dtype === 'float32' && stored === 'F16') data = float32ToFloat16(data as Float32Array, name);
    if (array.dtype === 'float32' && stored === 'BF16') data = float32ToBfloat16(data as Float32Array);
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

let halves: Float32Array | undefined;

function float16ToFloat32(words: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  const out = new Float32Array(words.length);
  for (let i = 0; i < out.length; i++) out[i] = halves[words[i]!]!;
  return out;
}

function float32ToFloat16(values: Float32Array, name: string): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = numberToHalf(values[i]!);
    if ((out[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw new SafetensorsError(
        'safetensors',
        name,
        'value for F16',
        values[i],
        'at most 65504 in magnitude',
      );
    }
  }
  return out;
}

function bfloat16ToFloat32(words: Uint16Array): Float32Array {
  const bits = new Uint32Array(words.length);
  for (let i = 0; i < bits.length; i++) bits[i] = words[i]! << 16;
  return new Float32Array(bits.buffer);
}

function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const word = bits[i]!;
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    out[i] = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
