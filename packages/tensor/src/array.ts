/**
 * Arrays of numbers at the edge of a graph: what goes in, what comes out, what a checkpoint holds.
 * Row-major, contiguous, plain data: they can be posted between threads as they are.
 */

/** Types of elements. */
export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int32'
  | 'int64'
  | 'uint32'
  | 'uint8'
  | 'int8'
  | 'bool';

/** What may hold the elements of an array. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Uint32Array
  | Uint8Array
  | Int8Array;

/** A dense array. `float16` is held as its bits in a `Uint16Array`, `bool` as 0 and 1 in a `Uint8Array`. */
export interface NdArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/**
 * An array whose elements lie in a file, one after the other, little-endian. Weights can be such: a device maps the
 * file, so that a large model is in memory once. Node only. The file must not change while the device is open.
 */
export interface FileArray {
  readonly dtype: 'float32';
  readonly shape: readonly number[];
  /** What the file has; halves are widened when a function is compiled. */
  readonly stored: 'float32' | 'float16' | 'bfloat16';
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Of the first byte, a multiple of the size of a stored element. */
  readonly offset: number;
}

/** Is it one that lies in a file? */
export function isFileArray(array: NdArray | FileArray): array is FileArray {
  return 'path' in array;
}

/** The folder of a path. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')));
}

const storage = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint32: Uint32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
} as const;

/** Bytes of one element. */
export function bytesOf(dtype: DType): number {
  return storage[dtype].BYTES_PER_ELEMENT;
}

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Zero-filled storage for `length` elements. */
export function allocate(dtype: DType, length: number): TypedArray {
  return new storage[dtype](length);
}

/** A view of `buffer` as elements of `dtype`; `byteOffset` must be a multiple of the element's size. */
export function viewAs(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArray {
  return new storage[dtype](buffer as ArrayBuffer, byteOffset, length);
}

/**
 * An array of `shape` from numbers (converted) or from ready storage (taken as it is, not copied).
 * Throws a RangeError when the length is not the shape's size.
 */
export function ndarray(
  data: ArrayLike<number> | TypedArray,
  shape: readonly number[] = [data.length],
  dtype: DType = 'float32',
): NdArray {
  const size = sizeOf(shape);
  if (data.length !== size) {
    throw new RangeError(`array of shape [${shape.join(',')}] needs ${size} elements, got ${data.length}`);
  }
  if (data instanceof storage[dtype]) return { dtype, shape, data };
  const out = allocate(dtype, size);
  if (out instanceof BigInt64Array) {
    for (let i = 0; i < size; i++) out[i] = BigInt(data[i]!);
  } else {
    for (let i = 0; i < size; i++) out[i] = Number(data[i]);
  }
  return { dtype, shape, data: out };
}

/** Zeros of `shape`. */
export function zerosArray(shape: readonly number[], dtype: DType = 'float32'): NdArray {
  return { dtype, shape, data: allocate(dtype, sizeOf(shape)) };
}

/** The elements as numbers, whatever the storage (`int64` loses precision beyond 2^53, `float16` is decoded). */
export function toNumbers(array: NdArray): number[] {
  if (array.dtype === 'float16') return Array.from(array.data as Uint16Array, halfToNumber);
  return Array.from(array.data as ArrayLike<number | bigint>, Number);
}

/** IEEE 754 binary16 bits to a number. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const floatBits = new Float32Array(1);
const intBits = new Uint32Array(floatBits.buffer);

/** A number to IEEE 754 binary16 bits, rounded to nearest, ties to even. */
export function numberToHalf(value: number): number {
  floatBits[0] = value;
  const bits = intBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude < 0x38800000) {
    // subnormal half: multiples of 2^-24, halves to even as Math.round does not
    const scaled = Math.abs(floatBits[0]!) * 2 ** 24;
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    return sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}
