import type { PaperCard } from '@working-papers/daily/papers/cards';
import { addressOf } from './listing.ts';
import { plain } from './tex.ts';

/* Atom, RFC 4287. */

export interface Feed {
  readonly title: string;
  /** The page of which this is the feed, and the feed itself, behind the page's own address. */
  readonly page: string;
  readonly self: string;
  readonly papers: readonly PaperCard[];
}

/** What XML 1.0 allows, with what it reserves written as entities. */
export function xml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return (
    text
      // Surrogates that stand alone would make the file no UTF-8.
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML forbids
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replaceAll(/[&<>"]/g, (character) => entities[character] ?? '')
  );
}

const element = (name: string, content: string) => `<${name}>${xml(content)}</${name}>`;

function entry(baseUrl: string, card: PaperCard): string {
  const url = `${baseUrl}/papers/${addressOf(card)}`;
  const date = card.publishedAt.toISOString();
  const text = (card.work ? (card.summary ?? card.abstract) : (card.abstract ?? card.summary)) ?? '';
  return [
    '<entry>',
    element('id', url),
    element('title', plain(card.title)),
    `<link rel="alternate" type="text/html" href="${xml(url)}"/>`,
    element('published', date),
    element('updated', date),
    ...card.authors.map((name) => `<author>${element('name', plain(name))}</author>`),
    ...card.categories.map((term) => `<category term="${xml(term)}"/>`),
    ...(text === '' ? [] : [element('summary', plain(text))]),
    '</entry>',
  ].join('');
}

export function atom(baseUrl: string, { title, page, self, papers }: Feed): string {
  const newest = Math.max(0, ...papers.map(({ publishedAt }) => publishedAt.getTime()));
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<feed xmlns="http://www.w3.org/2005/Atom">',
    element('id', `${baseUrl}${self}`),
    element('title', title),
    element('updated', new Date(newest).toISOString()),
    `<link rel="self" type="application/atom+xml" href="${xml(baseUrl + self)}"/>`,
    `<link rel="alternate" type="text/html" href="${xml(baseUrl + page)}"/>`,
    `<author>${element('name', 'Working Papers')}</author>`,
    ...papers.map((paper) => entry(baseUrl, paper)),
    '</feed>\n',
  ].join('\n');
}
