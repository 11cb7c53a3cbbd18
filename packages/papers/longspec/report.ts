/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import { type Claim, claimOf, type Figure, mean, reported, type Table } from '@working-papers/edition';
import { ascending, quantile } from '@working-papers/metrics/quantile';
import { memoryClaims, memoryTables } from './report-memory.ts';
import type { DecodingResult, Measured, PositionLoss, Results } from './results.ts';

export const vanillaName = 'vanilla';
/** With trees that it chooses itself. */
export const ownName = 'LongSpec';
/** With trees of the shape 2, 2, 2, 1, which all drafts are compared with. */
export const treeName = 'LongSpec, tree of 8';

/** Everything of `results.json` but the report, to the whole. */
export const withReport = (measured: Measured): Results =>
  reported(measured, measured.settings.prompts, {
    claims: claimsOf(measured),
    figures: figuresOf(measured),
    tables: tablesOf(measured),
  });

interface Kind {
  readonly text: string;
  readonly temperature: number;
}

interface Group extends Kind {
  readonly context: number;
}

interface Line {
  readonly method: string;
  /** Tokens a call of the target, all prompts together. */
  readonly tau: number;
  /** Median over prompts, and middle half. */
  readonly speed: number;
  readonly low: number;
  readonly high: number;
  /** Of vanilla's, prompt by prompt: median and middle half. */
  readonly ratio: number;
  readonly ratioLow: number;
  readonly ratioHigh: number;
  /** τ over the costs of verification and drafting in vanilla steps: what the ratio should be. */
  readonly expected: number;
  readonly distinct: number;
}

const quantileOf = (values: readonly number[], level: number) => quantile(ascending(values), level);

/** Tokens after the first, which the prompt's call gives, per second. */
const speedOf = ({ tokens, decodeMs }: DecodingResult) => (1000 * (tokens - 1)) / decodeMs;

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** The lines of a group, in the order of the methods; those that are not measured are left out. */
export function linesOf({ decodings, settings }: Measured, group: Group): Line[] {
  const inGroup = decodings.filter(
    ({ text, context, temperature }) =>
      text === group.text && context === group.context && temperature === group.temperature,
  );
  const plain = new Map(
    inGroup.filter(({ method }) => method === vanillaName).map((each) => [each.prompt, each]),
  );
  return [...settings.methods, ...settings.peers].flatMap((method) => {
    const own = inGroup.filter((each) => each.method === method && each.tokens > 1 && plain.has(each.prompt));
    if (own.length === 0) return [];
    const speeds = own.map(speedOf);
    const ratios = own.map((each) => speedOf(each) / speedOf(plain.get(each.prompt)!));
    const rounds = sum(own.map(({ forwards }) => forwards - 1));
    const step = mean([...plain.values()].map(({ verifyMs, forwards }) => verifyMs / (forwards - 1)));
    const cost = (sum(own.map(({ verifyMs }) => verifyMs)) + sum(own.map(({ draftMs }) => draftMs))) / rounds;
    return [
      {
        method,
        tau: sum(own.map(({ tokens }) => tokens)) / sum(own.map(({ forwards }) => forwards)),
        speed: quantileOf(speeds, 0.5),
        low: quantileOf(speeds, 0.25),
        high: quantileOf(speeds, 0.75),
        ratio: quantileOf(ratios, 0.5),
        ratioLow: quantileOf(ratios, 0.25),
        ratioHigh: quantileOf(ratios, 0.75),
        expected: sum(own.map(({ tokens }) => tokens - 1)) / rounds / (cost / step),
        distinct: mean(own.map(({ distinct }) => distinct)),
      },
    ];
  });
}

/** Prose first, greedy first, with the lengths that were measured, from short to long. */
function kindsOf({ decodings }: Measured): (Kind & { readonly contexts: readonly number[] })[] {
  const found = new Map<string, Kind & { readonly contexts: Set<number> }>();
  for (const { text, context, temperature } of decodings) {
    const key = `${text} ${temperature}`;
    const kind = found.get(key) ?? { text, temperature, contexts: new Set<number>() };
    kind.contexts.add(context);
    found.set(key, kind);
  }
  return [...found.values()]
    .sort((a, b) => b.text.localeCompare(a.text) || a.temperature - b.temperature)
    .map((kind) => ({ ...kind, contexts: [...kind.contexts].sort((a, b) => a - b) }));
}

