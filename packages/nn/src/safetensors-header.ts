/**
 * The header of a safetensors file, checked in full before a byte of data is touched: whatever a header claims,
 * reading the file it belongs to needs no more memory than the file has bytes.
 */

/**
 * Bytes of an element, in the order of the reference implementation, which lays out tensors from the last of these
 * to the first. The format's 4- and 6-bit types are not known here.
 */
export const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** Types that the format knows. */
export type StoredDType = keyof typeof elementBytes;

/** A tensor's place in a file. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** First byte and the byte after the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/** A file's header, checked. */
export interface Header {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation's limit. */
const maxHeaderLength = 100_000_000;

/** Something in a safetensors file is not as the format has it. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
  readonly file: string;
  readonly tensor: string | undefined;
  readonly found: unknown;
  readonly expected: string;

  constructor(file: string, tensor: string | undefined, what: string, found: unknown, expected: string) {
    const where = tensor === undefined ? '' : `tensor ${excerpt(tensor)}: `;
    super(`${file}: ${where}${what}: found ${excerpt(found)}, expected ${expected}`);
    this.file = file;
    this.tensor = tensor;
    this.found = found;
    this.expected = expected;
  }
}

/** A value as short JSON; inner lists and objects are left out, since a malformed header may nest them deeply. */
function excerpt(value: unknown): string {
  const flat = (key: string, item: unknown) => (key !== '' && typeof item === 'object' ? '...' : item);
  const text = JSON.stringify(value, flat) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** The header's length in bytes from the first eight bytes of a file of `fileSize` bytes. */
export function parseHeaderLength(prefix: Uint8Array, fileSize: number, file: string): number {
  if (fileSize < 8 || prefix.length < 8) {
    throw new SafetensorsError(file, undefined, 'file size in bytes', fileSize, 'at least 8');
  }
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true));
  if (length > maxHeaderLength) {
    const most = `at most ${maxHeaderLength}; is this a safetensors file?`;
    throw new SafetensorsError(file, undefined, 'header length', length, most);
  }
  if (length > fileSize - 8) {
    throw new SafetensorsError(
      file,
      undefined,
      'header length',
      length,
      `at most ${fileSize - 8}, the file's rest`,
    );
  }
  return length;
}

/** The header of a file from its bytes; `dataSize` is the number of bytes that follow it. */
export function parseHeader(bytes: Uint8Array, dataSize: number, file: string): Header {
  const fields = parseObject(bytes, file);
  let metadata: Record<string, string> = {};
  const infos: TensorInfo[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name === '__metadata__') metadata = checkMetadata(value, file);
    else infos.push(checkTensor(name, value, dataSize, file));
  }
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const { name, begin, end: next } of infos) {
    if (begin < end) throw new SafetensorsError(file, name, 'begin overlaps another tensor', begin, `${end}`);
    if (begin > end) throw new SafetensorsError(file, name, 'begin leaves a hole', begin, `${end}`);
    end = next;
  }
  if (end !== dataSize) {
    throw new SafetensorsError(
      file,
      undefined,
      'bytes after the header',
      dataSize,
      `${end}, as the tensors say`,
    );
  }
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata };
}

function parseObject(bytes: Uint8Array, file: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SafetensorsError(file, undefined, 'header', 'invalid UTF-8', 'JSON in UTF-8');
  }
  if (!text.startsWith('{')) {
    throw new SafetensorsError(
      file,
      undefined,
      'header',
      text.slice(0, 20),
      'a JSON object that begins with {',
    );
  }
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new SafetensorsError(file, undefined, 'header', (error as Error).message, 'JSON');
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new SafetensorsError(file, undefined, 'key that occurs twice', duplicate, 'every key once');
  }
  return fields;
}

/** The first key that an object of valid `json` has twice; JSON.parse would silently keep the later value. */
function findDuplicateKey(json: string): string | undefined {
  const scopes: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === '{') scopes.push(new Set());
    else if (char === '}') scopes.pop();
    else if (char === '"') {
      const start = i++;
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
      let next = i + 1;
      while (/\s/.test(json.charAt(next))) next++;
      if (json[next] !== ':') continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      const keys = scopes.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMetadata(value: unknown, file: string): Record<string, string> {
  if (!isObject(value))
    throw new SafetensorsError(file, undefined, '__metadata__', value, 'an object of strings');
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string') {
      throw new SafetensorsError(file, undefined, `__metadata__ ${excerpt(key)}`, item, 'a string');
    }
  }
  return value as Record<string, string>;
}

function checkTensor(name: string, value: unknown, dataSize: number, file: string): TensorInfo {
  if (!name.isWellFormed()) throw new SafetensorsError(file, name, 'name', name, 'well-formed Unicode');
  if (!isObject(value)) throw new SafetensorsError(file, name, 'entry', value, 'an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) {
    throw new SafetensorsError(file, name, 'dtype', dtype, `one of ${Object.keys(elementBytes).join(', ')}`);
  }
  if (!isCounts(shape)) throw new SafetensorsError(file, name, 'shape', shape, 'non-negative integers');
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw new SafetensorsError(file, name, 'data_offsets', offsets, 'two non-negative integers');
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw new SafetensorsError(file, name, 'data_offsets', offsets, 'begin at most end');
  if (end > dataSize) {
    throw new SafetensorsError(
      file,
      name,
      'data_offsets',
      offsets,
      `at most ${dataSize}, the bytes after the header`,
    );
  }
  let size: number = elementBytes[dtype as StoredDType];
  for (const dim of shape) {
    size *= dim;
    if (!Number.isSafeInteger(size))
      throw new SafetensorsError(file, name, 'shape', shape, 'fewer than 2^53 bytes');
  }
  if (size !== end - begin) {
    const expected = `${size} for ${dtype} [${shape}]`;
    throw new SafetensorsError(file, name, 'length in bytes', end - begin, expected);
  }
  return { name, dtype: dtype as StoredDType, shape, begin, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
