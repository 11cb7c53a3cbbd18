/**
 * When a reader sees the largest thing of a page: the first visit with an empty cache, in headless Chromium on the machine
 * that serves it. Run it where nothing else runs: `npm run bench -w packages/site`.
 */

import { join } from 'node:path';
import { writeFileWhole } from '@working-papers/paper/files';
import { runManifest } from '@working-papers/paper/manifest';
import { writeTable } from '@working-papers/paper/readme-table';
import { launchBrowser } from '../test/browser/browser.ts';
import { servePage } from '../test/serve.ts';

const paths = ['/date/2026-09-10', '/papers/jei-dnn', '/search?q=mismatch', '/trending'];
const visits = 11;

interface Visit {
  /** Milliseconds from the start of the navigation. */
  readonly firstPaint: number;
  readonly largestPaint: number;
  /** As sent: compressed. */
  readonly kilobytes: number;
}

await using site = await servePage();
const browser = await launchBrowser();
const version = browser.version();

async function visit(path: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    const page = await context.newPage();
    await page.goto(site.origin + path, { waitUntil: 'networkidle' });
    return await page.evaluate(async () => {
      const observed = (type: string) =>
        new Promise<PerformanceEntry>((resolve) => {
          const last = (list: PerformanceObserverEntryList) => resolve(list.getEntries().at(-1)!);
          new PerformanceObserver(last).observe({ type, buffered: true });
        });
      const sent = [
        ...performance.getEntriesByType('resource'),
        ...performance.getEntriesByType('navigation'),
      ] as PerformanceResourceTiming[];
      return {
        firstPaint: performance.getEntriesByName('first-contentful-paint')[0]!.startTime,
        largestPaint: (await observed('largest-contentful-paint')).startTime,
        kilobytes: sent.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) / 1024,
      };
    });
  } finally {
    await context.close();
  }
}

/** Of numbers: the middle one, and the largest. */
function spread(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: Math.round(sorted[(sorted.length - 1) / 2]!), max: Math.round(sorted.at(-1)!) };
}

interface Row {
  readonly path: string;
  readonly firstPaintMs: ReturnType<typeof spread>;
  readonly largestPaintMs: ReturnType<typeof spread>;
  readonly kilobytes: number;
}

const rows: Row[] = [];
try {
  await visit(paths[0]!); // the browser's own first start is not the page's
  for (const path of paths) {
    const seen: Visit[] = [];
    for (let i = 0; i < visits; i++) seen.push(await visit(path));
    rows.push({
      path,
      firstPaintMs: spread(seen.map(({ firstPaint }) => firstPaint)),
      largestPaintMs: spread(seen.map(({ largestPaint }) => largestPaint)),
      kilobytes: Math.round(seen[0]!.kilobytes),
    });
    console.log(JSON.stringify(rows.at(-1)));
  }
} finally {
  await browser.close();
}

const manifest = runManifest({ from: import.meta.url });
const results = {
  ...manifest,
  command: 'npm run bench -w packages/site',
  versions: { ...manifest.versions, chromium: version },
  settings: { visits, viewport: '1280 x 900', cache: 'empty' },
  rows,
};
await writeFileWhole(join(import.meta.dirname, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);

await writeTable(
  join(import.meta.dirname, '..', 'README.md'),
  'paint',
  ['page', 'first paint', 'largest paint', 'the slowest of all', 'sent'],
  rows.map(({ path, firstPaintMs, largestPaintMs, kilobytes }) => [
    `\`${path}\``,
    `${firstPaintMs.median} ms`,
    `${largestPaintMs.median} ms`,
    `${largestPaintMs.max} ms`,
    `${kilobytes} KB`,
  ]),
);
