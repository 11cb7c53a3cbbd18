import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { monthOf, utcDate, weekOf } from '@working-papers/daily/dates';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { oddPapers, sampleDay, samplePapers } from './sample.ts';
import { type ServedPage, servePage } from './serve.ts';

let page: ServedPage;
before(async () => {
  page = await servePage({ sample: true });
});
after(() => page[Symbol.asyncDispose]());

async function get(path: string): Promise<string> {
  const response = await fetch(page.origin + path);
  assert.equal(response.status, 200, path);
  return response.text();
}

/** What a link with this `rel` or these words leads to. */
function linkTo(html: string, mark: RegExp): string {
  const [, href] = mark.exec(html) ?? [];
  assert.ok(href, `${mark}`);
  return href.replaceAll('&amp;', '&').replace(/^\.\.?(?=\/)/, '');
}

const titles = (html: string) => [...html.matchAll(/<h3 id="title-([^"]+)"/g)].map(([, id]) => id);

test('a day is walked from page to page by plain links, each paper once', async () => {
  const first = await get(`/date/${sampleDay}`);
  assert.match(first, /Wednesday, 9 September 2026/);
  assert.match(first, /40 papers\./);
  const second = await get(linkTo(first, /rel="next" href="([^"]*\?cursor=[^"]+)"/));
  assert.deepEqual(
    [...titles(first), ...titles(second)],
    samplePapers.map(({ id }) => id.replaceAll('.', '-')),
  );
  assert.match(second, /Back to the first/);
});

test('days, weeks and months lead to their neighbours with papers, over empty ones', async () => {
  const day = await get(`/date/${sampleDay}`);
  assert.match(day, /href="[^"]*\/date\/2026-09-07"[^>]*>(?:<!--.*?-->)*<span[^>]*>before/);
  assert.match(day, /href="[^"]*\/date\/2026-09-10"[^>]*>(?:<!--.*?-->)*<span[^>]*>after/);
  const week = await get('/week/2026-W37');
  assert.match(week, /Week 37 of 2026/);
  assert.match(week, /7 September to 13 September, by votes/);
  assert.match(await get('/month/2026-09'), /September 2026/);
  const empty = await get('/date/1999-01-01');
  assert.match(empty, /No papers appeared on this day\./);
  assert.match(empty, /<meta name="robots" content="noindex"/);
  assert.match(empty, /\/date\/2026-09-07/, 'the way to the first day with papers');
});

test('our own edition keeps its face, and what else stood on its day follows', async () => {
  const html = await get('/date/2026-09-10');
  assert.match(html, /Not yet<\/h2>[\s\S]*Also on this day/);
  assert.equal(html.match(/<article/g)?.length, 11 + 3);
});

test('the front page is the newest day', async () => {
  const today = utcDate(new Date());
  const html = await get('/');
  assert.equal(titles(html).length, 12);
  for (const path of [`/date/${today}`, `/week/${weekOf(today).name}`, `/month/${monthOf(today).name}`]) {
    assert.ok(html.includes(`${path}"`), path);
  }
});

test('trending says its formula and offers its windows', async () => {
  const html = await get('/trending');
  assert.ok(titles(html).length > 0);
  assert.match(html, /score = \(Σ 2\^\(−age \/ h\)/);
  for (const days of [1, 7, 30]) assert.match(html, new RegExp(`trending\\?window=${days}"`));
  const refused = await fetch(`${page.origin}/trending?window=2`, { headers: { accept: 'text/html' } });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /window: expected one of 1, 7, 30 days, found 2/);
});

test('hostile titles, authors, abstracts and addresses come out as text', async () => {
  for (const path of ['/date/2026-09-07', '/papers/2609.20002', '/search?q=hostile']) {
    const html = await get(path);
    assert.ok(html.includes('&lt;script>alert(1)&lt;/script>') || html.includes('&lt;script&gt;'), path);
    assert.doesNotMatch(html, /<script>alert|<img src=x|href="javascript:/, path);
    const scripts = html.match(/<script(?![^>]*(nonce|type="application\/json"))[^>]*>/g);
    assert.equal(scripts, null, path);
  }
});

test('formulas are drawn on the server, with KaTeX’s styles there and on no other page', async () => {
  const styles = /<link rel="stylesheet" href="([^"]*katex[^"]*)"/;
  const html = await get('/papers/2609.20001');
  assert.match(html, /<span class="katex">[\s\S]*<math/);
  assert.match(html, /Gödel Machines/);
  assert.match(html, /between \$5 and \$10 per run/);
  const css = await fetch(new URL(linkTo(html, styles), `${page.origin}/papers/x`));
  assert.equal(css.status, 200);
  const [, font] = /url\(([^)]+\.woff2)\)/.exec(await css.text()) ?? [];
  assert.ok(font, 'its fonts');
  assert.equal((await fetch(new URL(font, css.url))).status, 200);
  for (const path of [`/date/${sampleDay}`, '/date/2026-09-10', '/papers/2609.10001']) {
    assert.doesNotMatch(await get(path), styles, path);
  }
});