/** All lengths that were measured, from short to long: the settings have those of the last run alone. */
function contextsOf({ decodings }: Measured): number[] {
  return [...new Set(decodings.map(({ context }) => context))].sort((a, b) => a - b);
}

const two = (value: number) => value.toFixed(2);
const percent = (share: number) => `${share < 0 ? '−' : '+'}${(100 * Math.abs(share)).toFixed(1)} %`;

function claimsOf(measured: Measured): Claim[] {
  const { decodings, settings } = measured;
  const list: Claim[] = [];
  const add = (...claim: Parameters<typeof claimOf>) => list.push(claimOf(...claim));
  const guessed = decodings.filter(
    ({ method }) => method !== vanillaName && settings.methods.includes(method),
  );
  if (guessed.length === 0) return list;
  const differing = guessed.filter(({ differs }) => differs);
  const worst = Math.max(0, ...differing.map(({ differs }) => differs!.gap));
  add(
    'The text is the one that the target alone would have written, greedily and drawn with a seed',
    'lossless',
    differing.length === 0
      ? `${guessed.length} of ${guessed.length} texts identical`
      : `${guessed.length - differing.length} of ${guessed.length} texts identical; where others part, the two likeliest logits are at most ${worst.toExponential(1)} apart`,
    [worst < 1e-4],
  );
  for (const claim of [...lossClaims(measured), ...memoryClaims(measured)]) add(...claim);
  const prose = contextsOf(measured).flatMap((context) => {
    const line = (method: string) =>
      linesOf(measured, { text: 'prose', context, temperature: 0 }).find((each) => each.method === method);
    const [own, tree] = [line(ownName), line(treeName)];
    return own && tree ? [{ context, own, tree, magic: line('MagicDec') }] : [];
  });
  const [first, last] = [prose[0], prose.at(-1)];
  if (!first || !last) return list;
  const taus = prose.map(({ tree }) => tree.tau);
  add(
    'A call of the target emits two and a half tokens or more, at any length',
    'τ 2.76 to 4.46',
    prose.map(({ context, tree }) => `${two(tree.tau)} at ${context}`).join(', '),
    taus.map((tau) => tau >= 2.5),
  );
  add(
    'τ hardly depends on the length',
    '4.01 below 5k, 3.97 at 25k to 32k',
    `${two(Math.min(...taus))} to ${two(Math.max(...taus))}`,
    [Math.min(...taus) >= 0.9 * Math.max(...taus)],
  );
  add(
    'Decoding is faster than vanilla decoding in the same layout, the more so the longer the text',
    '1.5 to 3.3 times',
    prose
      .map(({ context, own }) => `${two(own.ratio)} at ${context} (model: ${two(own.expected)})`)
      .join(', '),
    [last.own.ratio >= 1.5, prose.length > 1 && last.own.ratio > first.own.ratio],
  );
  const noNoise = pooledTau(measured, 'LongSpec, no noise');
  const noisy = pooledTau(measured, treeName);
  if (noNoise !== undefined && noisy !== undefined)
    add(
      'Flash noisy training raises τ',
      '14.7 % more, at the last depths most',
      `${two(noisy)} with it, ${two(noNoise)} without: ${percent(noisy / noNoise - 1)}`,
      [noisy > noNoise],
    );
  for (const peer of settings.peers) list.push(...peerClaims(measured, peer));
  if (last.magic)
    add(
      'A target that drafts for itself gains little or nothing',
      'MagicDec 0.68 to 1.35 times',
      `${two(last.magic.ratio)} times at ${last.context}`,
      [last.magic.ratio < 1.35 && last.magic.ratio < last.own.ratio],
    );
  return list;
}

