import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Command, UserError } from '@working-papers/paper';
import fc from 'fast-check';
import { flagName, parseArguments } from '../src/arguments.ts';

const command = {
  summary: '',
  positionals: [{ name: 'files', description: 'files', multiple: true }],
  options: {
    learningRate: { type: 'number', description: '', min: 0, max: 1 },
    maxSteps: { type: 'integer', description: '', min: -1000, max: 1000, short: 'n' },
    weighting: { type: 'string', description: '', choices: ['stopgrad', 'released'] },
    scales: { type: 'numbers', description: '', min: 0 },
    widths: { type: 'integers', description: '', min: 1, max: 9, default: [2, 1] },
    out: { type: 'string', description: '' },
    resume: { type: 'boolean', description: '' },
    compact: { type: 'boolean', description: '', default: true },
  },
  execute() {},
} as const satisfies Command;

const given = fc.record(
  {
    learningRate: fc.double({ min: 0, max: 1, noNaN: true }),
    maxSteps: fc.integer({ min: -1000, max: 1000 }),
    weighting: fc.constantFrom('stopgrad', 'released'),
    scales: fc.array(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
    widths: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
    out: fc.string(),
    resume: fc.boolean(),
    compact: fc.boolean(),
  },
  { requiredKeys: [] },
);

test('whatever the options, their order and the way they are written, they are read back', () => {
  fc.assert(
    fc.property(
      given,
      fc.array(fc.string({ minLength: 1 })),
      fc.infiniteStream(fc.boolean()),
      (values, files, coin) => {
        const words = Object.entries(values).flatMap(([key, value]) => {
          const flag = flagName(key);
          if (typeof value === 'boolean') return [`--${value ? '' : 'no-'}${flag}`];
          // A text that looks like an option is given with =, as everywhere.
          const together = coin.next().value || String(value).startsWith('-');
          return together ? [`--${flag}=${value}`] : [`--${flag}`, String(value)];
        });
        const parsed = parseArguments([...words, '--', ...files], command);
        assert.deepEqual(parsed.positionals, files);
        const expected = { resume: false, compact: true, widths: [2, 1], ...values };
        assert.deepEqual({ ...parsed.options }, expected);
      },
    ),
  );
});

test('any words at all are understood or refused in one line', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '--learning-rate',
      '--max-steps=3',
      '-n',
      '-n7',
      '--no-resume',
      '--resume',
      '--',
      '--json',
      '1e9',
      '__proto__',
      '--__proto__',
    ),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      try {
        parseArguments(words, command);
      } catch (error) {
        assert(error instanceof UserError);
        assert.doesNotMatch(error.message, /\n/);
      }
    }),
  );
});

test('numbers: what is not wholly a number in range is refused, with the range', () => {
  const parse = (...words: string[]) => parseArguments(words, command).options;
  assert.equal(parse('--max-steps', '-5').maxSteps, -5);
  assert.equal(parse('-n7').maxSteps, 7);
  assert.equal(parse('--learning-rate', '1e-3').learningRate, 1e-3);
  for (const bad of ['', ' ', '5x', '0.5', 'NaN', 'Infinity', '1001', '9007199254740993']) {
    assert.throws(() => parse(`--max-steps=${bad}`), {
      message: `--max-steps must be a whole number from -1000 to 1000, not '${bad}'`,
    });
  }
});

test('lists: each number is checked, and none may be missing', () => {
  const parse = (...words: string[]) => parseArguments(words, command).options;
  assert.deepEqual(parse('--scales', '0.5, 1e2,3').scales, [0.5, 100, 3]);
  for (const bad of ['', '1,', '1,,2', '1;2', '1,-2', 'Infinity'])
    assert.throws(() => parse(`--scales=${bad}`), {
      message: `--scales must be numbers of at least 0 with commas between, not '${bad}'`,
    });
  for (const bad of ['1.5', '3,10', '2,x'])
    assert.throws(() => parse(`--widths=${bad}`), {
      message: `--widths must be whole numbers from 1 to 9 with commas between, not '${bad}'`,
    });
});

test('the last of several wins, and help wanted is help given', () => {
  const parsed = parseArguments(['--resume', '--no-resume', '-n1', '-n2'], command);
  assert.deepEqual({ ...parsed.options }, { resume: false, maxSteps: 2, compact: true, widths: [2, 1] });
  const needs = { ...command, positionals: [{ name: 'file', description: '', required: true }] };
  assert.equal(parseArguments(['-h'], needs).globals.help, true);
});
