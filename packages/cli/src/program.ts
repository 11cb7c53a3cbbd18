import type { Command } from '@working-papers/paper';
import { UserError } from '@working-papers/paper';
import { globalOptions, parseArguments } from './arguments.ts';
import { describeError } from './errors.ts';
import { commandHelp, groupHelp } from './help.ts';
import { createOutput, type Streams } from './output.ts';
import { didYouMean } from './suggest.ts';

/** A word that leads to further words: `wp` to its commands, `wp run` to the papers that run. */
export interface Group {
  readonly summary: string;
  /** What the words are, for help and errors: `command`, `paper`. */
  readonly noun: string;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly name: string;
  /** One line without a full stop. */
  readonly summary: string;
  /** Whether it is listed; without it, it is. What is not listed is understood all the same, to say why not. */
  isListed?(): Promise<boolean>;
  /** Called only when the entry is: a paper brings the engine with it. */
  load(): Node | Promise<Node>;
}

export type Node = Group | Command;

export interface World {
  readonly version: string;
  readonly streams: Streams;
  readonly signal: AbortSignal;
}

/** Runs the command that `args` name below `root`. Resolves to the exit code; never rejects. */
export async function runProgram(root: Group, args: readonly string[], world: World): Promise<number> {
  const call = { name: 'wp', verbose: args.includes('--verbose') };
  const [first, ...rest] = args;
  try {
    if (first === '--version' || first === '-V') printVersion(args, world);
    else
      await runNode(root, first === undefined || first === 'help' ? [...rest, '--help'] : args, world, call);
    return 0;
  } catch (error) {
    const cause = world.signal.aborted ? world.signal.reason : error;
    const { text, exitCode } = describeError(cause, call.verbose);
    world.streams.stderr.write(`${call.name}: ${text}\n`);
    return exitCode;
  }
}

function printVersion(args: readonly string[], { streams, version }: World): void {
  const output = createOutput(streams, args.includes('--json'));
  output.print(version);
  output.result({ version, node: process.versions.node });
}

/** `call.name` follows the way down, so that an error names the words that led to it. */
async function runNode(
  node: Node,
  args: readonly string[],
  world: World,
  call: { name: string },
): Promise<void> {
  if ('execute' in node) return runCommand(node, args, world, call.name);

  const at = args.findIndex((arg) => !arg.startsWith('-'));
  const before = at < 0 ? args : args.slice(0, at);
  const globals = parseLeading(before, node.noun);
  const word = args[at];
  if (word === undefined) {
    const shown = await listed(node);
    if (!globals.help) throw new UserError(`${node.noun.toUpperCase()} is missing: one of ${namesOf(shown)}`);
    const output = createOutput(world.streams, globals.json);
    output.print(groupHelp(call.name, shown));
    output.result(shown);
    return;
  }
  const entry = node.entries.find(({ name }) => name === word);
  if (!entry) {
    const near = didYouMean(
      word,
      node.entries.map(({ name }) => name),
    );
    throw new UserError(
      `unknown ${node.noun} '${word}'${near || `; there is ${namesOf(await listed(node))}`}`,
    );
  }
  const next = await entry.load();
  call.name += ` ${word}`;
  await runNode(next, [...before, ...args.slice(at + 1)], world, call);
}

async function runCommand(
  command: Command,
  args: readonly string[],
  { streams, signal }: World,
  name: string,
): Promise<void> {
  const { positionals, options, globals } = parseArguments(args, command);
  const output = createOutput(streams, globals.json);
  if (globals.help) {
    output.print(commandHelp(name, command));
    output.result(command);
    return;
  }
  await command.execute({ positionals, options, output, signal });
  // A command may end in peace when it is told to stop; that is not success yet.
  signal.throwIfAborted();
  output.finish();
}

async function listed(group: Group): Promise<Group> {
  const isListed = await Promise.all(group.entries.map((entry) => entry.isListed?.() ?? true));
  return { ...group, entries: group.entries.filter((_, i) => isListed[i]) };
}

const namesOf = ({ entries }: Group) => entries.map(({ name }) => name).join(', ');

/** Options in front of a word: only those that every command has. */
function parseLeading(flags: readonly string[], noun: string) {
  const known = new Set([...Object.keys(globalOptions).map((name) => `--${name}`), '-h']);
  const other = flags.find((flag) => !known.has(flag));
  if (other === undefined) return parseArguments(flags, { summary: '', execute() {} }).globals;
  const near = other.startsWith('--') ? didYouMean(other, [...known, '--version']) : '';
  throw new UserError(`unknown option ${other} before ${noun.toUpperCase()}${near}`);
}
