/* Draws static/card.png, the picture that goes with a link to the page elsewhere. Run it after a change of design. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { edition20260910 } from '@working-papers/edition';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const font = (style: string) => {
  const file = require.resolve(`@fontsource-variable/newsreader/files/newsreader-latin-opsz-${style}.woff2`);
  return `url(data:font/woff2;base64,${readFileSync(file).toString('base64')})`;
};

const plate = (colour: string, dx: number, dy: number) =>
  `<g stroke="${colour}" transform="translate(${dx} ${dy})"><circle cx="16" cy="16" r="7.5"/><path d="M16 3.5v25M3.5 16h25"/></g>`;

const html = `<!doctype html><style>
  @font-face { font-family: N; font-weight: 200 800; src: ${font('normal')} }
  @font-face { font-family: N; font-style: italic; font-weight: 200 800; src: ${font('italic')} }
  body { margin: 0; width: 1200px; height: 630px; padding: 56px 72px; box-sizing: border-box; position: relative;
    background: #f7f7f4; color: #17181c; font-family: N }
  .name { font: 520 64px/1 N; letter-spacing: -.038em; padding-bottom: 26px; border-bottom: 1.5px solid }
  .rule { height: 4px; margin-top: 4px; background: #17181c }
  h1 { margin: 62px 0 0; font: 300 106px/.98 N; letter-spacing: -.032em }
  em { font-weight: 340 }
  svg { position: absolute; bottom: 52px; width: 92px; fill: none; overflow: visible; stroke-width: .8 }
</style>
<div class="name">Working Papers</div><div class="rule"></div>
<h1>${edition20260910.question
  .replace('trained', '<br><em style="color:#c0331b">trained</em>')
  .replace('will', 'will<br>')
  .replace('run', '<em style="color:#1a55b5">run</em>')}</h1>
<svg viewBox="0 0 32 32" style="right: 190px">${plate('#c0331b', -2, 1.2)}${plate('#1a55b5', 2, -1.2)}</svg>
<svg viewBox="0 0 32 32" style="right: 72px"><path fill="#17181c" d="M16 16V8.5a7.5 7.5 0 0 1 7.5 7.5zM16 16v7.5a7.5 7.5 0 0 1-7.5-7.5z"/>${plate('#17181c', 0, 0)}</svg>`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--font-render-hinting=none'],
});
const page = await browser.newPage({ viewport: { width: 1200, height: 630 } });
await page.setContent(html);
await page.evaluate(() => document.fonts.ready);
await page.screenshot({ path: join(import.meta.dirname, '../static/card.png') });
await browser.close();