/** τ of a method on prose, greedy, all lengths together. */
function pooledTau({ decodings }: Measured, method: string): number | undefined {
  const own = decodings.filter(
    (each) => each.method === method && each.text === 'prose' && each.temperature === 0,
  );
  if (own.length === 0) return undefined;
  return sum(own.map(({ tokens }) => tokens)) / sum(own.map(({ forwards }) => forwards));
}

/** Vanilla decoding and LongSpec beside another runtime on the same prompts, prose, greedy. */
function peerClaims(measured: Measured, peer: string): Claim[] {
  const found = contextsOf(measured).flatMap((context) => {
    const of = { text: 'prose', context, temperature: 0 };
    const prompts = new Set(
      measured.decodings
        .filter((each) => each.method === peer && each.context === context)
        .map(({ prompt }) => prompt),
    );
    const decodings = measured.decodings.filter(({ prompt }) => prompts.has(prompt));
    const lines = linesOf({ ...measured, decodings }, of);
    const line = (method: string) => lines.find((each) => each.method === method);
    const [own, other] = [line(ownName), line(peer)];
    return own && other ? [{ context, vanilla: 1 / other.ratio, own: own.ratio / other.ratio }] : [];
  });
  if (found.length === 0) return [];
  const floor = peer.includes('llama') ? 0.8 : 1;
  const long = found.filter(({ context }) => context >= 8000);
  const say = (key: 'vanilla' | 'own', of = found) =>
    of.map((each) => `${two(each[key])} at ${each.context}`).join(', ');
  return [
    claimOf(
      `Vanilla decoding is ${floor === 1 ? 'as fast as' : `at least ${floor} times as fast as`} in ${peer}, same weights and threads`,
      'required of this experiment',
      `${say('vanilla')} times`,
      found.map(({ vanilla }) => vanilla >= floor),
    ),
    claimOf(
      `LongSpec is faster than ${peer} on long texts`,
      'required of this experiment',
      `${say('own', long)} times`,
      long.map(({ own }) => own > 1),
    ),
  ];
}

function figuresOf(measured: Measured): Figure[] {
  const { settings } = measured;
  return (
    [
      ['speed', 'Times vanilla’s speed', 'Of vanilla decoding in the same layout; prose, greedy', 'ratio'],
      ['tau', 'Tokens a call of the target', 'Acceptance length τ; prose, greedy', 'tau'],
    ] as const
  ).flatMap(([id, title, description, key]) => {
    const series = [...settings.methods, ...settings.peers].flatMap((method) => {
      if (key === 'tau' && settings.peers.includes(method)) return [];
      const points = contextsOf(measured).flatMap((context) => {
        const line = linesOf(measured, { text: 'prose', context, temperature: 0 }).find(
          (each) => each.method === method,
        );
        if (!line) return [];
        const spread = key === 'ratio' ? { low: line.ratioLow, high: line.ratioHigh } : {};
        return [{ x: context, y: line[key], ...spread }];
      });
      const role = method.startsWith('LongSpec')
        ? ('method' as const)
        : method === vanillaName
          ? ('reference' as const)
          : ('baseline' as const);
      return points.length > 0 ? [{ name: method, role, points }] : [];
    });
    if (series.length === 0) return [];
    return [{ id, title, description, x: { label: 'Context', unit: 'tokens' }, y: { label: title }, series }];
  });
}

