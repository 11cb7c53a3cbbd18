/**
 * The part of a paper's `results.json` that its page shows: the object under the key `report`.
 *
 * A bench writes whatever it needs beside it; the page reads nothing else, so tables and plots are made
 * from what was measured and never typed in by hand.
 */
export interface Report {
  measured: { date: string; machine: string; seeds?: number; command?: string };
  claims: readonly Claim[];
  figures: readonly Figure[];
  tables: readonly Table[];
}

/** One sentence of the paper, its figure and ours. */
export interface Claim {
  claim: string;
  published: string;
  measured: string;
  verdict: 'reproduced' | 'partly' | 'not reproduced';
  note?: string;
}

export interface Figure {
  /** Unique in the report; becomes the figure's anchor. */
  id: string;
  title: string;
  /** What a reader who cannot see the plot should know. */
  description: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
}

export interface Axis {
  label: string;
  unit?: string;
}

export interface Series {
  name: string;
  role: 'method' | 'baseline' | 'reference';
  points: readonly Point[];
}

/** `low` and `high` are the spread over seeds or repeats, in the unit of y. */
export interface Point {
  x: number;
  y: number;
  low?: number;
  high?: number;
}

export interface Table {
  title: string;
  columns: readonly string[];
  rows: readonly (readonly (string | number)[])[];
}

const verdicts = ['reproduced', 'partly', 'not reproduced'] as const;
const roles = ['method', 'baseline', 'reference'] as const;

/**
 * Reads the report out of a parsed `results.json`.
 *
 * @returns undefined where the file holds no report, which is no error: the page then says nothing.
 * @throws Error naming the field, the value found and the value expected.
 */
export function readReport(results: unknown): Report | undefined {
  if (typeof results !== 'object' || results === null || !('report' in results)) return undefined;
  const report = record(results.report, 'report');
  const measured = record(report.measured, 'report.measured');
  return {
    measured: {
      date: text(measured.date, 'report.measured.date'),
      machine: text(measured.machine, 'report.measured.machine'),
      ...optional('seeds', measured.seeds, number, 'report.measured.seeds'),
      ...optional('command', measured.command, text, 'report.measured.command'),
    },
    claims: list(report.claims, 'report.claims', readClaim),
    figures: list(report.figures, 'report.figures', readFigure),
    tables: list(report.tables, 'report.tables', readTable),
  };
}

function readClaim(value: unknown, path: string): Claim {
  const claim = record(value, path);
  return {
    claim: text(claim.claim, `${path}.claim`),
    published: text(claim.published, `${path}.published`),
    measured: text(claim.measured, `${path}.measured`),
    verdict: oneOf(verdicts, claim.verdict, `${path}.verdict`),
    ...optional('note', claim.note, text, `${path}.note`),
  };
}

function readFigure(value: unknown, path: string): Figure {
  const figure = record(value, path);
  const series = list(figure.series, `${path}.series`, readSeries);
  if (series.length === 0) fail(`${path}.series`, 'at least one series', []);
  return {
    id: text(figure.id, `${path}.id`),
    title: text(figure.title, `${path}.title`),
    description: text(figure.description, `${path}.description`),
    x: readAxis(figure.x, `${path}.x`),
    y: readAxis(figure.y, `${path}.y`),
    series,
  };
}

function readAxis(value: unknown, path: string): Axis {
  const axis = record(value, path);
  return { label: text(axis.label, `${path}.label`), ...optional('unit', axis.unit, text, `${path}.unit`) };
}

function readSeries(value: unknown, path: string): Series {
  const series = record(value, path);
  const points = list(series.points, `${path}.points`, readPoint);
  if (points.length === 0) fail(`${path}.points`, 'at least one point', []);
  return {
    name: text(series.name, `${path}.name`),
    role: oneOf(roles, series.role, `${path}.role`),
    points,
  };
}

function readPoint(value: unknown, path: string): Point {
  const point = record(value, path);
  return {
    x: number(point.x, `${path}.x`),
    y: number(point.y, `${path}.y`),
    ...optional('low', point.low, number, `${path}.low`),
    ...optional('high', point.high, number, `${path}.high`),
  };
}

function readTable(value: unknown, path: string): Table {
  const table = record(value, path);
  const columns = list(table.columns, `${path}.columns`, text);
  const rows = list(table.rows, `${path}.rows`, (row, rowPath) => {
    const cells = list(row, rowPath, cell);
    if (cells.length !== columns.length) {
      fail(rowPath, `${columns.length} cells`, cells.length);
    }
    return cells;
  });
  return { title: text(table.title, `${path}.title`), columns, rows };
}

function cell(value: unknown, path: string): string | number {
  return typeof value === 'number' ? number(value, path) : text(value, path);
}

function text(value: unknown, path: string): string {
  return typeof value === 'string' && value !== '' ? value : fail(path, 'a text', value);
}

function number(value: unknown, path: string): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fail(path, 'a finite number', value);
}

function record(value: unknown, path: string): Record<string, unknown> {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : fail(path, 'an object', value);
}

function list<T>(value: unknown, path: string, read: (item: unknown, path: string) => T): T[] {
  if (!Array.isArray(value)) return fail(path, 'a list', value);
  return value.map((item, index) => read(item, `${path}[${index}]`));
}

function oneOf<T extends string>(allowed: readonly T[], value: unknown, path: string): T {
  const found = allowed.find((option) => option === value);
  return found ?? fail(path, `one of ${allowed.join(', ')}`, value);
}

function optional<K extends string, T>(
  key: K,
  value: unknown,
  read: (value: unknown, path: string) => T,
  path: string,
): { [P in K]?: T } {
  // The computed key widens to string; the cast says what the parameters already do.
  return value === undefined ? {} : ({ [key]: read(value, path) } as { [P in K]?: T });
}

function fail(path: string, expected: string, found: unknown): never {
  const shown = found === undefined ? 'nothing' : JSON.stringify(found);
  throw new Error(`${path}: expected ${expected}, found ${shown}`);
}
