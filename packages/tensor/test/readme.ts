/** The operator table of the README, from the operators themselves; run as a program, it writes the table. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { operators } from '../src/index.ts';

const path = join(import.meta.dirname, '..', 'README.md');
const marks = /(<!-- operators -->\n).*(<!-- \/operators -->)/s;

export function readReadme(): string {
  return readFileSync(path, 'utf8');
}

/** `readme` with its table as it should be. */
export function withOperators(readme: string): string {
  const rows = [...operators().values()].map(({ name, doc, grad }) => {
    return `| \`${name}\` | ${doc.replaceAll('|', '\\|')} | ${grad ? 'yes' : ''} |`;
  });
  const table = ['| operator | what it computes | gradient |', '|---|---|---|', ...rows].join('\n');
  return readme.replace(marks, (_, begin, end) => `${begin}\n${table}\n\n${end}`);
}

if (import.meta.main) writeFileSync(path, withOperators(readReadme()));