function tablesOf(measured: Measured): Table[] {
  const columns = [
    'method',
    'τ',
    'tokens/s',
    'middle half',
    'times vanilla',
    'by the model',
    'distinct 4-grams',
  ];
  const tables = kindsOf(measured).flatMap(({ text, temperature, contexts }) => {
    const of = (context: number) => linesOf(measured, { text, context, temperature });
    const prompts = (context: number) => {
      const isOwn = (each: DecodingResult) =>
        each.text === text && each.temperature === temperature && each.context === context;
      const count = measured.decodings.filter((each) => each.method === vanillaName && isOwn(each)).length;
      return `${count} prompt${count === 1 ? '' : 's'}`;
    };
    const longest = contexts.at(-1)!;
    const lines = of(longest);
    const details: Table = {
      title: `${text}, T = ${temperature}, ${longest} tokens of context, ${prompts(longest)}`,
      columns,
      rows: lines.map((line) => [
        line.method,
        two(line.tau),
        line.speed.toFixed(1),
        `${line.low.toFixed(1)} to ${line.high.toFixed(1)}`,
        two(line.ratio),
        two(line.expected),
        two(line.distinct),
      ]),
    };
    if (contexts.length === 1) return [details];
    const byContext = contexts.map((context) => new Map(of(context).map((line) => [line.method, line])));
    const overview: Table = {
      title: `${text}, T = ${temperature}: times vanilla, and τ, by tokens of context`,
      columns: ['method', ...contexts.map((context) => `${context}, ${prompts(context)}`)],
      rows: lines.map(({ method }) => [
        method,
        ...byContext.map((found) => {
          const line = found.get(method);
          return line ? `${two(line.ratio)} (${two(line.tau)})` : '';
        }),
      ]),
    };
    return [details, overview];
  });
  const trees = measured.decodings.filter(({ method, text }) => method === treeName && text === 'prose');
  const deepest = Math.max(0, ...trees.map(({ proposed }) => proposed.length));
  if (deepest > 0)
    tables.push({
      title: 'Rounds in which the tree of 8 was right to this depth, prose',
      columns: ['context', ...Array.from({ length: deepest }, (_, i) => `depth ${i + 1}`)],
      rows: contextsOf(measured).flatMap((context) => {
        const own = trees.filter((each) => each.context === context);
        const rounds = sum(own.map(({ forwards }) => forwards - 1));
        if (rounds === 0) return [];
        const share = (depth: number) => sum(own.map(({ accepted }) => accepted[depth] ?? 0)) / rounds;
        return [[context, ...Array.from({ length: deepest }, (_, i) => two(share(i)))]];
      }),
    });
  return [...tables, ...lossTables(measured), ...memoryTables(measured)];
}

/** The losses of a model, by where its range of positions begins. */
function lossesOf({ losses }: Measured, model: string, lag: number): PositionLoss[] {
  return losses.filter((each) => each.model === model && each.lag === lag).sort((a, b) => a.from - b.from);
}

function lossTables(measured: Measured): Table[] {
  const { losses } = measured;
  const own = lossesOf(measured, 'target', 0);
  if (own.length === 0) return [];
  const models = [...new Set(losses.map(({ model, lag }) => JSON.stringify([model, lag])))];
  return [
    {
      title: 'Cross-entropy by position, held-out prose',
      columns: ['model', 'keys end before the query', ...own.map(({ from, to }) => `${from} to ${to}`)],
      rows: models.map((key) => {
        const [model, lag] = JSON.parse(key) as [string, number];
        const found = lossesOf(measured, model, lag).map(({ crossEntropy }) => crossEntropy.toFixed(3));
        return [model, lag === 0 ? '0, it is itself' : lag, ...found];
      }),
    },
  ];
}

/** The target's gate, and the gap that anchor-offset positions close. */
function lossClaims(measured: Measured): Parameters<typeof claimOf>[] {
  const own = lossesOf(measured, 'target', 0).map(({ crossEntropy }) => crossEntropy);
  if (own.length < 2) return [];
  const list: Parameters<typeof claimOf>[] = [
    [
      'The target reads long texts as well as short ones: its loss at no range of positions is 5 % above that of the first',
      'required of this experiment',
      own.map((value) => value.toFixed(3)).join(', '),
      own.map((value) => value <= 1.05 * own[0]!),
    ],
  ];
  const last = (model: string) => lossesOf(measured, model, 1).at(-1);
  const [anchored, plain] = [last('after stage 1'), last('plain after stage 1')];
  if (anchored && plain)
    list.push([
      'After short sequences alone, a draft with anchor-offset positions loses less at long ones',
      '4.1 against 6.35 on the first long batches',
      `${anchored.crossEntropy.toFixed(3)} against ${plain.crossEntropy.toFixed(3)} from ${plain.from} on; the target's last layer has ${(100 * (measured.sinkMass ?? 0)).toFixed(1)} % of its attention on the first four tokens`,
      [plain.crossEntropy - anchored.crossEntropy >= 0.1],
    ]);
  return list;
}
