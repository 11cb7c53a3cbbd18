import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Plugin } from 'vite';

/** What the page takes from a paper's folder, each under a module of its own so that readers load only demos. */
const offers = {
  'virtual:paper-demos': { file: 'Demo.svelte', lazy: true, query: '' },
  'virtual:paper-results': { file: 'results.json', lazy: false, query: '' },
  'virtual:paper-examples': { file: 'example.ts', lazy: false, query: '?raw' },
  'virtual:paper-samples': { file: 'samples.json', lazy: false, query: '' },
  // a file of its own, however small: the picture is shown by readers' browsers, not by the script
  'virtual:paper-pictures': { file: 'samples.png', lazy: false, query: '?no-inline' },
} as const;

type Offer = keyof typeof offers;

const isOffer = (id: string): id is Offer => Object.hasOwn(offers, id);

/**
 * Collects what the papers' folders offer the page. A paper without the file is absent from the map: a new paper
 * needs no line here, and one that has not been measured shows no figures.
 *
 * @param folder holds one folder a paper.
 */
export function papers(folder: string): Plugin {
  const root = resolve(folder);
  return {
    name: 'working-papers:papers',
    resolveId(id) {
      return isOffer(id) ? `\0${id}` : undefined;
    },
    load(resolved) {
      const id = resolved.slice(1);
      return resolved.startsWith('\0') && isOffer(id) ? collect(root, id) : undefined;
    },
  };
}

function collect(root: string, id: Offer): string {
  const { file, lazy, query } = offers[id];
  const found = (existsSync(root) ? readdirSync(root).toSorted() : [])
    .map((paper) => ({ paper, path: join(root, paper, file) }))
    .filter(({ path }) => existsSync(path))
    .map(({ paper, path }) => ({ paper: JSON.stringify(paper), source: JSON.stringify(path + query) }));
  const imports = lazy ? [] : found.map(({ source }, index) => `import paper${index} from ${source};`);
  const entries = found.map(({ paper, source }, index) =>
    lazy ? `${paper}: () => import(${source})` : `${paper}: paper${index}`,
  );
  return `${imports.join('\n')}\nexport const offered = {${entries.join(', ')}};\n`;
}
