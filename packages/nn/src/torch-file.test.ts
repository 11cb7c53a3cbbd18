import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { ndarray, toNumbers } from '@working-papers/tensor/array';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { decodeTorch, encodeTorch, TorchFileError, type TorchValue } from './torch-file.ts';

/** `torch.save` of PyTorch 1.13, deflated once more: w.t(), halves, a parameter, an OrderedDict, a slice and so on. */
const saved = new Uint8Array(
  inflateSync(
    Buffer.from(
      'eNqlVVtvE0cUnrWdjbMlF1JaLqUpFGidNnFiOwkUAg4LXS4DxNmAZCFV0WY9ZFdsvD6741RUipSXhMsLtOpz1X9SxC+Ah1R9bh9A6mul' +
        'vnYujvFsSEBl5N3RzJzv+845c866gtMZhLJZtG0MoEHkRK7nr5CxmkOdfONuYJl96LYy1lKrgHLVLgZYDmskAG0VUtVetlwMQvdunB/P' +
        'O5TWIb0KmVxVY/sUulwaMuL8QpP6QWwsRGSx6Qe1BUrqcRgtrBQN0HO5ajczjpmls0SgW0IMKwgdOi83DcgKwnHoqabZ7DaaYGCdwgdz' +
        'GOE0Tm3AHqzh9Ab0PnTdMAiIS/2wHhuzUY1EpHbRd6kBfcM29FMYsGGvYPNg0GPq3pbiZSe40xb8UJgUYJ9n4BSFj7hQah0+xto67H/o' +
        'ca4DFA7acEgYNuCTHUJtOJGzTCiJDDgs5TwZTBE+ldxDLe7POPcRyX2Uwuc2HHsgFsfvwwkbvmjGIlGhjAm+FGcy0w4MK6FcC+tL7VC+' +
        'EiYl+JrJaRRGmNzwsJQZpZC3YSyuZvgN+D8QGG8xzLOFAQWc4lktrkPJhglpRUkDJq//o1VTbBVEMHWpfGjqz78PXxgVd7PoL8HJR7oo' +
        'LE0g6mGdwKkb4vQeieGbB2I78GMKp7+DMzmsiTP6fQjTOL0OZ4mosjjwXQLntpLm9XjizstzOMPTNcPTdV7GYVK4YMNFASPLDXoPvlVy' +
        'PQEWA7OCvMRzjXBmAy4zFm0DrkiCqxSwDddETIt34LqSTVPUYmGqndEbgnQSZmVGK5yUOTPHX7YknKdw04ZbzXwFd2efzw49PslC5E9l' +
        'xzbsQ71KG46NW2bP6yaURmtl9pphP/assefXGS6w/8nLHw+wA/7sJjCiChQsM5fo8p0HOoeecq2pzc2f+f1l3qI1o2oVLXP6nbXeqC9i' +
        'XytzH57M6ZtcNPsWH6ZVH0qWeep/+9DdYuX6jd9fhqo+ehf9iffR3y3OfarOpGUObNNBInPPyr/9y4s8tWvm+tH5NuMKiWL2MbXMs+91' +
        'fbdLBtd/8cvSrdf6Gp/aHnS2ycA2n5L/UEl0Zw/0Kcj7aZRorCS2s6ZV7KsktpDEdtaiir2ZSWCLSWxnHanYP5LY0hb2zZXWOfhnUK27' +
        'pG5nFajYp0nsZBLbeYP9CnZQR8mqqWBdH2kdD6VH26bZxPyXJuef9K0m00W/NVsGmtjr0iUmK+yl7X9Dy++I',
      'base64',
    ),
  ),
);

const dict = (value: TorchValue | undefined) => value as ReadonlyMap<string, TorchValue>;
const tensor = (value: TorchValue | undefined) => {
  const array = value as ReturnType<typeof ndarray>;
  return [array.dtype, array.shape, toNumbers(array)];
};

test('what PyTorch saved is read: strides, halves, parameters, numbers, None, lists', () => {
  const root = dict(decodeTorch(saved));
  const adapter = dict(dict(root.get('model')).get('blocks.0.attn'));
  assert.deepEqual(tensor(adapter.get('t')), ['float32', [3, 2], [0, 3, 1, 4, 2, 5]]);
  assert.deepEqual(tensor(adapter.get('h')), ['float32', [2], [1.5, -2]]);
  assert.deepEqual(tensor(adapter.get('p')), ['float32', [2], [1, 1]]);
  assert.deepEqual(tensor(root.get('slice')), ['float32', [2], [4, 5]]);
  assert.deepEqual(tensor(root.get('empty')), ['float32', [0, 4], []]);
  assert.deepEqual(tensor(root.get('bf')), ['float32', [1], [0.5]]);
  assert.deepEqual(tensor(dict(root.get('ordered')).get('a')), ['int64', [], [7]]);
  const plain = Object.fromEntries([...root].filter(([, value]) => !(value instanceof Map)));
  const { size, step, lr, big, none, yes, list } = plain;
  assert.deepEqual(
    { size, step, lr, big, none, yes, list },
    { size: [2, 3], step: 500, lr: 1e-4, big: 2 ** 40, none: null, yes: true, list: [1, 'two', [3]] },
  );
});

test('what is written is read again', () => {
  const value = new Map<string, TorchValue>([
    ['model', new Map([['blocks.0.attn', new Map([['weight', ndarray([1, -2.5, 3, 4], [2, 2])]])]])],
    ['step', 5000],
    ['big', 2 ** 40],
    ['rate', 1e-4],
    ['flags', [true, false, null, 'naïve']],
    ['counts', ndarray([3, -1], [2], 'int64')],
    ['bytes', ndarray([3, 255], [2], 'uint8')],
  ]);
  assert.deepEqual(decodeTorch(encodeTorch(value)), value);
});

test('a pickle that calls anything but plain data is refused and nothing is called', () => {
  const pickle = '\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR.';
  const file = zipSync({ 'archive/data.pkl': Uint8Array.from(pickle, (letter) => letter.charCodeAt(0)) });
  assert.throws(() => decodeTorch(file, 'evil.pt'), {
    name: 'TorchFileError',
    message: 'evil.pt: the pickle calls os.system, which plain data does not need',
  });
});

test('what is no file of torch.save says so', () => {
  const cases: [Uint8Array, RegExp][] = [
    [new TextEncoder().encode('not a zip'), /^x\.pt: not a file of torch\.save/],
    [Uint8Array.of(0x80, 2, 0x8a, 10), /before 1\.6/],
    [zipSync({ 'a.txt': Uint8Array.of(1) }), /no data\.pkl/],
    [saved.slice(0, 1500), /^x\.pt: /],
  ];
  for (const [bytes, message] of cases)
    assert.throws(
      () => decodeTorch(bytes, 'x.pt'),
      (error: Error) => error instanceof TorchFileError && message.test(error.message),
    );
});

test('a damaged file throws a TorchFileError or reads, whatever byte is changed', () => {
  fc.assert(
    fc.property(fc.nat(saved.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = saved.slice();
      bytes[at]! ^= change;
      try {
        decodeTorch(bytes);
      } catch (error) {
        assert.ok(error instanceof TorchFileError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
