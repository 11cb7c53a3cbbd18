/**
 * What a paper offers to `wp` and to the page: up to four commands, each described by data (from which the
 * arguments are parsed, checked and explained) and executed by one function.
 */

interface Described {
  readonly description: string;
  /** One letter: `s` for `-s`. */
  readonly short?: string;
}

export interface StringOption extends Described {
  readonly type: 'string';
  readonly default?: string;
  readonly choices?: readonly string[];
}

export interface NumberOption extends Described {
  /** An integer is a safe integer; a number is finite. */
  readonly type: 'number' | 'integer';
  readonly default?: number;
  /** Inclusive. */
  readonly min?: number;
  /** Inclusive. */
  readonly max?: number;
}

/** Several with commas between: `0.1,0.5,1`. */
export interface NumberListOption extends Described {
  readonly type: 'numbers' | 'integers';
  readonly default?: readonly number[];
  /** Of each, inclusive. */
  readonly min?: number;
  /** Of each, inclusive. */
  readonly max?: number;
}

export interface BooleanOption extends Described {
  readonly type: 'boolean';
  /** Without one it is false. `--no-NAME` says false. */
  readonly default?: boolean;
}

export type OptionSpec = StringOption | NumberOption | NumberListOption | BooleanOption;

/** Keys are camelCase as the code reads them; on the command line `costWeight` is `--cost-weight`. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type Value<S extends OptionSpec> = S extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : S extends StringOption
    ? string
    : S extends NumberListOption
      ? readonly number[]
      : S extends NumberOption
        ? number
        : boolean;

/** The values of options: certain where there is a default (a flag always has one), else possibly undefined. */
export type OptionValues<S extends OptionSpecs> = {
  readonly [K in keyof S]: S[K] extends
    | BooleanOption
    | { readonly default: string | number | readonly number[] }
    ? Value<S[K]>
    : Value<S[K]> | undefined;
};

export interface Positional {
  /** As the help shows it: `photo` is PHOTO. */
  readonly name: string;
  readonly description: string;
  readonly required?: boolean;
  /** Takes all that are left, so only the last one may say it. */
  readonly multiple?: boolean;
}

export type Cell = string | number | boolean | null | undefined;

export interface Progress {
  /** `done` units of the total are behind us; `note` is short: `loss 0.412`. */
  update(done: number, note?: string): void;
  /** Leaves the bar as it stands and goes to the next line. Safe to call twice. */
  end(): void;
  [Symbol.dispose](): void;
}

/** Where a command's words go. Under `--json` only `result` reaches stdout; progress and warnings use stderr. */
export interface Output {
  /** A line for a person. */
  print(line: string): void;
  /** Text for a person as it comes, without an end of line. */
  write(text: string): void;
  /** Rows for a person; numbers stand right. */
  table(header: readonly string[], rows: readonly (readonly Cell[])[]): void;
  /** The answer for a program, once a command: what `--json` prints. Typed arrays become arrays. */
  result(value: object): void;
  /** A bar with the time left on a terminal, nothing elsewhere. `using bar = output.progress('epoch 1', 390)` */
  progress(label: string, total: number): Progress;
  warn(line: string): void;
}

export interface CommandContext<S extends OptionSpecs = OptionSpecs> {
  readonly positionals: readonly string[];
  readonly options: OptionValues<S>;
  readonly output: Output;
  /** Aborted by Ctrl-C or SIGTERM: stop at the next good moment, save what is worth it, and return or throw. */
  readonly signal: AbortSignal;
}

export interface Command<S extends OptionSpecs = OptionSpecs> {
  /** One line without a full stop. */
  readonly summary: string;
  readonly positionals?: readonly Positional[];
  readonly options?: S;
  /** Whole command lines: `wp run jei-dnn cat.jpg --cost-weight 0.5`. */
  readonly examples?: readonly string[];
  /** Throws a `UserError` for what the user can put right. */
  execute(context: CommandContext<S>): void | Promise<void>;
}

/** Checks a command's types and infers its options': `defineCommand({ options: { steps: { type: 'integer' ... `. */
export function defineCommand<const S extends OptionSpecs>(command: Command<S>): Command<S> {
  return command;
}

export const verbs = ['run', 'train', 'bench', 'export'] as const;
export type Verb = (typeof verbs)[number];

/** A paper's module `commands` exports one of these under the name `commands`. */
export type PaperCommands = { readonly [V in Verb]?: Command };