test('a paper’s page has its links, its day, its kin and its BibTeX entry', async () => {
  const html = await get('/papers/2609.10004');
  for (const part of [
    'https://arxiv.org/abs/2609.10004',
    'https://arxiv.org/pdf/2609.10004',
    'https://arxiv.org/html/2609.10004',
    'https://github.com/example/paper-4',
    'Related papers',
    `/date/${sampleDay}`,
    'eprint = {2609.10004}',
    'archivePrefix = {arXiv}',
  ]) {
    assert.ok(html.includes(part), part);
  }
  assert.match(await get('/papers/math/0309136'), /Withdrawn/);
  const ours = await get('/papers/jei-dnn');
  assert.match(ours, /Related papers|To cite it/);
  assert.match(ours, /eprint = \{2310\.09163\}/);
});

test('search works as a form: words, mistyped ones, filters, and no result lost in its pages', async () => {
  const html = await get('/search?q=calibrated+attenttion&from=&to=&category=');
  assert.match(html, /these are for <strong[^>]*>(?:<!--.*?-->)*calibrated attention/);
  assert.match(html, /<mark[^>]*>attention<\/mark>/i);
  assert.match(html, /By words alone/);
  const filtered = await get('/search?q=calibrated&category=cs.LG&code=1&from=2026-09-01&to=2026-09-30');
  assert.ok(titles(filtered).length > 0);
  assert.match(filtered, /name="category"[^>]*value="cs\.LG"/);
  assert.match(filtered, /name="code"[^>]*checked/);
  const first = await get('/search?q=calibrated');
  const more = await get(linkTo(first, /rel="next" href="([^"]*cursor=[^"]+)"/));
  assert.equal(new Set([...titles(first), ...titles(more)]).size, titles(first).length + titles(more).length);
  assert.match(await get('/search?q=xyzzyplugh'), /No paper has these words\./);
});

test('what is typed is answered as JSON, and a wrong filter as a problem', async () => {
  const answer = await (await fetch(`${page.origin}/search/results?q=calib`)).json();
  assert.ok(answer.papers.length > 0, 'a word not typed to its end is found');
  assert.equal(answer.byWordsAlone, true);
  const wrong = await fetch(`${page.origin}/search/results?q=x&from=tomorrow`);
  assert.equal(wrong.status, 400);
  assert.equal((await wrong.json()).detail, "from: expected a day as 2026-09-10, found 'tomorrow'");
});

test('Atom feeds of the newest days, of editions, searches and categories', async () => {
  for (const path of [
    '/feed.xml',
    `/date/${sampleDay}/feed.xml`,
    '/week/2026-W37/feed.xml',
    '/month/2026-09/feed.xml',
    '/search/feed.xml?q=hostile+%22titles%22',
    '/categories/math.ST/feed.xml',
    '/date/1999-01-01/feed.xml',
  ]) {
    const response = await fetch(page.origin + path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get('content-type'), 'application/atom+xml; charset=utf-8');
    const text = await response.text();
    assert.equal(XMLValidator.validate(text), true, path);
    const { feed } = new XMLParser({ ignoreAttributes: false, isArray: (name) => name === 'entry' }).parse(
      text,
    );
    assert.ok(feed.title && !Number.isNaN(Date.parse(feed.updated)), path);
    const self = feed.link.find((link: Record<string, string>) => link['@_rel'] === 'self');
    assert.equal(new URL(self['@_href']).pathname, path.split('?')[0]);
    for (const entry of feed.entry ?? []) {
      assert.ok(entry.id.startsWith(`${page.origin}/papers/`), entry.id);
      assert.ok(entry.title !== undefined && entry.author && entry.updated, path);
    }
    if (path.startsWith('/search')) {
      assert.equal(feed.entry[0].title, oddPapers[1]!.title);
    }
  }
  const missing = await fetch(`${page.origin}/date/2026-02-30/feed.xml`);
  assert.equal(missing.status, 404);
});

test('a page says where its feed is', async () => {
  for (const path of [`/date/${sampleDay}`, '/search?q=attention']) {
    const href = linkTo(
      await get(path),
      /<link rel="alternate" type="application\/atom\+xml"[^>]*href="([^"]+)"/,
    );
    assert.equal((await fetch(page.origin + href)).status, 200, href);
  }
});
