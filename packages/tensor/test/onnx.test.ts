import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DType, ndarray } from '../src/array.ts';
import { encodeModel, onnxType, opset } from '../src/onnx.ts';
import { decodeModel, integer } from './reference/onnx.ts';

test('an independent reader finds all that was written', () => {
  const weights = ndarray([1.5, -2, 3.25], [3, 1]);
  const bytes = encodeModel({
    name: 'größe',
    nodes: [
      {
        type: 'Gemm',
        domain: '',
        name: 'a.0',
        inputs: ['x', 'w', ''],
        outputs: ['y'],
        attributes: {
          alpha: { float: 0.5 },
          transB: { int: 1 },
          negative: { int: -3 },
          big: { int: 2 ** 40 },
          mode: { string: 'reflect' },
          pads: { ints: [0, -1, 2 ** 31, 300] },
          scales: { floats: [1, 0.25] },
          none: { ints: [] },
          value: { tensor: ndarray([7n as unknown as number], [1], 'int64') },
          absent: undefined,
        },
      },
      {
        type: 'QuickGelu',
        domain: 'com.microsoft',
        name: '',
        inputs: ['y'],
        outputs: ['z', 'q'],
        attributes: {},
      },
    ],
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 3, 0] }],
    outputs: [
      { name: 'z', dtype: 'float16', shape: ['2*batch', 1] },
      { name: 'q', dtype: 'bool', shape: [] },
    ],
    initializers: new Map([['w', weights]]),
  });

  const model = decodeModel(bytes);
  assert.equal(integer(model.irVersion), 10);
  assert.deepEqual(
    model.opsetImport.map(({ domain, version }) => [domain, integer(version)]),
    [
      ['', opset],
      ['com.microsoft', 1],
    ],
  );
  const { graph } = model;
  assert.equal(graph.name, 'größe');
  const [gemm, gelu] = graph.node;
  assert.deepEqual(
    [gemm!.opType, gemm!.name, gemm!.input, gemm!.output],
    ['Gemm', 'a.0', ['x', 'w', ''], ['y']],
  );
  assert.deepEqual([gelu!.opType, gelu!.domain, gelu!.output], ['QuickGelu', 'com.microsoft', ['z', 'q']]);

  const attributes = new Map(gemm!.attribute.map((attribute) => [attribute.name, attribute]));
  assert.equal(attributes.size, 9, 'undefined attributes are left out');
  // AttributeProto.AttributeType: FLOAT 1, INT 2, STRING 3, TENSOR 4, FLOATS 6, INTS 7
  const types = { alpha: 1, transB: 2, negative: 2, big: 2, mode: 3, pads: 7, scales: 6, none: 7, value: 4 };
  for (const [name, type] of Object.entries(types)) assert.equal(attributes.get(name)!.type, type, name);
  assert.equal(attributes.get('alpha')!.f, 0.5);
  assert.equal(integer(attributes.get('transB')!.i), 1);
  assert.equal(integer(attributes.get('negative')!.i), -3);
  assert.equal(integer(attributes.get('big')!.i), 2 ** 40);
  assert.equal(new TextDecoder().decode(attributes.get('mode')!.s), 'reflect');
  assert.deepEqual(attributes.get('pads')!.ints.map(integer), [0, -1, 2 ** 31, 300]);
  assert.deepEqual([...attributes.get('scales')!.floats], [1, 0.25]);
  const value = attributes.get('value')!.t!;
  assert.equal(value.dataType, 7);
  assert.equal(new DataView(value.rawData.slice().buffer).getBigInt64(0, true), 7n);

  const dims = ([info] = graph.input) =>
    info!.type.tensorType.shape.dim.map(({ dimValue, dimParam }) => dimParam || integer(dimValue!));
  assert.deepEqual(dims(), ['batch', 3, 0]);
  assert.deepEqual(dims([graph.output[0]!]), ['2*batch', 1]);
  assert.deepEqual(dims([graph.output[1]!]), []);
  assert.deepEqual(
    graph.output.map(({ name, type }) => [name, type.tensorType.elemType]),
    [
      ['z', 10],
      ['q', 9],
    ],
  );
  const [initializer] = graph.initializer;
  assert.deepEqual(
    [initializer!.name, initializer!.dims.map(integer), initializer!.dataType],
    ['w', [3, 1], 1],
  );
  assert.deepEqual([...new Float32Array(initializer!.rawData.slice().buffer)], [1.5, -2, 3.25]);
});

test('the bytes of a small model are those that the protobuf specification gives', () => {
  const bytes = encodeModel({
    name: 'g',
    nodes: [{ type: 'Neg', domain: '', name: 'n', inputs: ['a'], outputs: ['b'], attributes: {} }],
    inputs: [{ name: 'a', dtype: 'float32', shape: [300] }],
    outputs: [{ name: 'b', dtype: 'float32', shape: ['k'] }],
    initializers: new Map(),
  });
  const text = (s: string) => [s.length, ...new TextEncoder().encode(s)];
  const node = [0x0a, ...text('a'), 0x12, ...text('b'), 0x1a, ...text('n'), 0x22, ...text('Neg')];
  // TypeProto.Tensor { elem_type: 1 (float), shape: 2 { dim: 1 { dim_value: 1 | dim_param: 2 } } }
  const value = (name: string, dim: number[]) => {
    const shape = [0x0a, dim.length, ...dim];
    const tensor = [0x08, 1, 0x12, shape.length, ...shape];
    const type = [0x0a, tensor.length, ...tensor];
    return [0x0a, ...text(name), 0x12, type.length, ...type];
  };
  const input = value('a', [0x08, 0xac, 0x02]); // 300 as a varint
  const output = value('b', [0x12, ...text('k')]);
  const graph = [
    ...[0x0a, node.length, ...node],
    ...[0x12, ...text('g')],
    ...[0x5a, input.length, ...input], // field 11
    ...[0x62, output.length, ...output], // field 12
  ];
  const opsetImport = [0x0a, 0, 0x10, opset];
  const expected = [
    ...[0x08, 10],
    ...[0x12, ...text('working-papers')],
    ...[0x3a, graph.length, ...graph],
    ...[0x42, opsetImport.length, ...opsetImport],
  ];
  assert.deepEqual([...bytes], expected);
});

test('every dtype has its ONNX number', () => {
  const numbers: Record<DType, number> = {
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
  for (const [dtype, number] of Object.entries(numbers)) assert.equal(onnxType(dtype as DType), number);
});

test('a view into a larger buffer writes its own elements only', () => {
  const all = new Float32Array([9, 9, 1, 2, 9]);
  const view = { dtype: 'float32' as const, shape: [2], data: all.subarray(2, 4) };
  const bytes = encodeModel({
    name: 'g',
    nodes: [],
    inputs: [],
    outputs: [],
    initializers: new Map([['w', view]]),
  });
  const raw = decodeModel(bytes).graph.initializer[0]!.rawData;
  assert.deepEqual([...new Float32Array(raw.slice().buffer)], [1, 2]);
});
