import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { writeSafetensors } from '@working-papers/nn/safetensors-file';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import sharp from 'sharp';
import { launch, newPage, partsOutside, type Site, serve, wp } from '../../../../paper/test/live-run.ts';
import { samples } from '../../samples.ts';
import { packWeights } from '../../weights.ts';
import { shippedWeights } from '../../weights-file.ts';
import { randomWeights } from '../random.ts';

/* The live run on the page beside `wp run` in Node: the same file must get the same answer. */

let folder: string;
let weights = shippedWeights;
let site: Site;
let browser: Browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jei-dnn-demo-'));
  if (!existsSync(weights)) {
    weights = join(folder, 'random.safetensors');
    const { tensors, metadata } = packWeights(randomWeights());
    await writeSafetensors(weights, tensors, { metadata, float32As: 'F16' });
  }
  // neither square nor 32 pixels wide: cropping and scaling must agree too
  const { data, width, height } = samples[0]!.draw(150);
  await sharp(data, { raw: { width, height, channels: 3 } })
    .extract({ left: 0, top: 8, width: 150, height: 121 })
    .png()
    .toFile(join(folder, 'ship.png'));
  await writeFile(join(folder, 'text.jpg'), 'no picture at all');
  site = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(
  t: TestContext,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; faults: string[] }> {
  const { page, faults } = await newPage(t, browser, options);
  await page.route('**/*.safetensors', async (route) =>
    route.fulfill({
      body: await readFile(weights),
      contentType: 'application/octet-stream',
      headers: { 'Cross-Origin-Resource-Policy': 'same-origin' },
    }),
  );
  await page.goto(`${site.origin}/papers/jei-dnn#live`);
  await page.locator('#live').scrollIntoViewIfNeeded();
  return { page, faults };
}

/** The answer that stands on the page once `change` is done. */
async function answerAfter(page: Page, change: () => Promise<unknown>) {
  const before = await page.locator('.demo').getAttribute('data-answers');
  await change();
  await page
    .waitForFunction((old) => document.querySelector<HTMLElement>('.demo')?.dataset.answers !== old, before, {
      timeout: 60_000,
    })
    .catch((error: Error) => {
      throw new Error(`no new answer: ${error.message}`);
    });
  return readAnswer(page);
}

function readAnswer(page: Page) {
  return page.evaluate(() => ({
    label: document.querySelector('[data-testid=label]')?.textContent,
    exit: Number(document.querySelector('[data-testid=exit]')?.textContent),
    cost: document.querySelector('[data-testid=cost]')?.textContent,
    states: [...document.querySelectorAll<HTMLElement>('.demo [data-exit]')].map(
      (rung) => rung.dataset.state,
    ),
  }));
}

interface Run {
  readonly costWeight: number;
  readonly photos: readonly { readonly className: string; readonly exit: number; readonly cost: number }[];
}

/** What `wp run --json` says. */
const run = (...options: string[]) =>
  wp<Run>('run', 'jei-dnn', join(folder, 'ship.png'), '--threads', '1', '--weights', weights, ...options);

const upload = (page: Page, file: string) =>
  page.getByLabel('A picture from your files').setInputFiles(join(folder, file));

test('a picture gets the label and the exit that wp run gives it, for every cost weight', async (t) => {
  const { page, faults } = await open(t);
  await page.getByTestId('label').waitFor({ timeout: 120_000 });
  const slider = page.getByRole('slider', { name: /Cost weight/ });
  let shown = await answerAfter(page, () => upload(page, 'ship.png'));
  const exits = new Set<number>();
  const last = Number(await slider.getAttribute('max'));
  for (const index of new Set([Number(await slider.inputValue()), last, 0])) {
    if (String(index) !== (await slider.inputValue()))
      shown = await answerAfter(page, () => slider.fill(String(index)));
    const costWeight = (await page.getByTestId('slider-value').innerText()).trim();
    const { photos } = await run('--cost-weight', costWeight);
    const [photo] = photos;
    assert.equal(shown.label, photo!.className, `label at λ = ${costWeight}`);
    assert.equal(shown.exit, photo!.exit + 1, `exit at λ = ${costWeight}`);
    assert.equal(
      Number.parseFloat(shown.cost!),
      Number((100 * photo!.cost).toFixed(photo!.cost < 0.1 ? 1 : 0)),
    );
    assert.deepEqual(
      shown.states,
      shown.states.map((_, l) => (l < photo!.exit ? 'passed' : l === photo!.exit ? 'taken' : 'skipped')),
    );
    exits.add(photo!.exit);
  }
  assert.ok(exits.size > 1, 'the cost weight moves the exit');
  assert.deepEqual(faults, []);
});

test('with the gates off the whole network answers, as under --no-gates', async (t) => {
  const { page } = await open(t);
  await page.getByTestId('label').waitFor({ timeout: 120_000 });
  await answerAfter(page, () => upload(page, 'ship.png'));
  const shown = await answerAfter(page, () => page.getByRole('checkbox', { name: 'Gates' }).uncheck());
  const { photos } = await run('--no-gates');
  assert.equal(shown.label, photos[0]!.className);
  assert.deepEqual(shown.states, [...Array(8).fill('silent'), 'taken']);
});

test('a file that is no picture is refused by name, and the answer before it stands', async (t) => {
  const { page } = await open(t);
  await page.getByTestId('label').waitFor({ timeout: 120_000 });
  const before = await readAnswer(page);
  await upload(page, 'text.jpg');
  const alert = page.locator('.demo').getByRole('alert');
  await alert.waitFor();
  assert.match(
    await alert.innerText(),
    /^text\.jpg: begins with "no picture a", expected a JPEG, PNG or WebP/,
  );
  assert.deepEqual(await readAnswer(page), before);
  await answerAfter(page, () => upload(page, 'ship.png'));
  assert.equal(await alert.count(), 0);
});

test('without weights, or with others, it says so and names the command', async (t) => {
  for (const [status, body, message] of [
    [404, '', /cannot start: the trained weights are not part of this page yet/],
    [200, 'nonsense', /cannot start: .*safetensors/],
  ] as const) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    await page.route('**/*.safetensors', (route) =>
      route.fulfill({ status, body, contentType: 'application/octet-stream' }),
    );
    await page.goto(`${site.origin}/papers/jei-dnn`);
    await page.locator('#live').scrollIntoViewIfNeeded();
    const alert = page.locator('.demo').getByRole('alert');
    await alert.waitFor({ timeout: 60_000 });
    assert.match(await alert.innerText(), message);
    assert.ok(await page.locator('.demo').getByText('npx wp run jei-dnn PHOTO').isVisible());
  }
});

test('a dropped picture counts, samples are buttons, and all fits on a narrow and on a wide screen', async (t) => {
  for (const width of [360, 1600]) {
    const { page } = await open(t, { viewport: { width, height: 900 } });
    await page.getByTestId('label').waitFor({ timeout: 120_000 });
    const png = (await readFile(join(folder, 'ship.png'))).toString('base64');
    await answerAfter(page, () =>
      page.locator('.demo .stage').evaluate((stage, base64) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], 'ship.png', { type: 'image/png' }));
        stage.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
      }, png),
    );
    const frog = page.getByRole('button', { name: 'frog' });
    await answerAfter(page, async () => {
      await frog.focus();
      await page.keyboard.press('Enter');
    });
    assert.equal(await frog.getAttribute('aria-pressed'), 'true');
    const outside = await partsOutside(page);
    assert.deepEqual(outside, [], `at ${width}`);
  }
});
