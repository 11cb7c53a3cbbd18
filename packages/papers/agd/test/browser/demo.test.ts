import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { shippedTeacher } from '@working-papers/models/cifar10-files';
import { teacherKind } from '@working-papers/models/cifar10-kinds';
import { packModel } from '@working-papers/models/model-file';
import { readImage } from '@working-papers/nn/images-node';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launch, newPage, partsOutside, type Site, serve, wp } from '../../../../paper/test/live-run.ts';
import { adapterKind } from '../../checkpoint.ts';
import { GuidanceAdapters, sizeOfNetwork } from '../../model.ts';
import { paper } from '../../paper.ts';
import { defaultName, shippedNames } from '../../shipped.ts';
import { shippedAdapters } from '../../weights-file.ts';
import { randomWeights } from '../tiny.ts';

const skip = paper.state === 'works' ? false : 'the page shows no live run of a paper that does not work yet';

/* The live run on the page beside `wp run` in Node: the same seed, class and scale must give the same pictures. */

let folder: string | undefined;
let base = shippedTeacher;
let adapters = shippedAdapters();
let site: Site;
let browser: Browser;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'agd-demo-'));
  if (!existsSync(base) || !existsSync(adapters)) await makeRandom();
  site = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Stand-ins for weights that are not there yet. */
async function makeRandom(): Promise<void> {
  const model = teacherKind.create({});
  const weights = randomWeights(model, 1, 0.05);
  base = join(folder!, 'base.safetensors');
  const teacher = packModel(teacherKind, { model, weights, options: {}, card: {} });
  await writeSafetensors(base, teacher.tensors, { metadata: teacher.metadata, float32As: 'F16' });
  const network = sizeOfNetwork(model.network);
  const options = { adapters: { kind: 'gated' }, network } as const;
  const own = new GuidanceAdapters(options.adapters, network);
  const packed = packModel(adapterKind, {
    model: own,
    weights: randomWeights(own, 2, 0.1),
    options,
    card: {},
  });
  adapters = join(folder!, 'adapters.safetensors');
  await writeSafetensors(adapters, packed.tensors, { metadata: packed.metadata, float32As: 'F16' });
}

/** Of the weights that the page asks for; bundlers put a hash into their names. */
function fileOf(url: string): string {
  if (/teacher/.test(url)) return base;
  const name = shippedNames.toReversed().find((each) => url.includes(`agd-${each}`))!;
  return name !== defaultName && existsSync(shippedAdapters(name)) ? shippedAdapters(name) : adapters;
}

async function open(t: TestContext, options: BrowserContextOptions = {}) {
  const opened = await newPage(t, browser, options);
  await opened.page.route('**/*.safetensors', async (route) =>
    route.fulfill({
      body: await readFile(fileOf(route.request().url())),
      contentType: 'application/octet-stream',
      headers: { 'Cross-Origin-Resource-Policy': 'same-origin' },
    }),
  );
  await opened.page.goto(`${site.origin}/papers/agd#live`);
  await opened.page.locator('#live').scrollIntoViewIfNeeded();
  return opened;
}

const drawn = (page: Page) => page.locator('.demo[data-ready]').waitFor({ timeout: 240_000 });

/** The four pictures of a panel, one after another, as bytes RGB. */
const pixels = (page: Page, method: string) =>
  page.locator(`[data-method=${method}] canvas`).evaluate((canvas) => {
    const context = (canvas as HTMLCanvasElement).getContext('2d')!;
    return [0, 1, 2, 3].map((n) => {
      const { data } = context.getImageData(33 * (n % 2), 33 * Math.floor(n / 2), 32, 32);
      return Array.from({ length: 3 * 1024 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]!);
    });
  });

test('the same seed, class and scale draw the pictures of wp run, by all three methods', {
  skip,
}, async (t) => {
  const { page, faults } = await open(t);
  await drawn(page);
  const words = [
    '--class',
    'horse',
    '--scale',
    '3',
    '--n',
    '4',
    '--seed',
    '1',
    '--threads',
    '1',
    '--compare',
  ];
  const out = join(folder!, 'pictures');
  const { methods } = await wp<{ methods: Record<string, { calls: number }> }>(
    ...['run', 'agd', ...words, '--base', base, '--weights', adapters, '--out', out],
  );
  for (const method of ['plain', 'cfg', 'agd']) {
    const shown = await pixels(page, method);
    for (const [n, own] of shown.entries()) {
      const { data } = await readImage(join(out, method, `000${n}-horse.png`));
      const worst = own.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i]!)), 0);
      assert.ok(worst <= 2, `picture ${n} of ${method} differs by ${worst} of 255`);
    }
    assert.equal(Number(await page.getByTestId(`calls-${method}`).innerText()), methods[method]!.calls);
  }
  assert.notDeepEqual(await pixels(page, 'plain'), await pixels(page, 'cfg'));
  assert.deepEqual(faults, []);
});

test('adapters that were trained on noised data draw other pictures', { skip }, async (t) => {
  const { page, faults } = await open(t);
  await drawn(page);
  const [own, cfg] = [await pixels(page, 'agd'), await pixels(page, 'cfg')];
  await page.getByLabel('with adapters').selectOption('gated MLP, trained on noised data');
  await page.locator('.demo:not([data-ready])').waitFor();
  await drawn(page);
  assert.deepEqual(await pixels(page, 'cfg'), cfg);
  const here = existsSync(shippedAdapters('gated-forward'));
  if (here) assert.notDeepEqual(await pixels(page, 'agd'), own);
  assert.deepEqual(faults, []);
});

test('another class, scale and noise draw other pictures; what is under way gives way', {
  skip,
}, async (t) => {
  const { page, faults } = await open(t);
  await drawn(page);
  const first = await pixels(page, 'agd');
  await page.getByLabel('Draw a').selectOption('ship');
  await page.getByRole('slider', { name: /Guidance/ }).fill('1');
  await page.getByRole('button', { name: 'Other noise' }).click();
  await page.locator('.demo:not([data-ready])').waitFor();
  await drawn(page);
  assert.equal(await page.getByTestId('slider-value').innerText(), '1');
  assert.notDeepEqual(await pixels(page, 'agd'), first);
  // at ω = 1 guidance is none
  const [plain, cfg] = [await pixels(page, 'plain'), await pixels(page, 'cfg')];
  const worst = plain.flat().reduce((most, value, i) => Math.max(most, Math.abs(value - cfg.flat()[i]!)), 0);
  assert.ok(worst <= 2, `${worst}`);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'agd-ship-1-2.png');
  assert.deepEqual(faults, []);
});

test('all fits on a narrow and on a wide screen', { skip }, async (t) => {
  for (const width of [360, 1600]) {
    const { page } = await open(t, { viewport: { width, height: 900 } });
    await page.locator('[data-method=agd] canvas').waitFor({ timeout: 240_000 });
    assert.deepEqual(await partsOutside(page), [], `at ${width}`);
  }
});

test('without weights it says so and names the command', { skip }, async (t) => {
  const { page } = await newPage(t, browser);
  await page.route('**/*.safetensors', (route) => route.fulfill({ status: 404, body: '' }));
  await page.goto(`${site.origin}/papers/agd#live`);
  await page.locator('#live').scrollIntoViewIfNeeded();
  const alert = page.locator('.demo').getByRole('alert');
  await alert.waitFor({ timeout: 60_000 });
  assert.match(await alert.innerText(), /cannot start: the trained weights are not part of this page yet/);
  assert.ok(await page.locator('.demo').getByText('npx wp run agd').isVisible());
});
