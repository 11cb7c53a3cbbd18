/** Reads ONNX files with the generated decoder that onnxruntime-web carries: nothing of it is ours. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly (number | { toNumber(): number })[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: number | { toNumber(): number };
  readonly s: Uint8Array;
  readonly t: TensorProto | null;
  readonly floats: readonly number[];
  readonly ints: readonly (number | { toNumber(): number })[];
}

export interface NodeProto {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly attribute: readonly AttributeProto[];
}

export interface ValueInfoProto {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: {
        readonly dim: readonly {
          readonly dimValue?: number | { toNumber(): number };
          readonly dimParam?: string;
        }[];
      };
    };
  };
}

export interface ModelProto {
  readonly irVersion: number | { toNumber(): number };
  readonly producerName: string;
  readonly opsetImport: readonly {
    readonly domain: string;
    readonly version: number | { toNumber(): number };
  }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly NodeProto[];
    readonly initializer: readonly TensorProto[];
    readonly input: readonly ValueInfoProto[];
    readonly output: readonly ValueInfoProto[];
  };
}

const require = createRequire(import.meta.url);
const folder = dirname(require.resolve('onnxruntime-web'));
const { onnx } = require(join(folder, '../lib/onnxjs/ort-schema/protobuf/onnx.js')) as {
  onnx: { ModelProto: { decode(bytes: Uint8Array): ModelProto } };
};

/** The content of an `.onnx` file. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return onnx.ModelProto.decode(bytes);
}

/** 64-bit integers come as objects. */
export function integer(value: number | { toNumber(): number }): number {
  return typeof value === 'number' ? value : value.toNumber();
}

/** Operator types of the nodes, in order. */
export function typesOf(bytes: Uint8Array): string[] {
  return decodeModel(bytes).graph.node.map((node) => node.opType);
}
