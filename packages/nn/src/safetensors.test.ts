import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DType, type NdArray, ndarray, sizeOf, toNumbers } from '@working-papers/tensor/array';
import fc from 'fast-check';
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts';
import { SafetensorsError } from './safetensors-header.ts';
import { matchNames, NameMismatchError } from './safetensors-names.ts';

/** A file from a header's text, or its raw bytes, and data; the header length may lie. */
function file(header: string | Uint8Array, data: ArrayLike<number> = [], length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const entry = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

test('a file assembled by hand reads as its numbers', () => {
  const header = `{"__metadata__":{"format":"pt"},"w":${entry('F32', '[1,2]', '[0,8]')},"s":${entry('BF16', '[]', '[8,10]')}}  `;
  const { tensors, metadata } = decodeSafetensors(
    file(header, [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 0x49, 0x40]),
  );
  assert.deepEqual(metadata, { format: 'pt' });
  assert.deepEqual(tensors.get('w'), ndarray([1, -2.5], [1, 2]));
  assert.deepEqual(tensors.get('s'), ndarray([3.140625], []));
});

test('the writer lays bytes out as by hand: wide elements first, then by name, header padded to eight', () => {
  const bytes = encodeSafetensors(
    new Map([
      ['b', ndarray([1, 2], [2], 'uint8')],
      ['a', ndarray([1, 0], [2], 'bool')],
      ['0', ndarray([-2.5])],
    ]),
    { metadata: { format: 'pt' } },
  );
  const fields = [
    '"__metadata__":{"format":"pt"}',
    `"0":${entry('F32', '[1]', '[0,4]')}`,
    `"b":${entry('U8', '[2]', '[4,6]')}`,
    `"a":${entry('BOOL', '[2]', '[6,8]')}`,
  ];
  const header = `{${fields.join(',')}}`;
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  assert.deepEqual(bytes, file(padded, [0, 0, 0x20, 0xc0, 1, 2, 1, 0]));
});

test('every dtype survives a round trip, whatever the order of the map', () => {
  const arrays: Record<DType, NdArray> = {
    float32: ndarray([1.5, Number.NaN, -0], [3, 1]),
    float64: ndarray([1e300], [1, 1], 'float64'),
    float16: ndarray(new Uint16Array([0x3c00, 0x7c01]), [2], 'float16'),
    int32: ndarray([-1], [], 'int32'),
    int64: ndarray(new BigInt64Array([-(2n ** 63n)]), [1], 'int64'),
    uint32: ndarray([2 ** 32 - 1], [1], 'uint32'),
    uint8: ndarray([255], [1], 'uint8'),
    int8: ndarray([], [0, 7], 'int8'),
    bool: ndarray([1, 0], [2], 'bool'),
  };
  const tensors = new Map<string, NdArray>(Object.entries(arrays));
  const bytes = encodeSafetensors(tensors);
  const reversed = encodeSafetensors(new Map([...tensors].reverse()));
  assert.deepEqual(reversed, bytes);
  const read = decodeSafetensors(bytes, 'f', { half: 'float16' }).tensors;
  for (const [name, array] of tensors) assert.deepEqual(read.get(name), array, name);
});

test('the bytes are those of the reference implementation (safetensors 0.8.0, numpy)', () => {
  const golden = Buffer.from(
    [
      'sAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJucCJ9LCJuIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOltdLCJk',
      'YXRhX29mZnNldHMiOlswLDhdfSwiZCI6eyJkdHlwZSI6IkY2NCIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6WzgsMTZd',
      'fSwiYi53ZWlnaHQiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM10sImRhdGFfb2Zmc2V0cyI6WzE2LDQwXX0sImUiOnsi',
      'ZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzAsNF0sImRhdGFfb2Zmc2V0cyI6WzQwLDQwXX0sImEiOnsiZHR5cGUiOiJGMTYiLCJz',
      'aGFwZSI6WzRdLCJkYXRhX29mZnNldHMiOls0MCw0OF19LCJpOCI6eyJkdHlwZSI6Ikk4Iiwic2hhcGUiOlsyXSwiZGF0YV9v',
      'ZmZzZXRzIjpbNDgsNTBdfSwibSI6eyJkdHlwZSI6IkJPT0wiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOls1MCw1Ml19',
      'fSAgICAgICAHAAAAAAAAAJx1AIg85Dd+AAAAAAAAgD4AAAA/AABAPwAAgD8AAKA/AD4AwP97AQD/AgEA',
    ].join(''),
    'base64',
  );
  const tensors = new Map<string, NdArray>([
    ['b.weight', ndarray([0, 0.25, 0.5, 0.75, 1, 1.25], [2, 3])],
    ['a', ndarray(new Uint16Array([0x3e00, 0xc000, 0x7bff, 1]), [4], 'float16')],
    ['n', ndarray([7], [], 'int64')],
    ['m', ndarray([1, 0], [2], 'bool')],
    ['e', ndarray([], [0, 4])],
    ['i8', ndarray([-1, 2], [2], 'int8')],
    ['d', ndarray([1e300], [1], 'float64')],
  ]);
  assert.deepEqual(Buffer.from(encodeSafetensors(tensors, { metadata: { format: 'np' } })), golden);
});

test('16-bit integers widen', () => {
  const bytes = file(
    `{"i":${entry('I16', '[1]', '[0,2]')},"u":${entry('U16', '[1]', '[2,4]')}}`,
    [254, 255, 254, 255],
  );
  const { tensors } = decodeSafetensors(bytes);
  assert.deepEqual(tensors.get('i'), ndarray([-2], [1], 'int32'));
  assert.deepEqual(tensors.get('u'), ndarray([65534], [1], 'int32'));
});

test('float32 stored in 16 bits comes back within half a unit in the last place', () => {
  const values = fc.float32Array({ noNaN: true, min: -60000, max: 60000, minLength: 1 });
  fc.assert(
    fc.property(values, (data) => {
      const tensors = new Map([['x', ndarray(data)]]);
      for (const [float32As, bits, tiny] of [
        ['F16', 11, 2 ** -25],
        ['BF16', 8, 2 ** -133],
      ] as const) {
        const read = decodeSafetensors(encodeSafetensors(tensors, { float32As })).tensors.get('x')!;
        assert.equal(read.dtype, 'float32');
        toNumbers(read).forEach((value, i) => {
          const bound = Math.max(tiny, Math.abs(data[i]!) * 2 ** -bits);
          assert.ok(Math.abs(value - data[i]!) <= bound, `${float32As} ${data[i]} -> ${value}`);
        });
      }
    }),
  );
  const ties = new Map([['x', ndarray(Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN, Infinity))]]);
  const read = decodeSafetensors(encodeSafetensors(ties, { float32As: 'BF16' })).tensors.get('x')!;
  assert.deepEqual(toNumbers(read), [1, 1 + 2 ** -6, Number.NaN, Infinity]);
});

