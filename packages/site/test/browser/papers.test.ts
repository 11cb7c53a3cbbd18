import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { fixture, type ServedPage, servePage } from '../serve.ts';
import { violationsOf } from './axe.ts';
import { launchBrowser, open } from './browser.ts';

/* What a paper's folder puts on its page, shown with a folder made for this test. */

let site: ServedPage;
let browser: Browser;
before(async () => {
  site = await servePage(fixture);
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

test('a live run computes in a worker, with ONNX Runtime’s threads, from this address alone', async (t) => {
  const { page, faults } = await open(t, browser, `${site.origin}/papers/jei-dnn`);
  assert.equal(await page.getByTestId('answer').innerText(), '3 -4 42');
  assert.equal(await page.getByTestId('isolated').innerText(), 'true');
  assert.deepEqual(faults, []);
});

test('the runtime is fetched on the page of the paper, not on the front page', async (t) => {
  const { page } = await open(t, browser, site.origin);
  const fetched = () =>
    page.evaluate(() =>
      performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname),
    );
  await page.waitForLoadState('networkidle');
  assert.deepEqual(
    (await fetched()).filter((path) => /\/ort\/|worker|Demo/.test(path)),
    [],
  );
});

test('a live run that cannot be loaded says so and names the command', async (t) => {
  const { page } = await open(t, browser, site.origin);
  await page.route(/Demo|worker/, (route) => route.abort());
  // Only what the page has not fetched yet can fail: the live run's own modules.
  const known = new Set(
    await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.name)),
  );
  await page.route('**/_app/immutable/**', (route) => {
    const isLiveRun = !known.has(route.request().url()) && page.url().endsWith('/papers/jei-dnn');
    return isLiveRun ? route.abort() : route.continue();
  });
  await page.getByRole('link', { name: 'Open JEI-DNN and run it' }).click();
  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.innerText(), /^The live run of JEI-DNN could not be loaded: /);
  assert.ok(await page.getByText('npx wp run jei-dnn PHOTO does the same on your machine.').isVisible());
});

test('claims, plots and tables are drawn on the server from results.json', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/papers/jei-dnn`, { javaScriptEnabled: false });
  const measured = page.getByRole('region', { name: 'Claim beside measured' });
  assert.match(await measured.innerText(), /Measured Thursday, 10 September 2026, on an invented machine/);
  assert.match(await measured.innerText(), /\+3\.1 points[\s\S]*\+1\.6 points[\s\S]*partly/);

  const plot = measured.getByRole('img', { name: /Accuracy against cost/ });
  assert.match((await plot.locator('desc').textContent()) ?? '', /lies highest/);
  assert.equal(await plot.locator('.line').count(), 5);
  // Five points a method, five and four the baselines, none the reference.
  assert.equal(await plot.locator('.point').count(), 19);
  assert.equal(await plot.locator('.band').count(), 1);

  await measured.getByText('The figures').click();
  const figures = measured.getByRole('region', { name: 'Accuracy against cost: the figures' });
  assert.equal(await figures.getByRole('row').count(), 1 + 21);
  assert.match(await figures.getByRole('row').nth(1).innerText(), /JEI-DNN\s+0\.21\s+71\.2\s+70\.1 to 72/);

  const table = measured.getByRole('table', { name: 'Where images leave, at λ = 0.5' });
  assert.deepEqual(await table.getByRole('row').nth(2).getByRole('cell').allInnerTexts(), [
    '2',
    '18.0',
    '95.9',
  ]);
});

test('the example on the page is the file in the folder', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/papers/jei-dnn`);
  const shown = await page.getByRole('region', { name: 'Importing JEI-DNN' }).innerText();
  const file = new URL('../fixtures/papers/jei-dnn/example.ts', import.meta.url);
  assert.equal(shown.trim(), readFileSync(file, 'utf8').trim());
});

test('a plot’s words stay legible on a narrow screen and everything stays inside', async (t) => {
  for (const width of [360, 768, 1600]) {
    const { page } = await open(t, browser, `${site.origin}/papers/jei-dnn`, {
      viewport: { width, height: 900 },
    });
    const { sizes, outside, scroll } = await page.evaluate(() => {
      const texts = [...document.querySelectorAll('figure text')];
      return {
        // On screen, not in the picture's own units.
        sizes: texts.map(
          (text) =>
            Number.parseFloat(getComputedStyle(text).fontSize) * (text as SVGTextElement).getScreenCTM()!.a,
        ),
        outside: texts
          .filter((text) => {
            const { left, right } = text.getBoundingClientRect();
            return left < 0 || right > document.documentElement.clientWidth;
          })
          .map((text) => text.textContent),
        scroll: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      };
    });
    assert.ok(sizes.length > 10);
    assert.ok(Math.min(...sizes) >= 11, `${width}: ${Math.min(...sizes)} pixels`);
    assert.deepEqual(outside, []);
    assert.equal(scroll, 0);
  }
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing wrong with plots and tables in the ${colorScheme} theme`, async (t) => {
    const { page } = await open(t, browser, `${site.origin}/papers/jei-dnn`, {
      colorScheme,
      bypassCSP: true,
    });
    await page.getByText('The figures').click();
    assert.deepEqual(await violationsOf(page), []);
  });
}
