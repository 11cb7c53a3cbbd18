/** `wp eval`: any tracker's output, measured as the official evaluators do. */

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';
import type { Group } from '../program.ts';

const evalTracking = defineCommand({
  summary: "measure tracks in KITTI's format: sAMOTA, AMOTA, MOTA, switches, as AB3DMOT's evaluator does",
  options: {
    labels: { type: 'string', description: 'the folder of labels, one .txt a sequence (label_02)' },
    results: { type: 'string', description: 'the folder of results, files of the same names' },
    class: {
      type: 'string',
      choices: ['all', 'car', 'pedestrian', 'cyclist'],
      default: 'all',
      description: 'what is measured',
    },
    minIou: { type: 'number', min: 0, max: 1, default: 0.25, description: 'smallest overlap of a match' },
    averaging: {
      type: 'string',
      choices: ['official', 'stable'],
      default: 'official',
      description: 'how a track is scored: again in every pass, as the official evaluator does, or once',
    },
  },
  examples: [
    'wp eval tracking --labels label_02 --results tracks',
    'wp eval tracking --labels label_02 --results tracks --class car --min-iou 0.7',
  ],
  async execute({ options, output }) {
    const { labels, results, minIou, averaging } = options;
    if (labels === undefined || results === undefined)
      throw new UserError('--labels and --results are needed: two folders with a .txt a sequence');
    const { parseTracks } = await import('@working-papers/3dmotformer/kitti');
    const { kittiClasses, kittiTracking } = await import('@working-papers/metrics/kitti-tracking');
    for (const folder of [labels, results])
      if (!existsSync(folder)) throw new UserError(`'${folder}': no such folder`);
    const names = (await readdir(results)).filter((name) => name.endsWith('.txt')).sort();
    if (names.length === 0) throw new UserError(`'${results}' has no .txt in it`);
    const read = async (path: string) => {
      if (!existsSync(path)) throw new UserError(`'${path}': no such file`);
      return parseTracks(await readFile(path, 'utf8'), path);
    };
    const sequences = await Promise.all(
      names.map(async (name) => ({
        labels: await read(join(labels, name)),
        results: await read(join(results, name)),
      })),
    );
    const classes = options.class === 'all' ? kittiClasses : [options.class];
    const measures = Object.fromEntries(
      classes.map((name) => [name, kittiTracking(sequences, name, { minIou, averaging })]),
    );
    const percent = (value: number) => (100 * value).toFixed(2);
    output.table(
      ['class', 'sAMOTA', 'AMOTA', 'AMOTP', 'MOTA', 'MOTP', 'switches', 'fragments', 'FP', 'FN'],
      Object.entries(measures).map(([name, m]) => [
        name,
        ...[m.samota, m.amota, m.amotp, m.mota, m.motp].map(percent),
        m.idSwitches,
        m.fragmentations,
        m.falsePositives,
        m.falseNegatives,
      ]),
    );
    output.print(`\n${names.length} ${names.length === 1 ? 'sequence' : 'sequences'}, IoU ${minIou} or more`);
    output.result({ sequences: names.length, minIou, averaging, classes: measures });
  },
});

export const evaluation: Group = {
  summary: "measure other programs' output as the official evaluators do",
  noun: 'task',
  entries: [{ name: 'tracking', summary: evalTracking.summary, load: () => evalTracking }],
};
