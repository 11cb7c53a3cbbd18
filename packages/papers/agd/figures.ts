/** The plots of the report. */

import { type Figure, mean } from '@working-papers/edition';
import { names } from './bench.ts';
import type { Measured, PictureResult, TrainingResult } from './results.ts';
import { atOrPlain, trainedMethods, trainingsNamed } from './selection.ts';

const alongTrajectories: ReadonlySet<string> = new Set([names.gated, names.attention, names.offset]);

export function figuresOf(measured: Measured): Figure[] {
  const { pictures, settings } = measured;
  const figures: Figure[] = [];
  const scales = [...new Set(pictures.map(({ scale }) => scale))].toSorted((a, b) => a - b);
  const curve = (method: string, y: (result: PictureResult) => number) =>
    scales.flatMap((scale) => {
      const values = atOrPlain(pictures, method, scale).map(y);
      if (values.length === 0) return [];
      const spreadOf = values.length > 1 ? { low: Math.min(...values), high: Math.max(...values) } : {};
      return [{ x: scale, y: mean(values), ...spreadOf }];
    });
  const roles = [
    [names.gated, 'method'],
    [names.attention, 'method'],
    [names.offset, 'method'],
    [names.cfg, 'reference'],
    [names.half, 'baseline'],
    [names.gatedForward, 'baseline'],
    [names.offsetForward, 'baseline'],
    [names.full, 'baseline'],
  ] as const;
  const plot = (
    id: string,
    title: string,
    description: string,
    label: string,
    y: (result: PictureResult) => number,
  ) => {
    const series = roles
      .map(([name, role]) => ({ name, role, points: curve(name, y) }))
      .filter(({ points }) => points.length > 0);
    if (series.length > 0)
      figures.push({ id, title, description, x: { label: 'Guidance scale ω' }, y: { label }, series });
  };
  plot(
    'distance-scale',
    'Distance from real pictures, by guidance scale',
    `FD-cnn of ${settings.pictures} pictures to the test set, lower is better. Adapters and noised-data adapters take half of the calls of CFG.`,
    'FD-cnn',
    ({ fdCnn }) => fdCnn,
  );
  plot(
    'agreement-scale',
    'Label agreement, by guidance scale',
    'Share of pictures whose class the feature network names as asked for.',
    'Agreement',
    ({ agreement }) => agreement,
  );
  const errors = (
    id: string,
    title: string,
    description: string,
    label: string,
    pointsOf: (training: TrainingResult) => readonly { x: number; y: number | null }[],
  ) => {
    const series = trainedMethods
      .map((name) => {
        const own = trainingsNamed(measured, name).map(pointsOf);
        const points = (own[0] ?? []).flatMap(({ x }, i) => {
          const values = own.flatMap((each) => each[i]?.y ?? []);
          if (values.length === 0) return [];
          const range = values.length > 1 ? { low: Math.min(...values), high: Math.max(...values) } : {};
          return [{ x, y: mean(values), ...range }];
        });
        return {
          name,
          role: alongTrajectories.has(name) ? ('method' as const) : ('baseline' as const),
          points,
        };
      })
      .filter(({ points }) => points.length > 0);
    if (series.length > 0) figures.push({ id, title, description, x: { label }, y: { label: 'E' }, series });
  };
  errors(
    'error-scale',
    'Error on guided trajectories, by guidance scale',
    'E on held-out trajectories: 0 is guidance itself, 1 no guidance. Trained on noised data the error grows with ω, since stronger guidance leaves the data further behind.',
    'Guidance scale ω',
    ({ byScale }) =>
      byScale.map(({ from, to, error }) => ({ x: Number(((from + to) / 2).toFixed(2)), y: error })),
  );
  errors(
    'error-step',
    'Error on guided trajectories, by step',
    'E on held-out trajectories, all ω together, from noise to picture. Adapters trained on noised data are worse in the middle, where a picture takes shape; before, all is noise on either path, and at the end little guidance is left.',
    `Step of ${settings.steps}`,
    ({ byStep }) => byStep.map((error, step) => ({ x: step + 1, y: error })),
  );
  return figures;
}
