export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** One line an event: words for a person, or JSON for a collector of logs. No mail address and no token is in it. */
export function createLog({ json, write }: { json: boolean; write: (line: string) => void }): Log {
  const level =
    (name: 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) => {
      const known = Object.fromEntries(
        Object.entries(fields)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, typeof value === 'string' ? discreet(value) : value]),
      );
      const time = new Date().toISOString();
      if (json) return write(JSON.stringify({ time, level: name, message, ...known }));
      const facts = Object.entries(known).map(([key, value]) => ` ${key}=${shown(value)}`);
      write(`${time} ${name === 'info' ? '' : `${name}: `}${message}${facts.join('')}`);
    };
  return { info: level('info'), warn: level('warn'), error: level('error') };
}

/**
 * What others say (a mail server about a recipient, a database about a row) may hold a reader's address, and an address
 * of ours a token. Neither belongs into files that are kept for long and read by many.
 */
function discreet(text: string): string {
  return text
    .replaceAll(/[^\s<>"'(),;:=/]+@[^\s<>"'(),;:/]+/g, '(address)')
    .replaceAll(/(?<![\w-])[\w-]{43}(?![\w-])/g, '(token)');
}

/** Nothing that is logged can begin a line of its own. */
function shown(value: unknown): string {
  const text = String(value);
  return /^[\w.:@/+-]+$/.test(text) ? text : JSON.stringify(text);
}
