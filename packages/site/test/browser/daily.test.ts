import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { sampleDay, samplePapers } from '../sample.ts';
import { type ServedPage, servePage } from '../serve.ts';
import { violationsOf } from './axe.ts';
import { launchBrowser, open } from './browser.ts';
import { overflowOf } from './overflow.ts';

/* The days, trending, any paper and search, in a reader's browser. */

let site: ServedPage;
let browser: Browser;
before(async () => {
  site = await servePage({ sample: true });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

const paths = [
  '/',
  `/date/${sampleDay}`,
  '/date/2026-09-07',
  '/date/1999-01-01',
  '/week/2026-W37',
  '/trending',
  '/papers/2609.20001',
  '/papers/2609.20002',
  '/search',
  '/search?q=calibrated+attenttion',
];

const titles = (page: Page) => page.getByRole('article').getByRole('heading').allInnerTexts();

test('from a day to its next page, to a paper and back to where one was', async (t) => {
  const { page, faults } = await open(t, browser, `${site.origin}/date/${sampleDay}`);
  await page.getByRole('link', { name: 'More papers' }).click();
  const back = page.getByRole('link', { name: 'Back to the first' });
  await back.waitFor();
  const shown = await titles(page);
  assert.equal(shown.length, 10);
  await page.getByRole('link', { name: samplePapers[35]!.title }).click();
  await page.waitForURL('**/papers/2609.10035');
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), samplePapers[35]!.title);
  await page.goBack();
  await back.waitFor();
  assert.deepEqual(await titles(page), shown);
  assert.deepEqual(faults, []);
});

test('results appear while one types, by keyboard alone, and are there again on the way back', async (t) => {
  const { page, faults } = await open(t, browser, `${site.origin}/date/${sampleDay}`);
  await page.keyboard.press('/');
  await page.keyboard.type('planning');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/search?q=planning');
  const field = page.getByRole('searchbox', { name: 'Words' });
  await page.keyboard.press('/');
  assert.ok(await field.evaluate((element) => element === document.activeElement));

  await field.fill('calibrated quantiz');
  await page.waitForURL('**/search?q=calibrated+quantiz');
  const found = await titles(page);
  assert.ok(found.length > 3 && found.every((title) => /quantization/.test(title)));
  assert.match(await page.getByRole('status').innerText(), new RegExp(`^${found.length} papers`));

  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), found[0]);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/papers/*');
  await page.goBack();
  await page.waitForURL('**/search?q=calibrated+quantiz');
  // The address changes before the page does.
  await field.waitFor();
  assert.deepEqual(await titles(page), found);
  assert.equal(await field.inputValue(), 'calibrated quantiz');
  assert.deepEqual(faults, []);
});

test('an answer that comes late does not replace a newer one', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/search`);
  const held = Promise.withResolvers<void>();
  await page.route('**/search/results?q=retrieval', async (route) => {
    await held.promise;
    await route.continue().catch(() => {});
  });
  const field = page.getByRole('searchbox', { name: 'Words' });
  const asked = page.waitForRequest('**/search/results?q=retrieval');
  await field.fill('retrieval');
  await asked;
  await field.fill('segmentation');
  await page.waitForURL('**/search?q=segmentation');
  held.resolve();
  await page.waitForTimeout(300);
  assert.ok((await titles(page)).every((title) => /segmentation/.test(title)));
});

test('filters are in the address, and the form shows them again', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/search?q=calibrated`);
  await page.getByLabel('has code').check();
  await page.waitForURL('**/search?q=calibrated&code=1');
  await page.getByLabel('in', { exact: true }).fill('cs.LG');
  await page.waitForURL('**/search?q=calibrated&category=cs.LG&code=1');
  await page.reload();
  assert.ok(await page.getByLabel('has code').isChecked());
  assert.equal(await page.getByLabel('in', { exact: true }).inputValue(), 'cs.LG');
});

test('reads and searches without JavaScript', async (t) => {
  const { page, faults } = await open(t, browser, `${site.origin}/date/${sampleDay}`, {
    javaScriptEnabled: false,
  });
  await page.getByRole('searchbox').fill('calibrated attenttion');
  await page.getByRole('button', { name: 'Search' }).click();
  // those with all words come first, those with most of them follow
  assert.match((await titles(page))[0]!, /attention/);
  assert.match(await page.getByRole('status').innerText(), /calibrated attention/);
  await page.goto(`${site.origin}/papers/2609.20001`);
  assert.ok(await page.getByText('eprint = {2609.20001}').isVisible());
  assert.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0);
  assert.deepEqual(faults, []);
});

test('the BibTeX entry is copied whole', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/papers/2609.20001`, {
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  await page.getByRole('button', { name: 'Copy the BibTeX entry' }).click();
  await page.getByText('Copied.').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^@misc\{godel2026bound,[\s\S]*eprint = \{2609\.20001\}[\s\S]*\n\}$/);
});

test('hostile titles and abstracts run nothing', async (t) => {
  for (const path of ['/date/2026-09-07', '/papers/2609.20002', '/search?q=hostile']) {
    const { page, faults } = await open(t, browser, site.origin + path);
    page.on('dialog', (dialog) => assert.fail(dialog.message()));
    await page.getByText('<script>alert(1)</script>').first().waitFor();
    assert.deepEqual(faults, [], path);
  }
});

test('the first load of an edition is at most 60 KB of JavaScript', async (t) => {
  const { page } = await open(t, browser, site.origin);
  const scripts = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map(({ name }) => name)
      .filter((name) => /\.m?js$/.test(new URL(name).pathname)),
  );
  assert.ok(scripts.length > 0);
  let bytes = 0;
  for (const script of scripts) {
    const body = Buffer.from(await (await fetch(script)).arrayBuffer());
    bytes += gzipSync(body).length;
  }
  assert.ok(bytes <= 60 * 1024, `${bytes} bytes in ${scripts.length} files`);
});

for (const width of [320, 360, 768, 1600]) {
  test(`nothing sticks out sideways at ${width} pixels`, async (t) => {
    for (const path of paths) {
      const { page } = await open(t, browser, site.origin + path, { viewport: { width, height: 800 } });
      assert.deepEqual(await overflowOf(page), { scroll: 0, wide: [] }, path);
    }
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing wrong in the ${colorScheme} theme`, async (t) => {
    for (const path of paths) {
      const { page } = await open(t, browser, site.origin + path, { colorScheme, bypassCSP: true });
      assert.deepEqual(await violationsOf(page), [], path);
    }
  });
}
