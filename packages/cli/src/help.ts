import type { Command, OptionSpec, OptionSpecs } from '@working-papers/paper';
import { flagName, globalOptions, positionalName } from './arguments.ts';
import type { Group } from './program.ts';

/** The help of one command, from its specs: `name` is how it is called, `wp run jei-dnn`. */
export function commandHelp(
  name: string,
  { summary, positionals = [], options = {}, examples }: Command,
): string {
  const usage = [
    name,
    ...positionals.map((positional) =>
      positional.required ? positionalName(positional) : `[${positionalName(positional)}]`,
    ),
    '[options]',
  ];
  return sections([
    ['', [summary]],
    ['Usage', [usage.join(' ')]],
    ['Arguments', twoColumns(positionals.map((item) => [positionalName(item), item.description]))],
    ['Options', twoColumns(optionRows(options))],
    ['Everywhere', twoColumns(optionRows(globalOptions))],
    ['Examples', examples ?? []],
  ]);
}

/** The help of a word that leads on to others. */
export function groupHelp(name: string, { summary, noun, entries }: Group): string {
  const listed = entries.map((entry) => [entry.name, entry.summary] as const);
  return sections([
    ['', [summary]],
    ['Usage', [`${name} ${noun.toUpperCase()} [arguments] [options]`]],
    [`${noun[0]!.toUpperCase()}${noun.slice(1)}s`, twoColumns(listed)],
    ['Everywhere', twoColumns(optionRows(globalOptions))],
    ['More', [`${name} ${noun.toUpperCase()} --help`]],
  ]);
}

function sections(parts: readonly (readonly [title: string, lines: readonly string[]])[]): string {
  return parts
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => (title ? [`${title}:`, ...lines.map((line) => `  ${line}`)] : lines).join('\n'))
    .join('\n\n');
}

/** Longest line of a help, in characters: wide enough for most descriptions, narrow enough for half a screen. */
const lineWidth = 100;

function twoColumns(rows: readonly (readonly [left: string, right: string])[]): readonly string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.flatMap(([left, right]) =>
    wrapped(right, lineWidth - width - 4).map((line, i) => `${(i === 0 ? left : '').padEnd(width)}  ${line}`),
  );
}

/** Lines of at most `width` characters; a word that is longer has a line of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function optionRows(specs: OptionSpecs): readonly (readonly [string, string])[] {
  return Object.entries(specs).map(([key, spec]) => [flags(key, spec), `${spec.description}${facts(spec)}`]);
}

function flags(key: string, spec: OptionSpec): string {
  const short = spec.short ? `-${spec.short}, ` : '    ';
  const long = `--${spec.type === 'boolean' && spec.default ? '[no-]' : ''}${flagName(key)}`;
  return short + long + (spec.type === 'boolean' ? '' : ` ${spec.type.toUpperCase()}`);
}

/** " (0 to 1; default 0.5)" */
function facts(spec: OptionSpec): string {
  if (spec.type === 'boolean') return spec.default ? ' (default on)' : '';
  const known = [];
  if (spec.type === 'string') {
    if (spec.choices) known.push(spec.choices.join(' | '));
  } else if (spec.min !== undefined && spec.max !== undefined) known.push(`${spec.min} to ${spec.max}`);
  else if (spec.min !== undefined) known.push(`at least ${spec.min}`);
  else if (spec.max !== undefined) known.push(`at most ${spec.max}`);
  if (spec.default !== undefined) known.push(`default ${spec.default}`);
  return known.length > 0 ? ` (${known.join('; ')})` : '';
}
