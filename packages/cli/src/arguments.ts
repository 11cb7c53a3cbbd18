import { type ParseArgsConfig, parseArgs } from 'node:util';
import type {
  Command,
  NumberListOption,
  NumberOption,
  OptionSpec,
  OptionSpecs,
  OptionValues,
} from '@working-papers/paper';
import { UserError } from '@working-papers/paper';
import { didYouMean } from './suggest.ts';

/** Every command of wp understands these. */
export const globalOptions = {
  help: { type: 'boolean', short: 'h', description: 'show this help' },
  json: { type: 'boolean', description: 'print the result as JSON on stdout, everything else on stderr' },
  verbose: { type: 'boolean', description: 'show where an unexpected error came from' },
} as const satisfies OptionSpecs;

export interface Arguments {
  readonly positionals: readonly string[];
  readonly options: OptionValues<OptionSpecs>;
  readonly globals: OptionValues<typeof globalOptions>;
}

/** `costWeight` is `cost-weight` on the command line. */
export function flagName(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `cost` with many is COST... */
export function positionalName({ name, multiple }: { name: string; multiple?: boolean }): string {
  return name.toUpperCase() + (multiple ? '...' : '');
}

/** Checks arguments against a command's specs. Throws a `UserError` without the command's name in front. */
export function parseArguments(args: readonly string[], command: Command): Arguments {
  const specs: OptionSpecs = { ...command.options, ...globalOptions };
  const keys = new Map(Object.keys(specs).map((key) => [flagName(key), key]));
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([...keys].map(([flag, key]) => [flag, parserOption(specs[key]!)])),
    strict: false, // its errors name no range and no neighbour
    allowPositionals: true,
    tokens: true,
  });

  const positionals: string[] = [];
  const given: Record<string, Value> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const negated = token.rawName.startsWith('--no-') && !keys.has(token.name);
    const key = keys.get(negated ? token.name.slice('no-'.length) : token.name);
    const spec = key === undefined ? undefined : specs[key];
    if (key === undefined || spec === undefined || (negated && spec.type !== 'boolean')) {
      const near = token.rawName.startsWith('--')
        ? didYouMean(token.rawName, [...keys.keys()].map(dashed))
        : '';
      throw new UserError(`unknown option ${token.rawName}${near}`);
    }
    given[key] = readValue(token.rawName, spec, token.value, token.inlineValue ?? false, negated);
  }

  const { help, json, verbose } = withDefaults(globalOptions, given);
  // Help wanted is help given, whatever else is wrong or missing.
  if (!help) checkPositionals(positionals, command);
  return {
    positionals,
    options: withDefaults(command.options ?? {}, given),
    globals: { help: help === true, json: json === true, verbose: verbose === true },
  };
}

type Value = string | number | boolean | readonly number[];
type Values = Readonly<Record<string, Value>>;

function withDefaults(specs: OptionSpecs, given: Values): Values {
  const values: Record<string, Value> = {};
  for (const [key, spec] of Object.entries(specs)) {
    const value = given[key] ?? spec.default ?? (spec.type === 'boolean' ? false : undefined);
    if (value !== undefined) values[key] = value;
  }
  return values;
}

function parserOption({ type, short }: OptionSpec): NonNullable<ParseArgsConfig['options']>[string] {
  return { type: type === 'boolean' ? 'boolean' : 'string', ...(short && { short }) };
}

const dashed = (flag: string) => `--${flag}`;

function readValue(
  flag: string,
  spec: OptionSpec,
  text: string | undefined,
  inline: boolean,
  negated: boolean,
): Value {
  if (spec.type === 'boolean') {
    if (text !== undefined) throw new UserError(`${flag} takes no value, not '${text}'`);
    return !negated;
  }
  // `--out --json` forgot a value; `--shift -1` and `--out=--json` did not.
  const forgotten = text === undefined || (!inline && /^-[^\d.]/.test(text));
  if (forgotten) throw new UserError(`${flag} needs a value: ${expected(spec)}`);
  if (spec.type === 'string') {
    if (spec.choices && !spec.choices.includes(text)) {
      throw new UserError(
        `${flag} must be ${expected(spec)}, not '${text}'${didYouMean(text, spec.choices)}`,
      );
    }
    return text;
  }
  const isList = spec.type === 'numbers' || spec.type === 'integers';
  const values = (isList ? text.split(',') : [text]).map((part) => readNumber(part, spec));
  if (values.some(Number.isNaN)) throw new UserError(`${flag} must be ${expected(spec)}, not '${text}'`);
  return isList ? values : values[0]!;
}

/** NaN for what the option does not take. */
function readNumber(
  text: string,
  { type, min = -Infinity, max = Infinity }: NumberOption | NumberListOption,
): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits =
    type === 'integer' || type === 'integers' ? Number.isSafeInteger(value) : Number.isFinite(value);
  return fits && value >= min && value <= max ? value : Number.NaN;
}

/** "a whole number from 1 to 10", "numbers of at least 0 with commas between", "one of stopgrad, plain". */
export function expected(spec: Exclude<OptionSpec, { type: 'boolean' }>): string {
  if (spec.type === 'string') return spec.choices ? `one of ${spec.choices.join(', ')}` : 'a text';
  const whole = spec.type === 'integer' || spec.type === 'integers' ? 'whole ' : '';
  return spec.type === 'number' || spec.type === 'integer'
    ? `a ${whole}number${range(spec)}`
    : `${whole}numbers${range(spec)} with commas between`;
}

function range({ min, max }: NumberOption | NumberListOption): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  return max === undefined ? '' : ` of at most ${max}`;
}

function checkPositionals(given: readonly string[], { positionals = [] }: Command): void {
  const missing = positionals.slice(given.length).find(({ required }) => required);
  if (missing) throw new UserError(`${missing.name.toUpperCase()} is missing: ${missing.description}`);
  if (!positionals.at(-1)?.multiple && given.length > positionals.length) {
    throw new UserError(`unexpected argument '${given[positionals.length]}'`);
  }
}
