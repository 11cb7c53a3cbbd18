import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launch, newPage, partsOutside, type Site, serve, wp } from '../../../../paper/test/live-run.ts';
import { violationsOf } from '../../../../site/test/browser/axe.ts';
import { exampleText } from '../../example-text.ts';
import { paper } from '../../paper.ts';
import { writeTinyFolder } from '../tiny.ts';

// The live run beside `wp run` in Node: the same tokens.

let root: string;
let folder: string;
let site: Site;
let browser: Browser;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'longspec-demo-'));
  folder = join(root, 'tiny-llama');
  await writeTinyFolder(folder, undefined, 4096);
  site = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.close();
  await rm(root, { recursive: true, force: true });
});

async function open(t: TestContext, options: BrowserContextOptions = {}) {
  const opened = await newPage(t, browser, options);
  await opened.page.goto(`${site.origin}/papers/${paper.id}#live`);
  await opened.page.locator('#live').scrollIntoViewIfNeeded();
  await opened.page.locator('.demo').waitFor();
  return opened;
}

/** With the tiny model, read from its folder. */
async function openTiny(t: TestContext, options: BrowserContextOptions = {}) {
  const opened = await open(t, options);
  await pick(opened.page, 'Its folder', folder);
  await opened.page.locator('.demo[data-ready]').waitFor({ timeout: 120_000 });
  await opened.page.getByText('tiny-llama').waitFor();
  return opened;
}

async function pick(page: Page, label: string, files: string | readonly string[]): Promise<void> {
  await ownModel(page);
  await page.getByLabel(label).setInputFiles(files as string | string[]);
}

/** The files' place is folded where there is a model. */
async function ownModel(page: Page): Promise<void> {
  const isOpen = await page
    .locator('.model details')
    .evaluate((details) => (details as HTMLDetailsElement).open);
  if (!isOpen) await page.getByText('A model of your own').click();
}

const button = (page: Page, name: string) => page.locator('.demo').getByRole('button', { name });
const phase = (page: Page, name: string) =>
  page.locator(`.demo[data-phase=${name}]`).waitFor({ timeout: 240_000 });

async function decoded(page: Page): Promise<void> {
  await button(page, 'Continue the text').click();
  await phase(page, 'done');
}

async function laneOf(page: Page, name: 'guessing' | 'vanilla') {
  const lane = page.locator(`[data-lane=${name}]`);
  const number = async (id: string) => Number(await lane.getByTestId(id).textContent());
  return {
    text: await lane.getByTestId('text').textContent(),
    tokens: await number('tokens'),
    calls: await number('calls'),
    acceptance: await number('acceptance'),
    rate: await number('rate'),
    guessed: await lane.locator('.guessed').count(),
    own: await lane.locator('.own').count(),
  };
}

/** What `wp run` makes of the example. */
async function inNode(temperature: string, model = ['--model', folder]): Promise<string> {
  const words = ['--text', exampleText, '--temperature', temperature, '--max-new-tokens', '60'];
  const run = ['run', 'longspec', ...model, '--method', 'vanilla', '--threads', '1'];
  return (await wp<{ text: string }>(...run, ...words)).text;
}

const verdict = (page: Page) => page.getByTestId('verdict').innerText();

test('with guesses and without: the same text, which is that of wp run in Node, and counts that add up', async (t) => {
  const { page, faults } = await openTiny(t);
  const texts = new Map<string, string>();
  for (const [guesser, temperature] of [
    ['LongSpec', '0'],
    ['prompt lookup', '0'],
    ['prompt lookup', '0.8'],
    ['MagicDec', '0'],
  ] as const) {
    await page.getByLabel('Guessed by').selectOption(guesser);
    await page.getByRole('slider', { name: /Temperature/ }).fill(temperature);
    await page.getByLabel('New tokens').fill('60');
    await decoded(page);
    assert.match(await verdict(page), /^The same 60 tokens, \d+\.\d\d times as fast\.$/, guesser);
    const [guessing, plain] = [await laneOf(page, 'guessing'), await laneOf(page, 'vanilla')];
    assert.equal(guessing.text, plain.text);
    const text = texts.get(temperature) ?? (await inNode(temperature));
    texts.set(temperature, text);
    assert.equal(plain.text, text, `${guesser}, T ${temperature}`);
    assert.deepEqual([plain.tokens, plain.calls, plain.guessed], [60, 60, 0]);
    assert.equal(guessing.tokens, 60);
    assert.equal(guessing.guessed + guessing.own, 60);
    assert.equal(guessing.own, guessing.calls);
    assert.equal(Number(await page.getByTestId('right').innerText()), guessing.guessed);
    assert.equal(Number(await page.getByTestId('own').innerText()), guessing.calls);
    assert.equal(guessing.acceptance, Number((60 / guessing.calls).toFixed(2)));
    assert.ok(guessing.rate > 0 && plain.rate > 0);
  }
  assert.deepEqual(faults, []);
});

