/**
 * Writes ONNX models: the protobuf encoding of the messages that a graph needs.
 * Field numbers: onnx/onnx.proto of ONNX 1.17 (IR version 10).
 */

import { type DType, type FileArray, folderOf, type NdArray, sizeOf } from './array.ts';
import type { Shape } from './dims.ts';

/** An attribute of a node, by the kinds that ONNX tells apart. */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: NdArray };

/** NodeProto. */
export interface OnnxNode {
  readonly type: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: { readonly [name: string]: AttributeValue | undefined };
}

/** ValueInfoProto: what an input or output looks like. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** GraphProto. */
export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Inner values whose dimensions have names that no input has. */
  readonly values?: readonly OnnxValue[];
  readonly initializers: ReadonlyMap<string, NdArray>;
  /** Initializers that stay in their files, all of one folder. */
  readonly files?: ReadonlyMap<string, FileArray>;
}

/** The operator set that lowerings are written for. */
export const opset = 21;
const irVersion = 10;

const elementType: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
};

/** The number by which ONNX knows a dtype, for `Cast`. */
export function onnxType(dtype: DType): number {
  return elementType[dtype];
}

const utf8 = new TextEncoder();

/** Protobuf wire format: https://protobuf.dev/programming-guides/encoding/ */
class Message {
  readonly parts: Uint8Array[] = [];
  length = 0;

  #push(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  #varint(value: bigint): void {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#push(Uint8Array.from(bytes));
  }

  #tag(field: number, wire: number): void {
    this.#varint(BigInt(field * 8 + wire));
  }

  int(field: number, value: number): this {
    this.#tag(field, 0);
    this.#varint(BigInt(value));
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, 5);
    this.#push(new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, 2);
    this.#varint(BigInt(value.length));
    this.#push(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  message(field: number, value: Message): this {
    this.#tag(field, 2);
    this.#varint(BigInt(value.length));
    for (const part of value.parts) this.#push(part);
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.length);
    let offset = 0;
    for (const part of this.parts) {
      out.set(part, offset);
      offset += part.length;
    }
    return out;
  }
}

function tensorProto(array: NdArray, name = ''): Message {
  const message = new Message();
  for (const dim of array.shape) message.int(1, dim);
  message.int(2, elementType[array.dtype]);
  if (name) message.string(8, name);
  const { buffer, byteOffset, byteLength } = array.data;
  return message.bytes(9, new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
}

const storedElement = { float32: 1, float16: 10, bfloat16: 16 } as const;

/** Where an initializer lies, the file's name taken in a folder that ONNX Runtime is told of. */
function fileProto({ shape, stored, path, offset }: FileArray, name: string): Message {
  const message = new Message();
  for (const dim of shape) message.int(1, dim);
  message.int(2, storedElement[stored]).string(8, name);
  const length = sizeOf(shape) * (stored === 'float32' ? 4 : 2);
  const location = path.slice(folderOf(path).length + 1);
  for (const [key, value] of Object.entries({ location, offset, length }))
    message.message(13, new Message().string(1, key).string(2, String(value)));
  return message.int(14, 1); // external
}

function attributeProto(name: string, value: AttributeValue): Message {
  const message = new Message().string(1, name);
  if ('int' in value) message.int(3, value.int).int(20, 2);
  else if ('float' in value) message.float(2, value.float).int(20, 1);
  else if ('string' in value) message.string(4, value.string).int(20, 3);
  else if ('ints' in value) {
    for (const item of value.ints) message.int(8, item);
    message.int(20, 7);
  } else if ('floats' in value) {
    for (const item of value.floats) message.float(7, item);
    message.int(20, 6);
  } else message.message(5, tensorProto(value.tensor)).int(20, 4);
  return message;
}

function nodeProto(node: OnnxNode): Message {
  const message = new Message();
  for (const input of node.inputs) message.string(1, input);
  for (const output of node.outputs) message.string(2, output);
  message.string(3, node.name).string(4, node.type);
  for (const [name, value] of Object.entries(node.attributes)) {
    if (value !== undefined) message.message(5, attributeProto(name, value));
  }
  if (node.domain) message.string(7, node.domain);
  return message;
}

function valueInfoProto(value: OnnxValue): Message {
  const shape = new Message();
  for (const dim of value.shape) {
    shape.message(1, typeof dim === 'number' ? new Message().int(1, dim) : new Message().string(2, dim));
  }
  const tensor = new Message().int(1, elementType[value.dtype]).message(2, shape);
  return new Message().string(1, value.name).message(2, new Message().message(1, tensor));
}

/** What protobuf allows a message to have. */
const maxBytes = 2 ** 31 - 1;

/** The bytes of an `.onnx` file. Throws a RangeError where they would be 2 GB or more. */
export function encodeModel(graph: OnnxGraph): Uint8Array<ArrayBuffer> {
  const proto = new Message();
  for (const node of graph.nodes) proto.message(1, nodeProto(node));
  proto.string(2, graph.name);
  for (const [name, array] of graph.initializers) proto.message(5, tensorProto(array, name));
  for (const [name, array] of graph.files ?? []) proto.message(5, fileProto(array, name));
  for (const value of graph.inputs) proto.message(11, valueInfoProto(value));
  for (const value of graph.outputs) proto.message(12, valueInfoProto(value));
  for (const value of graph.values ?? []) proto.message(13, valueInfoProto(value));
  const model = new Message().int(1, irVersion).string(2, 'working-papers').message(7, proto);
  model.message(8, new Message().string(1, '').int(2, opset));
  if (graph.nodes.some((node) => node.domain === 'com.microsoft')) {
    model.message(8, new Message().string(1, 'com.microsoft').int(2, 1));
  }
  if (model.length > maxBytes)
    throw new RangeError(
      `the weights of '${graph.name}' are ${(model.length / 2 ** 30).toFixed(1)} GB, and one ONNX model holds less than 2 GB: give them as arrays in files`,
    );
  return model.finish();
}
