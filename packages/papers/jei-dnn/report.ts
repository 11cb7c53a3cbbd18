/** From measured figures to the report that README and page show: every number in it is computed, none typed in. */

import { claimsOf } from './claims.ts';
import { figuresOf } from './figures.ts';
import type { Measured, Report, Results, Table } from './results.ts';
import { tablesOf } from './tables.ts';

/** Everything of `results.json` but the report, to the whole. */
export function withReport(measured: Measured): Results {
  const { seeds, timings, machine, date, command } = measured;
  const report: Report = {
    measured: {
      date: date.slice(0, 10),
      machine: `${machine.cpu}, ${machine.cores} cores`,
      seeds: seeds.length,
      command,
    },
    claims: claimsOf(measured),
    figures: figuresOf(seeds, timings),
    tables: tablesOf(measured),
  };
  return { ...measured, report };
}

export const readmeMarkers = [
  '<!-- results: made from results.json by `wp bench jei-dnn --readme` -->',
  '<!-- /results -->',
] as const;

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
  const seeds = `${measured.seeds} ${measured.seeds === 1 ? 'seed' : 'seeds'}`;
  return [
    `Measured ${measured.date} with \`${measured.command}\`, ${seeds}, on ${measured.machine}. Ranges are over seeds.`,
    beside,
    ...tables.map((table) => `### ${table.title}\n\n${grid(table)}`),
  ].join('\n\n');
}

/** The README with what stands between its markers made anew. Throws when it has no markers. */
export function withResults(readme: string, report: Report): string {
  const [open, close] = readmeMarkers;
  const [start, end] = [readme.indexOf(open), readme.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`the README has no '${open}' ... '${close}'`);
  return `${readme.slice(0, start + open.length)}\n\n${reportMarkdown(report)}\n\n${readme.slice(end)}`;
}
