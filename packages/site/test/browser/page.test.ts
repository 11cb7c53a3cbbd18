import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { edition20260910 } from '@working-papers/edition';
import type { Browser, Page } from 'playwright-core';
import { type ServedPage, servePage } from '../serve.ts';
import { violationsOf } from './axe.ts';
import { launchBrowser, open } from './browser.ts';
import { overflowOf } from './overflow.ts';

let site: ServedPage;
let browser: Browser;
before(async () => {
  site = await servePage();
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

const paths = ['/', '/papers/jei-dnn', '/papers/fbk-iwslt2021', '/nowhere'];

const background = (page: Page) =>
  page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

test('lists eleven papers, the working ones first and by name', async (t) => {
  const { page, faults } = await open(t, browser, site.origin);
  const papers = page.getByRole('main').getByRole('article');
  assert.equal(await papers.count(), 11);
  for (const [state, region] of [
    ['works', 'Works'],
    ['not yet', 'Not yet'],
  ] as const) {
    const shown = page.getByRole('region', { name: region }).getByRole('article');
    const names = edition20260910.papers.filter((paper) => paper.state === state).map(({ name }) => name);
    assert.equal(await shown.count(), names.length);
    for (const [i, text] of (await shown.allInnerTexts()).entries())
      assert.ok(text.includes(names[i]!), `${names[i]}: ${text}`);
  }
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), edition20260910.question);
  assert.equal(await page.getByRole('time').first().getAttribute('datetime'), '2026-09-10');
  assert.deepEqual(faults, []);
});

test('from the list to a paper, on to the next and back, without loading a page anew', async (t) => {
  const { page, faults } = await open(t, browser, site.origin);
  await page.evaluate(() => Reflect.set(window, 'sameDocument', true));
  await page.getByRole('link', { name: 'Open JEI-DNN and run it' }).click();
  await page.waitForURL('**/papers/jei-dnn');
  await page.getByRole('link', { name: 'CASS-NAT' }).click();
  await page.waitForURL('**/papers/cass-nat');
  assert.match(await page.getByRole('heading', { level: 1 }).innerText(), /CTC Alignment-based/);
  assert.match(await page.title(), /^CASS-NAT/);
  await page.getByRole('link', { name: 'Working Papers' }).click();
  await page.waitForURL(`${site.origin}/`);
  assert.equal(await page.getByRole('article').count(), 11);
  assert.equal(await page.evaluate(() => Reflect.get(window, 'sameDocument')), true);
  assert.deepEqual(faults, []);
});

test('reads without JavaScript, and shows no control that would do nothing', async (t) => {
  const { page, faults } = await open(t, browser, site.origin, { javaScriptEnabled: false });
  assert.equal(await page.getByRole('article').count(), 11);
  assert.deepEqual(await page.getByRole('button').allInnerTexts(), ['Search']);
  for (const paper of edition20260910.papers) {
    assert.ok(await page.getByText(paper.summary).isVisible(), paper.name);
  }
  await page.getByRole('link', { name: 'Open JEI-DNN and run it' }).click();
  await page.waitForURL('**/papers/jei-dnn');
  assert.ok(await page.getByText('npx wp run jei-dnn PHOTO').isVisible());
  assert.deepEqual(faults, []);
});

for (const width of [320, 360, 768, 1600]) {
  test(`nothing sticks out sideways at ${width} pixels`, async (t) => {
    for (const path of paths) {
      const { page } = await open(t, browser, site.origin + path, { viewport: { width, height: 800 } });
      assert.deepEqual(await overflowOf(page), { scroll: 0, wide: [] }, path);
    }
  });
}

test('by keyboard: first the skip link, past the masthead, then the papers in order, each with a ring', async (t) => {
  const { page } = await open(t, browser, site.origin);
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement as HTMLElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { top, bottom } = element.getBoundingClientRect();
      return {
        text: element.innerText?.trim(),
        href: element.getAttribute('href'),
        ring: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2,
        visible: bottom > 0 && top < innerHeight,
      };
    });

  await page.keyboard.press('Tab');
  assert.deepEqual(await focused(), {
    text: 'Skip to the content',
    href: '#content',
    ring: true,
    visible: true,
  });
  await page.keyboard.press('Enter');

  const links = await page.getByRole('main').getByRole('link').count();
  const papers: string[] = [];
  for (let press = 0; press < links; press++) {
    await page.keyboard.press('Tab');
    const { href, ring, visible } = await focused();
    assert.ok(ring && visible, `focus cannot be seen on ${href}`);
    const id = /\/papers\/([\w-]+)$/.exec(href ?? '')?.[1];
    if (id && papers.at(-1) !== id) papers.push(id);
  }
  const working = edition20260910.papers.filter((paper) => paper.state === 'works');
  const waiting = edition20260910.papers.filter((paper) => paper.state !== 'works');
  assert.deepEqual(
    papers,
    [...working, ...waiting].map((paper) => paper.id),
  );
});

test('follows the reader’s system, and a choice outlives the visit', async (t) => {
  const { page } = await open(t, browser, site.origin, { colorScheme: 'dark' });
  const dark = await background(page);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await background(page);
  assert.notEqual(dark, light);

  await page.getByRole('button', { name: 'Dark theme' }).click();
  assert.equal(await background(page), dark);
  await page.reload();
  assert.equal(await background(page), dark);
  await page.getByRole('button', { name: 'Light theme' }).click();
  await page.goto(`${site.origin}/papers/jei-dnn`);
  assert.equal(await background(page), light);
});

test('a reader who asks for less motion gets none', async (t) => {
  const moving = async (reducedMotion: 'reduce' | 'no-preference') => {
    const { page } = await open(t, browser, site.origin, { reducedMotion });
    return page.evaluate(
      () =>
        [...document.querySelectorAll('*')].filter((element) => {
          const { transitionDuration, animationDuration } = getComputedStyle(element);
          return [transitionDuration, animationDuration].some(
            (duration) => Number.parseFloat(duration) > 0.001,
          );
        }).length,
    );
  };
  assert.ok((await moving('no-preference')) > 0, 'else there is nothing to still');
  assert.equal(await moving('reduce'), 0);
});

test('is cross-origin isolated, so that live runs have threads', async (t) => {
  const { page } = await open(t, browser, site.origin);
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.equal(await page.evaluate(() => new SharedArrayBuffer(8).byteLength), 8);
});

test('an unknown paper is a 404 page with a way on', async (t) => {
  const { page } = await open(t, browser, `${site.origin}/papers/no-such-paper`);
  assert.equal(
    await page.getByRole('heading', { level: 1 }).innerText(),
    'No edition has a paper “no-such-paper”.',
  );
  await page.getByRole('link', { name: 'Go to the newest edition' }).click();
  await page.waitForURL(`${site.origin}/`);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing wrong in the ${colorScheme} theme`, async (t) => {
    for (const path of paths) {
      // The reader's own policy forbids injected scripts; the test is no reader.
      const { page } = await open(t, browser, site.origin + path, { colorScheme, bypassCSP: true });
      assert.deepEqual(await violationsOf(page), [], path);
    }
  });
}