test('the writer refuses what it cannot keep', () => {
  const one = ndarray([1e6]);
  assert.throws(
    () => encodeSafetensors(new Map([['big', one]]), { float32As: 'F16' }),
    /tensor "big": value for F16: found 1000000, expected at most 65504/,
  );
  assert.throws(() => encodeSafetensors(new Map([['__metadata__', one]])), /name: found "__metadata__"/);
  assert.throws(() => encodeSafetensors(new Map([['\ud800', one]])), SafetensorsError);
  const wrong: NdArray = { dtype: 'float32', shape: [3], data: new Float32Array(2) };
  assert.throws(() => encodeSafetensors(new Map([['w', wrong]])), /number of elements: found 2, expected 3/);
});

const f32 = (shape: string, offsets: string) => `{"w":${entry('F32', shape, offsets)}}`;
const malformed: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ['an empty file', new Uint8Array(0), /file size in bytes: found 0, expected at least 8/],
  ['a short file', new Uint8Array(7), /found 7/],
  ['a header beyond the file', file('{}', [], 3n), /header length: found 3, expected at most 2/],
  ['a huge header', file('{}', [], 2n ** 63n), /expected at most 100000000/],
  ['an empty header', file(''), /begins with \{/],
  ['leading space', file(' {}'), /begins with \{/],
  ['no JSON', file('{"a":'), /expected JSON/],
  ['an array', file('[]'), /begins with \{/],
  ['invalid UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /UTF-8/],
  ['a byte order mark', file('\ufeff{}'), /begins with \{/],
  [
    'a name twice',
    file(`{"w":${entry('U8', '[0]', '[0,0]')},"\\u0077":${entry('U8', '[0]', '[0,0]')}}`),
    /twice: found "w"/,
  ],
  [
    'a field twice',
    file('{"w":{"dtype":"U8", "dtype" : "U8","shape":[0],"data_offsets":[0,0]}}'),
    /twice: found "dtype"/,
  ],
  ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), /twice/],
  ['a metadata number', file('{"__metadata__":{"a":1}}'), /__metadata__ "a": found 1, expected a string/],
  ['a metadata list', file('{"__metadata__":[]}'), /__metadata__: found \[\], expected an object/],
  ['an ill-formed name', file(`{"\\ud800":${entry('U8', '[0]', '[0,0]')}}`), /name: .* expected well-formed/],
  ['an entry that is no object', file('{"w":3}'), /tensor "w": entry: found 3/],
  [
    'an unknown dtype',
    file(`{"w":${entry('F31', '[]', '[0,4]')}}`, [0, 0, 0, 0]),
    /dtype: found "F31", expected one of/,
  ],
  ['an inherited dtype', file(`{"w":${entry('toString', '[]', '[0,4]')}}`, [0, 0, 0, 0]), /dtype/],
  ['a dtype without arrays', file(`{"w":${entry('C64', '[0]', '[0,0]')}}`), /dtype: found "C64"/],
  ['no shape', file('{"w":{"dtype":"F32","data_offsets":[0,0]}}'), /shape: found nothing/],
  ['a negative dimension', file(f32('[-1]', '[0,0]')), /shape: found \[-1\]/],
  ['half a dimension', file(f32('[0.5]', '[0,2]'), [0, 0]), /shape: found \[0.5\]/],
  ['an overflow', file(f32('[4294967296,4294967296]', '[0,0]')), /fewer than 2\^53 bytes/],
  ['an overflow before a zero', file(f32('[4294967296,4294967296,0]', '[0,0]')), /fewer than 2\^53 bytes/],
  ['one offset', file(f32('[]', '[0]'), [0, 0, 0, 0]), /two non-negative integers/],
  ['a negative offset', file(f32('[]', '[-4,0]')), /two non-negative integers/],
  ['offsets backwards', file(f32('[]', '[4,0]'), [0, 0, 0, 0]), /begin at most end/],
  ['offsets outside', file(f32('[2]', '[0,8]'), [0, 0, 0, 0]), /at most 4/],
  [
    'a wrong length',
    file(f32('[2]', '[0,4]'), [0, 0, 0, 0]),
    /length in bytes: found 4, expected 8 for F32 \[2\]/,
  ],
  ['trailing bytes', file(f32('[]', '[0,4]'), [0, 0, 0, 0, 0]), /after the header: found 5, expected 4/],
  ['trailing bytes alone', file('{}', [0]), /found 1, expected 0/],
  [
    'a hole',
    file(f32('[]', '[1,5]'), [0, 0, 0, 0, 0]),
    /tensor "w": begin leaves a hole: found 1, expected 0/,
  ],
  [
    'an overlap',
    file(`{"a":${entry('U8', '[2]', '[0,2]')},"b":${entry('U8', '[2]', '[1,3]')}}`, [0, 0, 0]),
    /tensor "b": begin overlaps another tensor: found 1, expected 2/,
  ],
  ['a bool of 2', file(`{"w":${entry('BOOL', '[1]', '[0,1]')}}`, [2]), /BOOL byte: found 2, expected 0 or 1/],
];

for (const [what, bytes, message] of malformed) {
  test(`refused with the reason: ${what}`, () => {
    assert.throws(
      () => decodeSafetensors(bytes, 'x.safetensors'),
      (error: unknown) => {
        assert.ok(error instanceof SafetensorsError, String(error));
        assert.match(error.message, message);
        assert.ok(error.message.startsWith('x.safetensors: '));
        assert.ok(!error.message.includes('\n'));
        return true;
      },
    );
  });
}

test('deep nesting and prototype keys do no harm', () => {
  assert.throws(
    () => decodeSafetensors(file(`{"w":${'['.repeat(1e5)}${']'.repeat(1e5)}}`)),
    SafetensorsError,
  );
  const { tensors, metadata } = decodeSafetensors(
    file(`{"__proto__":${entry('U8', '[1]', '[0,1]')},"__metadata__":{"__proto__":"x"}}`, [9]),
  );
  assert.deepEqual(tensors.get('__proto__'), ndarray([9], [1], 'uint8'));
  assert.equal(Object.getPrototypeOf(metadata), Object.prototype);
});

test('fuzz: a damaged file is read or refused, never anything else, and takes no more memory than it has bytes', () => {
  const valid = encodeSafetensors(
    new Map([
      [
        'blocks.0.weight',
        ndarray(
          Float32Array.from({ length: 12 }, (_, i) => i),
          [3, 4],
        ),
      ],
      ['blocks.0.bias', ndarray(new Uint16Array(4), [4], 'float16')],
      ['steps', ndarray([1], [1], 'int64')],
      ['mask', ndarray([0, 1, 1], [3], 'bool')],
    ]),
    { metadata: { format: 'pt', note: 'a "quoted" \\ note' } },
  );
  const damage = fc.record({
    // most flips in the header, where they matter
    flips: fc.array(fc.tuple(fc.oneof(fc.nat(7), fc.nat(valid.length - 1)), fc.nat(255)), { maxLength: 4 }),
    keep: fc.oneof(fc.constant(valid.length), fc.nat(valid.length)),
    extra: fc.oneof(fc.constant(0), fc.nat(9)),
  });
  fc.assert(
    fc.property(damage, ({ flips, keep, extra }) => {
      const bytes = new Uint8Array(keep + extra);
      bytes.set(valid.subarray(0, keep));
      for (const [at, value] of flips) if (at < keep) bytes[at] = value;
      try {
        const { tensors } = decodeSafetensors(bytes);
        let held = 0;
        for (const { data, shape, dtype } of tensors.values()) {
          assert.equal(data.length, sizeOf(shape));
          held += dtype === 'float32' ? data.byteLength / 2 : data.byteLength; // 16-bit floats double
        }
        assert.ok(held <= bytes.length);
      } catch (error) {
        if (!(error instanceof SafetensorsError)) throw error;
      }
    }),
    { numRuns: 20_000 },
  );
});

test('names match one to one, by a rule where given', () => {
  const expected = new Map([
    ['fc.weight', [2, 3]],
    ['fc.bias', [2]],
  ]);
  const found = new Map([
    ['module.fc.weight', [2, 3]],
    ['module.fc.bias', [2]],
    ['module.fc.count', []],
  ]);
  const rename = (name: string) => (name.endsWith('count') ? undefined : name.replace(/^module\./, ''));
  assert.deepEqual(
    matchNames(expected, found, { rename }),
    new Map([
      ['fc.weight', 'module.fc.weight'],
      ['fc.bias', 'module.fc.bias'],
    ]),
  );
});

test('a mismatch lists every missing, unexpected and mis-shaped name', () => {
  const expected = new Map([
    ['a', [2]],
    ['b', [3, 1]],
    ['c', []],
  ]);
  const found = new Map([
    ['b', [1, 3]],
    ['d', []],
    ['c', []],
    ['C', []],
  ]);
  assert.throws(
    () => matchNames(expected, found, { file: 'm.safetensors', rename: (name) => name.toLowerCase() }),
    (error: unknown) => {
      assert.ok(error instanceof NameMismatchError);
      assert.deepEqual(error.missing, ['a']);
      assert.deepEqual(error.unexpected, ['d', 'C']);
      assert.deepEqual(error.misshaped, ['b: found [1,3], expected [3,1]']);
      assert.match(error.message, /^m.safetensors: 1 missing: a; 2 unexpected: d, C; 1 mis-shaped: b: found/);
      return true;
    },
  );
});
