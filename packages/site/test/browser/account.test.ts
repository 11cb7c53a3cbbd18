import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { simpleParser } from 'mailparser';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { sampleDay } from '../sample.ts';
import { type ServedPage, servePage } from '../serve.ts';
import { violationsOf } from './axe.ts';
import { launchBrowser, open } from './browser.ts';
import { overflowOf } from './overflow.ts';

/* What a reader with an account does, with and without JavaScript. */

let site: ServedPage;
let browser: Browser;
let signedIn: BrowserContextOptions['storageState'];
before(async () => {
  site = await servePage({ sample: true });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

async function linkIn(subject: RegExp): Promise<string> {
  const folder = join(site.home, 'mail');
  const letters = await Promise.all(
    readdirSync(folder).map((name) => simpleParser(readFileSync(join(folder, name)))),
  );
  const letter = letters.find((one) => subject.test(one.subject ?? ''));
  const [link] = /http:\S+token=[\w-]+/.exec(letter?.text ?? '') ?? [];
  assert.ok(link, letters.map((one) => one.subject).join('; '));
  return link;
}

test('signs in by mail, votes, keeps, tags and saves a search, all without JavaScript', async (t) => {
  const { page, faults } = await open(t, browser, `${site.origin}/papers/2609.10004`, {
    javaScriptEnabled: false,
  });
  await page.getByRole('link', { name: 'Sign in' }).last().click();
  await page.getByLabel('Your address').fill('ada@example.org');
  await page.getByRole('button', { name: 'Mail me a link' }).click();
  assert.match(await page.getByRole('status').innerText(), /on its way to ada@example\.org/);
  await page.goto(await linkIn(/sign in/i));
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('**/library');

  await page.goto(`${site.origin}/papers/2609.10004`);
  await page.getByRole('button', { name: 'Vote' }).click();
  await page.getByRole('button', { name: 'Voted' }).waitFor();
  await page.getByRole('button', { name: 'Keep' }).click();
  await page.getByRole('button', { name: 'Mark as read' }).click();
  await page.getByRole('link', { name: 'Library' }).click();
  await page.getByLabel('tags').fill('later, calibration');
  await page.getByRole('button', { name: 'Save' }).click();
  assert.ok(await page.getByRole('link', { name: 'calibration', exact: true }).isVisible());

  await page.goto(`${site.origin}/search?q=attention`);
  await page.getByLabel('mail me what is new').check();
  await page.getByRole('button', { name: 'Save this search' }).click();
  assert.ok(await page.getByRole('button', { name: 'Stop the alert for attention' }).isVisible());
  assert.deepEqual(faults, []);
  signedIn = await page.context().storageState();
});

test('a vote in a list is shown at once and stays, without leaving the list', async (t) => {
  const list = `${site.origin}/date/${sampleDay}`;
  const { page, faults } = await open(t, browser, list, { storageState: signedIn! });
  const entry = page.getByRole('article').nth(5);
  const number = async () => Number.parseInt(await entry.getByRole('button').innerText(), 10);
  const before = await number();
  await page.evaluate(() => scrollTo(0, 700));
  const counted = page.waitForResponse((response) => response.request().method() === 'POST');
  await entry.getByRole('button', { name: 'vote' }).click();
  await counted;
  assert.equal(await number(), before + 1);
  assert.equal(await entry.getByRole('button').getAttribute('aria-pressed'), 'true');
  assert.ok((await page.evaluate(() => scrollY)) > 0, 'where one was');
  await page.reload();
  assert.equal(await number(), before + 1);
  assert.deepEqual(faults, []);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`forms fit at every width and axe finds nothing wrong in the ${colorScheme} theme`, async (t) => {
    for (const path of ['/login', '/login?token=x', '/subscribe', '/subscribe/confirm?token=x']) {
      const options = { colorScheme, bypassCSP: true, viewport: { width: 360, height: 800 } };
      const { page } = await open(t, browser, site.origin + path, options);
      assert.deepEqual(await overflowOf(page), { scroll: 0, wide: [] }, path);
      assert.deepEqual(await violationsOf(page), [], path);
    }
    for (const path of [
      `/date/${sampleDay}`,
      '/library',
      '/account',
      '/submit',
      '/papers/2609.10004',
      '/search?q=attention',
    ]) {
      for (const width of [360, 1600]) {
        const viewport = { width, height: 800 };
        const options = { colorScheme, bypassCSP: true, storageState: signedIn!, viewport };
        const { page } = await open(t, browser, site.origin + path, options);
        assert.deepEqual(await overflowOf(page), { scroll: 0, wide: [] }, path);
        assert.deepEqual(await violationsOf(page), [], path);
      }
    }
  });
}
