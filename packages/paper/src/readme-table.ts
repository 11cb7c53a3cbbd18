import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileWhole } from '@working-papers/paper/files';

const readme = join(import.meta.dirname, '..', 'README.md');

/** Puts a bench's table into the README, between the two comments of its name. */
export async function writeTable(
  name: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<void> {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
  const text = await readFile(readme, 'utf8');
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`README.md has no '${open}' ... '${close}'`);
  await writeFileWhole(readme, `${text.slice(0, start + open.length)}\n\n${table}\n\n${text.slice(end)}`);
}
