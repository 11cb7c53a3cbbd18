import type { Cell, Output, Progress } from '@working-papers/paper';
import { createBars } from './progress.ts';

export interface Writer {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Streams {
  readonly stdout: Writer;
  readonly stderr: Writer;
}

/** Words for a person, or under `json` the result alone, so that stdout can be piped into a program. */
export function createOutput({ stdout, stderr }: Streams, json: boolean): Output & { finish(): void } {
  const bars = createBars(stderr);
  const write = (text: string) => {
    if (!json) bars.aside(() => stdout.write(text));
  };
  const forPerson = (text: string) => write(`${text}\n`);
  let answered = false;
  return {
    print: forPerson,
    write,
    table: (header, rows) => forPerson(renderTable(header, rows)),
    result(value) {
      if (answered) throw new Error('a command has one result');
      answered = true;
      if (json) bars.aside(() => stdout.write(`${toJson(value)}\n`));
    },
    progress: (label, total): Progress => bars.add(label, total),
    warn: (line) => bars.aside(() => stderr.write(`${line}\n`)),
    /** A command without an answer still leaves JSON behind. */
    finish() {
      if (json && !answered) stdout.write('null\n');
    },
  };
}

function toJson(value: object): string {
  return JSON.stringify(
    value,
    (_key, item: unknown) => {
      if (ArrayBuffer.isView(item) && !(item instanceof DataView)) return Array.from(item as Float32Array);
      return typeof item === 'bigint' ? Number(item) : item;
    },
    2,
  );
}

export function renderTable(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const text = rows.map((row) => header.map((_, column) => cellText(row[column])));
  const widths = header.map((title, column) =>
    Math.max(title.length, ...text.map((row) => row[column]!.length)),
  );
  const right = header.map((_, column) => rows.some((row) => typeof row[column] === 'number'));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [header, widths.map((width) => '-'.repeat(width)), ...text].map(line).join('\n');
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined) return '-';
  if (typeof cell !== 'number' || Number.isInteger(cell)) return String(cell);
  return Math.abs(cell) >= 1e-3 && Math.abs(cell) < 1e6 ? String(+cell.toFixed(4)) : cell.toPrecision(4);
}
