/** Figures of reports in words, and reports in READMEs: what stands there is made from `results.json`, never typed in. */

import type { Claim, Report, Table } from './report.ts';

export function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;
}

/** Mean over seeds, with the range when there are several. */
export function spread(values: readonly number[], format: (value: number) => string): string {
  if (values.length === 0) return 'none';
  if (values.length === 1) return format(values[0]!);
  return `${format(mean(values))} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0
    ? Number.NaN
    : (sorted[sorted.length >> 1]! + sorted[(sorted.length - 1) >> 1]!) / 2;
}

export const points = (value: number) => `${value >= 0 ? '+' : '−'}${Math.abs(100 * value).toFixed(2)}`;
export const signed = (value: number, digits = 3) =>
  `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(digits)}`;
export const percent = (value: number, digits = 2) => `${(100 * value).toFixed(digits)} %`;

/** The lines of a paper's README between which its report stands. */
export const readmeMarkers = (id: string) =>
  [`<!-- results: made from results.json by \`wp bench ${id} --readme\` -->`, '<!-- /results -->'] as const;

/** Markdown of a report, as it stands in the README between the markers. */
export function reportMarkdown({ measured, claims, tables }: Report): string {
  const safe = (value: string | number) => String(value).replaceAll('|', '\\|');
  const row = (cells: readonly (string | number)[]) => `| ${cells.map(safe).join(' | ')} |`;
  const grid = ({ columns, rows }: Pick<Table, 'columns' | 'rows'>) =>
    [row(columns), row(columns.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');
  const beside = [
    row(['Claim', 'Published', 'Measured here', 'Verdict']),
    row(['---', '---', '---', '---']),
    ...claims.map((c) =>
      row([c.note ? `${c.claim}. *${c.note}*` : c.claim, c.published, c.measured, `**${c.verdict}**`]),
    ),
  ].join('\n');
  const seeds =
    measured.seeds === undefined ? '' : `, ${measured.seeds} ${measured.seeds === 1 ? 'seed' : 'seeds'}`;
  // a run that was made in parts says all their commands
  const commands = measured.command?.split('; ') ?? [];
  return [
    `Measured ${measured.date}${seeds}, on ${measured.machine}. Ranges are over seeds.`,
    ...(commands.length > 0 ? [['```sh', ...commands, '```'].join('\n')] : []),
    beside,
    ...tables.map((table) => `### ${table.title}\n\n${grid(table)}`),
  ].join('\n\n');
}

/** The README with what stands between its markers made anew. Throws when it has no markers. */
export function withResults(readme: string, id: string, report: Report): string {
  const [open, close] = readmeMarkers(id);
  const [start, end] = [readme.indexOf(open), readme.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`the README has no '${open}' ... '${close}'`);
  return `${readme.slice(0, start + open.length)}\n\n${reportMarkdown(report)}\n\n${readme.slice(end)}`;
}

/** A claim with its verdict: reproduced where all of `holds` is true, and nothing where it is empty. */
export function claimOf(
  claim: string,
  published: string,
  measured: string,
  holds: readonly boolean[],
  note?: string,
): Claim {
  const all = holds.length > 0 && holds.every(Boolean);
  const verdict = all ? 'reproduced' : holds.some(Boolean) ? 'partly' : 'not reproduced';
  return { claim, published, measured, verdict, ...(note !== undefined && { note }) };
}

/** A machine, as reports and cards name it. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
}

/** "AMD EPYC, 2 cores" */
export const machineName = ({ cpu, cores }: Machine): string =>
  `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}`;

/** What a report says of its run. `date` is ISO 8601. */
interface Run {
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
}

/** The whole of a `results.json`: what was measured, and the report on it. `seeds` is how many runs it is made of. */
export function reported<M extends Run>(
  measured: M,
  seeds: number,
  report: Omit<Report, 'measured'>,
): M & { readonly report: Report } {
  const { date, command, machine } = measured;
  const run = { date: date.slice(0, 10), machine: machineName(machine), seeds, command };
  return { ...measured, report: { measured: run, ...report } };
}