test('every round has its tree, which can be looked at again by keyboard', async (t) => {
  const { page } = await openTiny(t);
  await page.getByLabel('New tokens').fill('30');
  await page.getByLabel('Tree', { exact: true }).fill('3,2,1');
  await page.getByLabel('hybrid tree attention').uncheck();
  await button(page, 'Continue the text').focus();
  await page.keyboard.press('Enter');
  await phase(page, 'done');
  assert.match(await verdict(page), /^The same 30 tokens/);
  const { calls } = await laneOf(page, 'guessing');
  const tree = page.locator('.demo .tree');
  const round = async () => Number(await tree.getByTestId('round').innerText());
  const last = await round();
  assert.ok(last <= calls);
  await tree.getByRole('slider').focus();
  await page.keyboard.press('Home');
  assert.equal(await round(), 2); // the first call is the prompt's
  // the root, a tree of six guesses, and the model's own token
  assert.equal(await tree.locator('circle').count(), 8);
  const name = await tree.getByRole('img').getAttribute('aria-label');
  assert.match(name!, /^Round 2: 6 guesses after “.*”, .* the model itself added “.*”\.$/s);
  await page.keyboard.press('End');
  assert.equal(await round(), last);
});

test('stop stops, and what follows is whole', async (t) => {
  const { page } = await openTiny(t);
  await page.getByLabel('New tokens').fill('2500');
  await button(page, 'Continue the text').click();
  await page.waitForFunction(
    () => Number(document.querySelector('[data-lane=guessing] [data-testid=tokens]')?.textContent) > 4,
    undefined,
    { timeout: 120_000 },
  );
  await button(page, 'Stop').click();
  await phase(page, 'stopped');
  assert.equal(await verdict(page), 'Stopped.');
  const { tokens } = await laneOf(page, 'guessing');
  assert.ok(tokens < 2500);
  await page.waitForTimeout(700);
  assert.equal((await laneOf(page, 'guessing')).tokens, tokens);
  await page.getByLabel('New tokens').fill('10');
  await decoded(page);
  assert.match(await verdict(page), /^The same 10 tokens/);
});

test('what is wrong with files and requests is said in a line that names it', async (t) => {
  const { page } = await open(t);
  const alert = page.locator('.demo').getByRole('alert');
  const saying = (words: RegExp) => alert.filter({ hasText: words }).waitFor({ timeout: 60_000 });
  const config = join(root, 'config.json');
  await writeFile(config, JSON.stringify({ model_type: 'gpt2' }));
  await pick(page, 'or its files', config);
  await saying(/^This model does not open: config\.json: model_type is "gpt2", expected one of llama/);
  const files = ['config.json', 'tokenizer.json'].map((name) => join(folder, name));
  await pick(page, 'or its files', files);
  await saying(/the files has no model\.safetensors and no model\.safetensors\.index\.json/);

  // without a draft prompt lookup guesses
  await pick(page, 'or its files', [...files, join(folder, 'model.safetensors')]);
  await page.getByText('without a draft').waitFor({ timeout: 60_000 });
  assert.deepEqual(await page.getByLabel('Guessed by').locator('option').allInnerTexts(), [
    'prompt lookup',
    'MagicDec',
  ]);
  await page.getByLabel('New tokens').fill('5000');
  await button(page, 'Continue the text').click();
  await saying(/tokens of prompt and 5000 new ones are \d+, the model has 4096 positions/);

  const pickle = join(root, 'draft_model_weights.pth');
  await writeFile(pickle, 'x');
  await pick(page, 'A draft for it', pickle);
  await page.getByText('with a draft').waitFor({ timeout: 60_000 });
  await button(page, 'Continue the text').click();
  await saying(/draft_model_weights\.pth is a pickle: convert to safetensors/);
  const named = join(root, 'mine.safetensors');
  await copyFile(join(folder, 'draft.safetensors'), named);
  await pick(page, 'A draft for it', named);
  await page.locator('.demo:not([data-ready])').waitFor();
  await page.locator('.demo[data-ready]').waitFor({ timeout: 60_000 });
  await page.getByLabel('New tokens').fill('10');
  await page.getByLabel('Tree', { exact: true }).fill('2,x');
  await button(page, 'Continue the text').click();
  await saying(/tree “2,x”: expected auto, or widths of its levels/);
  await page.getByLabel('Tree', { exact: true }).fill('2,1');
  await decoded(page);
  assert.match(await verdict(page), /^The same 10 tokens/);
});

test('the model that ships goes on as in Node, with each of the drafts that ship', async (t) => {
  const { page, faults } = await open(t);
  await page.locator('.demo[data-ready]').waitFor({ timeout: 120_000 });
  await page.getByLabel('New tokens').fill('60');
  await decoded(page);
  assert.match(await verdict(page), /^The same 60 tokens/);
  const text = await inNode('0', []);
  assert.equal((await laneOf(page, 'guessing')).text, text);
  for (const idea of ['anchor-offset positions', 'flash noisy training']) {
    await page.getByLabel(idea).uncheck();
    await decoded(page);
    assert.equal((await laneOf(page, 'guessing')).text, text, `without ${idea}`);
    await page.getByLabel(idea).check();
  }
  assert.deepEqual(faults, []);
});

test('all fits on a narrow and on a wide screen, in light and in dark, and axe finds nothing', async (t) => {
  for (const [width, colorScheme] of [
    [360, 'light'],
    [360, 'dark'],
    [1600, 'light'],
  ] as const) {
    const { page } = await openTiny(t, { viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
    await ownModel(page);
    await page.getByLabel('New tokens').fill('40');
    await decoded(page);
    assert.deepEqual(await partsOutside(page), [], `at ${width}`);
    assert.deepEqual(await violationsOf(page), [], `at ${width}, ${colorScheme}`);
  }
});
