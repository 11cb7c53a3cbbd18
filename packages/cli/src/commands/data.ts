import { defineCommand, type Progress } from '@working-papers/paper';
import type { Group } from '../program.ts';

// Loaded when called: the data sets bring the engine's arrays with them.
const datasetsModule = () => import('@working-papers/nn/datasets');

const list = defineCommand({
  summary: 'list the data sets, their licences and where they lie',
  async execute({ output }) {
    const { dataFolder, datasets, findDataset } = await datasetsModule();
    const rows = datasets.map((dataset) => ({ ...dataset, path: orNull(() => findDataset(dataset.name)) }));
    output.print(`Data folder: ${dataFolder()}\n`);
    output.table(
      ['data set', 'here', 'content', 'licence'],
      rows.map(({ name, path, title, licence }) => [name, path ? 'yes' : 'no', title, licence]),
    );
    output.result({ folder: dataFolder(), datasets: rows });
  },
});

const get = defineCommand({
  summary: 'download a data set from its own origin and check it',
  positionals: [{ name: 'name', description: "a data set of 'wp data list'", required: true }],
  examples: ['wp data get cifar10', 'WP_DATA=/data wp data get cifar10'],
  async execute({ positionals: [name = ''], output, signal }) {
    const { datasetInfo, downloadDataset } = await datasetsModule();
    const info = datasetInfo(name);
    let bar: Progress | undefined;
    const megabytes = (bytes: number) => Math.round(bytes / 1e6);
    const result = await downloadDataset(info, {
      signal,
      onProgress(received, total = received) {
        bar ??= output.progress(name, megabytes(total));
        bar.update(megabytes(received), 'MB');
      },
    }).finally(() => bar?.end());
    output.print(`${result.path}\nsha256 ${result.sha256}\nlicence: ${info.licence}`);
    output.result({ name, ...result });
  },
});

export const data: Group = {
  summary: 'find and download the data that papers train on',
  noun: 'command',
  entries: [
    { name: 'list', summary: list.summary, load: () => list },
    { name: 'get', summary: get.summary, load: () => get },
  ],
};

function orNull<T>(find: () => T): T | null {
  try {
    return find();
  } catch {
    return null;
  }
}
