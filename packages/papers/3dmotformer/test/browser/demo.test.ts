import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { packModel } from '@working-papers/models/model-file';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launch, newPage, partsOutside, type Site, serve } from '../../../../paper/test/live-run.ts';
import { worldFrames } from '../../frame-tracker.ts';
import { kittiSlowGraph } from '../../graph.ts';
import { initializeMotFormer, MotFormer } from '../../model.ts';
import { paper } from '../../paper.ts';
import { street } from '../../simulate.ts';
import { compileMotFormer } from '../../track.ts';
import { motFormerKind } from '../../weights.ts';
import { readMotFormer, shippedMotFormer } from '../../weights-file.ts';

const skip = paper.state === 'works' ? false : 'the page shows no live run of a paper that does not work yet';

/* The live run on the page beside the library in Node: the same street must get the same identities. */

let folder: string | undefined;
let weights = shippedMotFormer();
let site: Site;
let browser: Browser;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'mot-demo-'));
  if (!existsSync(weights)) {
    const options = {
      model: { nodeInputs: 13 },
      classes: ['Car', 'Pedestrian', 'Cyclist'],
      graph: kittiSlowGraph,
    };
    const model = new MotFormer(options.model);
    const packed = packModel(motFormerKind, {
      model,
      weights: initializeMotFormer(model, 1),
      options,
      card: {},
    });
    weights = join(folder, 'random.safetensors');
    await writeSafetensors(weights, packed.tensors, { metadata: packed.metadata, float32As: 'F16' });
  }
  site = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function open(t: TestContext, options: BrowserContextOptions = {}) {
  const opened = await newPage(t, browser, options);
  await opened.page.route('**/*.safetensors', async (route) =>
    route.fulfill({
      body: await readFile(weights),
      contentType: 'application/octet-stream',
      headers: { 'Cross-Origin-Resource-Policy': 'same-origin' },
    }),
  );
  await opened.page.goto(`${site.origin}/papers/3dmotformer#live`);
  await opened.page.locator('#live').scrollIntoViewIfNeeded();
  return opened;
}

/** Waits for a frame and stops the play there, or a little later: the frame, and the identities in it. */
async function stopAt(page: Page, frame: number): Promise<{ frame: number; ids: number[] }> {
  await page.waitForFunction(
    (wanted) => Number(document.querySelector('.demo')?.getAttribute('data-frame')) >= wanted,
    frame,
    { timeout: 120_000 },
  );
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.waitForTimeout(500);
  return page.evaluate(() => ({
    frame: Number(document.querySelector('.demo')?.getAttribute('data-frame')),
    ids: [...document.querySelectorAll('.demo svg text')].map((text) => Number(text.textContent)),
  }));
}

test('the street of the page gets the identities that Node gives it', { skip }, async (t) => {
  const { page, faults } = await open(t);
  const shown = await stopAt(page, 8);
  const { openDevice } = await import('@working-papers/tensor');
  await using device = await openDevice({ threads: 1 });
  const { model, weights: values, options } = await readMotFormer(weights);
  const { graph, classes } = options;
  const compiled = await compileMotFormer({ device, model, weights: values, graph, classes: classes.length });
  const tracker = worldFrames(compiled.open());
  let ids: number[] = [];
  const frames = street({ frames: 60, seed: 1, interval: 0.5, missed: 0.12 });
  for (const [frame, { detections, pose }] of frames.slice(0, shown.frame + 1).entries())
    ids = (await tracker.step(frame, detections, pose)).map(({ id }) => id);
  assert.deepEqual(
    shown.ids.toSorted((a, b) => a - b),
    ids.toSorted((a, b) => a - b),
  );
  assert.deepEqual(faults, []);
});

test('the Kalman filter, another street, and the reader’s own detections; a file that is none is refused', {
  skip,
}, async (t) => {
  const { page, faults } = await open(t);
  await page.getByLabel('Tracked by').selectOption('Kalman filter');
  const first = await stopAt(page, 5);
  assert.ok(first.ids.length > 2);
  await page.getByRole('button', { name: 'Play' }).click();
  const own = join(folder!, '0001.txt');
  await writeFile(
    own,
    [0, 1, 2].map((f) => `${f},2,10,20,110,90,2.5,1.5,1.6,4.2,1.5,1.7,${20 + f},-0.5,-1.57`).join('\n'),
  );
  await page.getByLabel('Your own detections').setInputFiles(own);
  await page.getByText('0001.txt').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.demo svg text').length === 1);
  const bad = join(folder!, 'bad.txt');
  await writeFile(bad, '1,2,3');
  await page.getByLabel('Your own detections').setInputFiles(bad);
  assert.equal(
    await page.locator('.demo').getByRole('alert').innerText(),
    'bad.txt, line 1: 3 fields, expected 15',
  );
  assert.deepEqual(faults, []);
});

test('all fits on a narrow and on a wide screen', { skip }, async (t) => {
  for (const width of [360, 1600]) {
    const { page } = await open(t, { viewport: { width, height: 900 } });
    await stopAt(page, 1);
    assert.deepEqual(await partsOutside(page), [], `at ${width}`);
  }
});
