import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { describeSettings, readSettings, settingsMarkdown } from '@working-papers/daily/settings';

test('nothing set: an embedded database below the current folder, mails as files, no model fetched', () => {
  const settings = readSettings({});
  assert.equal(settings.databaseUrl, undefined);
  assert.equal(settings.smtpUrl, undefined);
  assert.equal(settings.databaseFolder, resolve('.working-papers/database'));
  assert.equal(settings.embeddings, 'local');
  assert.deepEqual(settings.arxivCategories, ['cs.LG', 'cs.CV', 'cs.CL']);
  assert.deepEqual(readSettings({ WP_HOME: '', DATABASE_URL: '' }), settings, 'empty is left out');
});

test('values are read by their kind', () => {
  const settings = readSettings({
    WP_BASE_URL: 'https://papers.example/daily//',
    WP_SOURCES: 'hf, arxiv',
    WP_LOG_JSON: 'on',
    WP_DIGEST_HOUR: '0',
    WP_MAIL_FROM: 'The Papers <papers@example.org>',
    DATABASE_URL: 'postgres://me:secret@db/papers?sslmode=require',
  });
  assert.equal(settings.baseUrl, 'https://papers.example/daily');
  assert.deepEqual(settings.sources, ['hf', 'arxiv']);
  assert.equal(settings.logJson, true);
  assert.equal(settings.digestHour, 0);
  assert.equal(settings.mailFrom, 'The Papers <papers@example.org>');
  assert.equal(settings.databaseUrl, 'postgres://me:secret@db/papers?sslmode=require');
});

test('a wrong value stops with its name, what was found and what was expected; passwords are not shown', () => {
  const cases: readonly (readonly [name: string, value: string, message: string])[] = [
    ['WP_DATABASE_POOL', '0', "WP_DATABASE_POOL: expected a whole number from 1 to 200, found '0'"],
    ['WP_DATABASE_POOL', '1e1', "WP_DATABASE_POOL: expected a whole number from 1 to 200, found '1e1'"],
    ['WP_SOURCES', 'hf,openai', "WP_SOURCES: expected hf, arxiv, or both with a comma, found 'hf,openai'"],
    ['WP_LOG_JSON', 'true', "WP_LOG_JSON: expected on or off, found 'true'"],
    [
      'WP_BASE_URL',
      'papers.example',
      "WP_BASE_URL: expected an http or https address without query or password, found 'papers.example'",
    ],
    [
      'WP_MAIL_FROM',
      'a@b\nBcc: c@d',
      "WP_MAIL_FROM: expected a mail address, NAME <NAME@HOST> or NAME@HOST, found 'a@b Bcc: c@d'",
    ],
    [
      'DATABASE_URL',
      'mysql://me:secret@db',
      'DATABASE_URL: expected an address like postgres://USER:PASSWORD@HOST/DATABASE, found something else (not shown, it may hold a password)',
    ],
    ['WP_EMBEDDINGS', 'yes', "WP_EMBEDDINGS: expected one of off, local, download, found 'yes'"],
  ];
  for (const [name, value, message] of cases) {
    assert.throws(() => readSettings({ [name]: value }), { name: 'UserError', message });
  }
});

test('the table says what is given and keeps secrets', () => {
  const rows = describeSettings({ DATABASE_URL: 'postgres://me:secret@db', WP_DIGEST_HOUR: '6' });
  const given = rows.filter((row) => row.given !== undefined).map((row) => [row.name, row.given]);
  assert.deepEqual(given, [
    ['DATABASE_URL', '(set, not shown)'],
    ['WP_DIGEST_HOUR', '6'],
  ]);
  assert.equal(new Set(rows.map((row) => row.name)).size, rows.length);
});

test("the README's table is this one", () => {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');
  assert.ok(readme.includes(settingsMarkdown()), `the README should hold:\n${settingsMarkdown()}`);
});

test('compose.yaml and the image name settings that there are', () => {
  const known = new Set(describeSettings().map(({ name }) => name));
  for (const file of ['compose.yaml', 'Dockerfile']) {
    const text = readFileSync(join(import.meta.dirname, '..', '..', '..', file), 'utf8');
    const named = text.match(/\b(WP_[A-Z_]+|DATABASE_URL)\b/g) ?? [];
    assert.ok(named.length > 0, file);
    for (const name of named) assert.ok(known.has(name), `${file}: ${name}`);
  }
});
