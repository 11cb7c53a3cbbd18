/** Tables of a README that a bench writes, between two comments of their name. Node only. */

import { readFile } from 'node:fs/promises';
import { writeFileWhole } from './files.ts';

/** Puts a table between `<!-- name -->` and `<!-- /name -->` of a README. Throws where it has no such place. */
export async function writeTable(
  readme: string,
  name: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<void> {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
  const text = await readFile(readme, 'utf8');
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`${readme} has no '${open}' ... '${close}'`);
  await writeFileWhole(readme, `${text.slice(0, start + open.length)}\n\n${table}\n\n${text.slice(end)}`);
}
