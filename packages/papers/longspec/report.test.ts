import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf, ownName, treeName, vanillaName, withReport } from './report.ts';
import type { DecodingResult, Measured } from './results.ts';

const noNoise = 'LongSpec, no noise';
const peer = 'node-llama-cpp 3.0.0';

interface Speed {
  readonly method: string;
  readonly context: number;
  readonly forwards: number;
  /** Of a call, with drafting. */
  readonly ms: number;
  readonly prompt?: number;
}

/** 101 tokens, of which the prompt gives one. */
function decoding({ method, context, forwards, ms, prompt = 0 }: Speed): DecodingResult {
  const calls = forwards - 1;
  const draftMs = method.startsWith('LongSpec') ? 0.25 * ms * calls : 0;
  return {
    ...{ method, context, prompt, text: 'prose', temperature: 0, tokens: 101, forwards, distinct: 0.5 },
    ...{ prefillMs: 1, decodeMs: ms * calls, draftMs, verifyMs: ms * calls - draftMs },
    proposed: [1],
    accepted: [1],
  };
}

function measured(decodings: readonly DecodingResult[], peers: readonly string[] = [peer]): Measured {
  return {
    ...({ date: '', command: '', machine: {}, versions: {} } as unknown as Measured),
    settings: {
      ...{
        model: 'm',
        contexts: [1000], // of the last run: an earlier one measured 16,000
        temperatures: [0],
        prompts: 1,
        newTokens: 101,
        quick: false,
      },
      methods: [vanillaName, ownName, treeName, noNoise],
      peers,
    },
    decodings,
    losses: [],
    sinkMass: null,
  };
}

const vanilla = [1000, 16_000].map((context) => ({ method: vanillaName, context, forwards: 101, ms: 10 }));
const guessing = (method: string, ms: number) =>
  [1000, 16_000].map((context) => ({ method, context, forwards: 41, ms }));
const tree = (ms: number) => guessing(treeName, ms);

const claim = (of: Measured, words: RegExp) => {
  const found = withReport(of).report.claims.filter(({ claim }) => words.test(claim));
  assert.equal(found.length, 1, String(words));
  return found[0]!;
};

test('a line: tokens a call, speed beside vanilla on the same prompt, and what τ and the costs say it should be', () => {
  const of = measured([...vanilla, ...tree(12.5)].map(decoding));
  const line = linesOf(of, { text: 'prose', context: 1000, temperature: 0 }).at(-1)!;
  assert.equal(line.method, treeName);
  assert.ok(Math.abs(line.tau - 101 / 41) < 1e-12);
  assert.ok(Math.abs(line.speed - 200) < 1e-9);
  assert.ok(Math.abs(line.ratio - 2) < 1e-12);
  assert.ok(Math.abs(line.expected - 2) < 1e-12);
});

test('speed has to rise with the length to hold, and one and a half times vanilla at the longest', () => {
  const speed = (first: number, last: number) => {
    const own = [guessing(ownName, first)[0]!, guessing(ownName, last)[1]!];
    return claim(measured([...vanilla, ...own, ...tree(50)].map(decoding)), /faster than vanilla/).verdict;
  };
  assert.equal(speed(14, 12.5), 'reproduced');
  assert.equal(speed(12.5, 14), 'partly');
  assert.equal(speed(21, 20), 'partly');
  assert.equal(speed(20, 21), 'not reproduced');
});

test('a text that parts from vanilla’s where the choice was clear is a failure; another runtime’s is not ours', () => {
  const all = [...vanilla, ...tree(12)].map(decoding);
  const parts = (gap: number) =>
    all.map((each, i) => (i === 3 ? { ...each, differs: { at: 5, gap } } : each));
  assert.equal(claim(measured(all), /target alone/).verdict, 'reproduced');
  assert.equal(claim(measured(parts(1e-5)), /target alone/).verdict, 'reproduced');
  assert.equal(claim(measured(parts(0.1)), /target alone/).verdict, 'not reproduced');
  const other = {
    ...decoding({ method: peer, context: 1000, forwards: 101, ms: 11 }),
    differs: { at: 1, gap: 1 },
  };
  assert.equal(claim(measured([...all, other]), /target alone/).verdict, 'reproduced');
});

test('another runtime is compared on its own prompts: vanilla with it, and LongSpec on long texts', () => {
  const others = [1000, 16_000].map((context) => ({ method: peer, context, forwards: 101, ms: 9 }));
  // a prompt that only ours have, much faster
  const extra = [...vanilla, ...guessing(ownName, 1)].map((each) => ({ ...each, ms: 1, prompt: 1 }));
  const all = [...vanilla, ...guessing(ownName, 12.5), ...tree(12.5), ...others, ...extra];
  const of = measured(all.map(decoding));
  const own = claim(of, /^Vanilla decoding is at least 0.8/);
  assert.equal(own.measured, '0.90 at 1000, 0.90 at 16000 times');
  assert.equal(own.verdict, 'reproduced');
  const ahead = claim(of, /faster than node-llama-cpp/);
  assert.equal(ahead.measured, '1.80 at 16000 times');
  assert.equal(ahead.verdict, 'reproduced');
});

test('tables: the longest context in full, then all lengths beside each other', () => {
  const { tables } = withReport(measured([...vanilla, ...guessing(ownName, 12.5)].map(decoding))).report;
  const [details, overview] = tables;
  assert.equal(details!.title, 'prose, T = 0, 16000 tokens of context, 1 prompt');
  assert.deepEqual(details!.rows[1], [ownName, '2.46', '200.0', '200.0 to 200.0', '2.00', '2.00', '0.50']);
  assert.deepEqual(overview!.columns, ['method', '1000, 1 prompt', '16000, 1 prompt']);
  assert.deepEqual(overview!.rows, [
    [vanillaName, '1.00 (1.00)', '1.00 (1.00)'],
    [ownName, '2.00 (2.46)', '2.00 (2.46)'],
  ]);
  const single = withReport(measured([decoding(vanilla[1]!)])).report.tables;
  assert.equal(single.length, 1);
});

test('noise is held against a draft without it, all lengths together', () => {
  const without = [1000, 16_000].map((context) => ({ method: noNoise, context, forwards: 51, ms: 12 }));
  const found = claim(
    measured([...vanilla, ...guessing(ownName, 12), ...tree(12), ...without].map(decoding)),
    /noisy training/,
  );
  assert.equal(found.measured, '2.46 with it, 1.98 without: +24.4 %');
  assert.equal(found.verdict, 'reproduced');
});
