import type { Axis, Figure, Point, Series } from '@working-papers/edition';

/** A straight map from figures to the picture's units. */
export interface Scale {
  ticks: readonly number[];
  place(value: number): number;
}

export interface PlacedSeries {
  series: Series;
  /** The line through the points, from left to right, as an SVG path. */
  path: string;
  /** The spread as a closed SVG path; undefined where no point has one. */
  band: string | undefined;
  points: readonly { x: number; y: number; point: Point }[];
}

export interface Layout {
  width: number;
  height: number;
  /** The plot's frame inside the picture. */
  frame: { left: number; right: number; top: number; bottom: number };
  x: Scale;
  y: Scale;
  series: readonly PlacedSeries[];
}

const width = 640;
const height = 396;
const frame = { left: 66, right: width - 14, top: 16, bottom: height - 42 };

/** Steps of 1, 2, 2.5 or 5 times a power of ten, which readers divide in their heads. */
function niceStep(span: number, most: number): number {
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= raw * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/**
 * Round ticks that enclose all values.
 *
 * @param most at most about so many steps.
 */
export function ticksAround(values: readonly number[], most = 6): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  // One value alone has no span: give it room on both sides in proportion to itself.
  const span = high - low || Math.abs(high) || 1;
  const step = niceStep(span, most);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  // Through the decimals rather than by adding up, so that 0.1 + 0.2 is 0.3.
  return Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

function scaleOf(values: readonly number[], from: number, to: number): Scale {
  const ticks = ticksAround(values);
  const low = ticks[0]!;
  const high = ticks.at(-1)!;
  return { ticks, place: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

const at = (x: number, y: number) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** Where everything of a figure stands in the picture. */
export function layoutOf(figure: Figure): Layout {
  const all = figure.series.flatMap((series) => series.points);
  const x = scaleOf(
    all.map((point) => point.x),
    frame.left,
    frame.right,
  );
  const y = scaleOf(
    all.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]),
    frame.bottom,
    frame.top,
  );
  const series = figure.series.map((one): PlacedSeries => {
    const sorted = one.points.toSorted((a, b) => a.x - b.x);
    const points = sorted.map((point) => ({ x: x.place(point.x), y: y.place(point.y), point }));
    const spread = sorted.some((point) => point.low !== undefined || point.high !== undefined);
    const upper = sorted.map((point) => at(x.place(point.x), y.place(point.high ?? point.y)));
    const lower = sorted.map((point) => at(x.place(point.x), y.place(point.low ?? point.y))).reverse();
    return {
      series: one,
      path: `M${points.map((point) => at(point.x, point.y)).join('L')}`,
      band: spread ? `M${[...upper, ...lower].join('L')}Z` : undefined,
      points,
    };
  });
  return { width, height, frame, x, y, series };
}

/** A tick or a table's figure: no more decimals than the value has, thousands apart. */
export function figureText(value: number): string {
  return value.toLocaleString('en-GB', { maximumSignificantDigits: 6 });
}

/** A column of figures with the same number of decimals throughout: as many as its longest figure has. */
export function columnText(values: readonly number[]): string[] {
  const decimals = Math.max(0, ...values.map((value) => figureText(value).split('.')[1]?.length ?? 0));
  return values.map((value) =>
    value.toLocaleString('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
  );
}

/** `accuracy (%)`. */
export function axisTitle(axis: Axis): string {
  return axis.unit ? `${axis.label} (${axis.unit})` : axis.label;
}
