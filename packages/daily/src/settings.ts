/** Every setting is an environment variable and one row of this table. */

import { join, resolve } from 'node:path';
import { UserError } from '@working-papers/paper';

interface Kind<T> {
  /** What a value must be, to follow "expected": "a whole number from 1 to 200". */
  readonly expected: string;
  /** Undefined where the text is no such value. */
  parse(text: string): T | undefined;
}

interface Setting<T> {
  readonly name: string;
  readonly kind: Kind<T>;
  /** As one would write it in the environment. Undefined: the setting may be left out altogether. */
  readonly default?: string;
  /** One line. */
  readonly description: string;
  /** Never printed: `wp doctor` shows that it is set and not what it is. */
  readonly secret?: boolean;
}

const text: Kind<string> = { expected: 'a text', parse: (value) => value };

const oneLine: Kind<string> = {
  expected: 'one line of text',
  parse: (value) => (/\p{Cc}/u.test(value) ? undefined : value),
};

const path: Kind<string> = { expected: 'a path', parse: (value) => resolve(value) };

const flag: Kind<boolean> = {
  expected: 'on or off',
  parse: (value) => (value === 'on' ? true : value === 'off' ? false : undefined),
};

function integer(min: number, max: number): Kind<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse: (value) => {
      const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

function choice<const C extends string>(...choices: readonly C[]): Kind<C> {
  return {
    expected: `one of ${choices.join(', ')}`,
    parse: (value) => choices.find((option) => option === value),
  };
}

/** Comma-separated, each item of a pattern. */
function list(pattern: RegExp, expected: string): Kind<readonly string[]> {
  return {
    expected,
    parse: (value) => {
      const items = value.split(',').map((item) => item.trim());
      return items.every((item) => pattern.test(item)) ? items : undefined;
    },
  };
}

/** `origin`: nothing behind the path's last slash, so that addresses can be put behind it. */
function address(protocols: readonly string[], expected: string, base: boolean): Kind<string> {
  return {
    expected,
    parse: (value) => {
      const url = URL.canParse(value) ? new URL(value) : undefined;
      if (!url || !protocols.includes(url.protocol) || (base && (url.search || url.hash || url.username)))
        return undefined;
      return base ? url.href.replace(/\/+$/, '') : value;
    },
  };
}

const webAddress = address(['http:', 'https:'], 'an http or https address without query or password', true);

/** An address alone or with a name in front. Control characters would begin another header. */
const mailbox: Kind<string> = {
  expected: 'a mail address, NAME <NAME@HOST> or NAME@HOST',
  parse: (value) =>
    /^(?:[^<>\p{Cc}"]+ )?<[^\s<>@]+@[^\s<>@]+>$|^[^\s<>@]+@[^\s<>@]+$/u.test(value) ? value : undefined,
};

const row = <T, D extends { default?: string; secret?: boolean }>(
  name: string,
  kind: Kind<T>,
  description: string,
  more: D = {} as D,
) => ({ name, kind, description, ...more });

/** The keys are how the code calls them, the names how the environment does. */
const table = {
  home: row('WP_HOME', path, 'folder of everything that the page keeps', { default: '.working-papers' }),
  baseUrl: row('WP_BASE_URL', webAddress, "the page's own address, for the links in mails and feeds", {
    default: 'http://127.0.0.1:3000',
  }),
  siteName: row('WP_SITE_NAME', oneLine, "the page's name in mails and feeds", {
    default: 'Working Papers',
  }),
  databaseUrl: row(
    'DATABASE_URL',
    address(['postgres:', 'postgresql:'], 'an address like postgres://USER:PASSWORD@HOST/DATABASE', false),
    'a PostgreSQL server (15 or newer); without it, an embedded PGlite in WP_HOME/database',
    { secret: true },
  ),
  databasePool: row('WP_DATABASE_POOL', integer(1, 200), 'connections of one process to PostgreSQL', {
    default: '10',
  }),
  smtpUrl: row(
    'WP_SMTP_URL',
    address(['smtp:', 'smtps:'], 'an address like smtps://USER:PASSWORD@HOST:465', false),
    'the mail server; without it, mails are written as .eml files into WP_HOME/mail',
    { secret: true },
  ),
  smtpConnections: row(
    'WP_SMTP_CONNECTIONS',
    integer(1, 50),
    'connections of one worker to the mail server',
    {
      default: '3',
    },
  ),
  mailFrom: row('WP_MAIL_FROM', mailbox, 'who mails are from', {
    default: 'Working Papers <papers@localhost>',
  }),
  mailBounce: row('WP_MAIL_BOUNCE', mailbox, 'where the mail server sends what it cannot deliver'),
  mailLease: row(
    'WP_MAIL_LEASE',
    integer(5, 3_600),
    'seconds after which the mails that a killed worker had in hand pass to another one',
    { default: '60' },
  ),
  loginMinutes: row('WP_LOGIN_MINUTES', integer(1, 1440), 'minutes for which a sign-in link is good', {
    default: '15',
  }),
  sessionDays: row(
    'WP_SESSION_DAYS',
    integer(1, 400),
    'days without a visit after which a reader is signed out',
    {
      default: '60',
    },
  ),
  sources: row(
    'WP_SOURCES',
    list(/^(hf|arxiv)$/, 'hf, arxiv, or both with a comma'),
    'where `wp worker` takes new papers from',
    { default: 'hf' },
  ),
  hfUrl: row('WP_HF_URL', webAddress, 'Hugging Face or another page with its daily_papers', {
    default: 'https://huggingface.co',
  }),
  arxivUrl: row('WP_ARXIV_URL', webAddress, "arXiv's Atom interface", {
    default: 'https://export.arxiv.org',
  }),
  arxivCategories: row(
    'WP_ARXIV_CATEGORIES',
    list(/^[a-z-]+(\.[A-Za-z-]+)?$/, 'categories with commas: cs.LG,cs.CV,stat.ML'),
    'what a day of arXiv is',
    { default: 'cs.LG,cs.CV,cs.CL' },
  ),
  arxivSpacing: row('WP_ARXIV_SPACING', integer(0, 600), 'seconds between calls to arXiv, which asks for 3', {
    default: '3',
  }),
  sourceTimeout: row('WP_SOURCE_TIMEOUT', integer(1, 600), 'seconds that one answer of a source may take', {
    default: '30',
  }),
  sourceRetries: row('WP_SOURCE_RETRIES', integer(0, 10), 'further tries after a fault of a source', {
    default: '4',
  }),
  sourceMegabytes: row('WP_SOURCE_MEGABYTES', integer(1, 500), 'largest answer of a source, in MB', {
    default: '20',
  }),
  embeddings: row(
    'WP_EMBEDDINGS',
    choice('off', 'local', 'download'),
    'search by meaning: never; when the model files lie in WP_HOME/models; or fetch them once',
    { default: 'local' },
  ),
  embeddingModel: row(
    'WP_EMBEDDING_MODEL',
    text,
    'a model of transformers.js that makes vectors of 384 numbers',
    { default: 'Xenova/all-MiniLM-L6-v2' },
  ),
  digestHour: row('WP_DIGEST_HOUR', integer(0, 23), "hour of the reader's day at which digests are due", {
    default: '7',
  }),
  digestWeekday: row('WP_DIGEST_WEEKDAY', integer(1, 7), 'day of weekly digests, 1 is Monday', {
    default: '1',
  }),
  metricsPort: row(
    'WP_METRICS_PORT',
    integer(0, 65_535),
    'port of /metrics for Prometheus, of the page and of a worker each its own; without it there is none',
  ),
  metricsHost: row(
    'WP_METRICS_HOST',
    oneLine,
    'address of that port: this machine alone, unless told otherwise',
    {
      default: '127.0.0.1',
    },
  ),
  logJson: row('WP_LOG_JSON', flag, 'log lines as JSON, and one for every answer of the page', {
    default: 'off',
  }),
} as const;

type Table = typeof table;

type Value<S> = S extends { kind: Kind<infer T> } ? T : never;

export type Settings = {
  readonly [K in keyof Table]: Table[K] extends { default: string }
    ? Value<Table[K]>
    : Value<Table[K]> | undefined;
} & {
  readonly databaseFolder: string;
  readonly mailFolder: string;
  readonly modelFolder: string;
};

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings that an environment makes. An empty variable counts as left out.
 * Throws a `UserError` with the variable's name, what was found and what was expected.
 */
export function readSettings(environment: Environment): Settings {
  const entries = Object.entries<Setting<unknown>>(table).map(([key, setting]) => [
    key,
    read(setting, environment),
  ]);
  const settings = Object.fromEntries(entries) as Settings;
  const { home } = settings;
  return {
    ...settings,
    databaseFolder: join(home, 'database'),
    mailFolder: join(home, 'mail'),
    modelFolder: join(home, 'models'),
  };
}

function read({ name, kind, secret, default: fallback }: Setting<unknown>, environment: Environment) {
  const given = environment[name];
  const value = given === undefined || given === '' ? fallback : given;
  if (value === undefined) return undefined;
  const parsed = kind.parse(value);
  if (parsed === undefined) {
    const found = secret ? 'something else (not shown, it may hold a password)' : `'${value}'`;
    throw new UserError(`${name}: expected ${kind.expected}, found ${found}`);
  }
  return parsed;
}

export interface SettingRow {
  readonly name: string;
  readonly expected: string;
  readonly default: string | undefined;
  readonly description: string;
  /** What the environment says, or `undefined` where the default holds; secrets are replaced. */
  readonly given: string | undefined;
}

/** The table for readers, in its order. */
export function describeSettings(environment: Environment = {}): readonly SettingRow[] {
  return Object.values<Setting<unknown>>(table).map(
    ({ name, kind, description, secret, default: fallback }) => {
      const value = environment[name] || undefined;
      return {
        name,
        expected: kind.expected,
        default: fallback,
        description,
        given: value !== undefined && secret ? '(set, not shown)' : value,
      };
    },
  );
}

/** The README's table. */
export function settingsMarkdown(): string {
  return [
    '| variable | what it is | value | default |',
    '|---|---|---|---|',
    ...describeSettings().map(
      ({ name, description, expected, default: fallback }) =>
        `| \`${name}\` | ${description} | ${expected} | ${fallback === undefined ? '' : `\`${fallback}\``} |`,
    ),
  ].join('\n');
}
