/** arXiv's Atom interface. https://info.arxiv.org/help/api/user-manual.html */

import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { IsoDate } from '../database/schema.ts';
import { parseArxivId } from '../papers/identifiers.ts';
import type { PaperRecord } from '../papers/records.ts';
import { cleanLine, cleanText, longest, mostNames } from './clean.ts';
import { ask, type SourceLimits } from './http.ts';
import { type Records, readEach } from './records.ts';

export interface Arxiv {
  /** `https://export.arxiv.org` or another server that answers in its format. */
  readonly url: string;
  /** What a day is: `cs.LG`, `stat.ML` ... */
  readonly categories: readonly string[];
  readonly limits: SourceLimits;
  /** Resolves when the next call may be made: arXiv asks for 3 seconds in between. */
  turn(): Promise<void>;
}

/** Per call; arXiv allows 2,000 and asks for less. */
const pageSize = 200;
/** Identifiers per call, so that the address stays short. */
const idsPerCall = 50;

/** The papers with these identifiers, in any order; those that arXiv does not know are left out. */
export async function papersById(
  arxiv: Arxiv,
  ids: readonly string[],
  signal?: AbortSignal,
): Promise<Records> {
  const batches = Array.from({ length: Math.ceil(ids.length / idsPerCall) }, (_, index) =>
    ids.slice(index * idsPerCall, (index + 1) * idsPerCall),
  );
  const all: Records[] = [];
  for (const batch of batches) {
    const feed = await query(
      arxiv,
      { id_list: batch.join(','), max_results: String(batch.length) },
      0,
      signal,
    );
    all.push(feed.records);
  }
  return together(all);
}

/** The papers that were first submitted on a day (UTC) in the source's categories, oldest first. */
export async function papersOfDay(arxiv: Arxiv, date: IsoDate, signal?: AbortSignal): Promise<Records> {
  const day = date.replaceAll('-', '');
  const categories = arxiv.categories.map((category) => `cat:${category}`).join(' OR ');
  const search = `(${categories}) AND submittedDate:[${day}0000 TO ${day}2359]`;
  const all: Records[] = [];
  for (let start = 0, total = 1; start < total; start += pageSize) {
    const parameters = {
      search_query: search,
      start: String(start),
      max_results: String(pageSize),
      sortBy: 'submittedDate',
      sortOrder: 'ascending',
    };
    const feed = await query(arxiv, parameters, start, signal);
    total = feed.total;
    all.push(feed.records);
  }
  return together(all);
}

function together(all: readonly Records[]): Records {
  return { papers: all.flatMap(({ papers }) => papers), rejected: all.flatMap(({ rejected }) => rejected) };
}

async function query(
  arxiv: Arxiv,
  parameters: Readonly<Record<string, string>>,
  start: number,
  signal: AbortSignal | undefined,
): Promise<Feed> {
  const url = new URL(`${arxiv.url}/api/query`);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const parse = (text: string) => {
    const feed = parseFeed(text);
    // arXiv answers so now and then when it is busy.
    if (feed.entries === 0 && start < feed.total)
      throw new Error(`no entries although there are ${feed.total}`);
    return feed;
  };
  const turn = () => arxiv.turn();
  const answer = await ask({ url, accept: 'application/atom+xml', parse, turn, signal }, arxiv.limits);
  // Without conditions there is no "unchanged".
  if (!answer.changed) throw new Error(`${url.host}: unchanged, though nothing was said to change from`);
  return answer.value;
}

export interface Feed {
  readonly records: Records;
  readonly entries: number;
  /** Of the whole answer, over all pages. */
  readonly total: number;
}

/** Elements as the parser gives them: a text alone, or an object with attributes under `@`. */
interface Element {
  readonly [name: string]: unknown;
}

const lists = new Set(['entry', 'author', 'category', 'link']);
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => lists.has(name),
});

export function parseFeed(text: string): Feed {
  // Half an answer is no XML; the parser itself would read on as far as it goes.
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw new Error(`no XML: ${valid.err.msg} in line ${valid.err.line}`);
  // Nothing that arXiv says needs entities of its own, and they can be made to explode.
  if (/<!DOCTYPE/i.test(text)) throw new Error('a document type is refused');
  const { feed } = parser.parse(text) as Element;
  if (!isElement(feed)) throw new Error('expected a feed');
  const entries = Array.isArray(feed.entry) ? (feed.entry as readonly unknown[]) : [];
  const refusal = entries.find((entry) => isElement(entry) && textOf(entry.id).includes('/api/errors'));
  if (isElement(refusal)) throw new Error(`arXiv says: ${cleanLine(textOf(refusal.summary), 200)}`);
  const total = Number.parseInt(textOf(feed['opensearch:totalResults']), 10);
  return {
    records: readEach(entries, 'entry', readEntry),
    entries: entries.length,
    total: Number.isFinite(total) ? total : entries.length,
  };
}

function readEntry(item: unknown): PaperRecord {
  if (!isElement(item)) throw new Error('expected an entry');
  const address = textOf(item.id);
  const found = parseArxivId(address.replace(/^https?:\/\/arxiv\.org\/abs\//, ''));
  if (!found) throw new Error(`id: expected the address of an abstract, found '${cleanLine(address, 80)}'`);
  const title = cleanLine(textOf(item.title), longest.title);
  if (title === '') throw new Error(`${found.id}: title: expected a text, found nothing`);
  const authors = elements(item.author)
    .map((author) => cleanLine(textOf(author.name), longest.name))
    .filter((name) => name !== '')
    .slice(0, mostNames);
  if (authors.length === 0) throw new Error(`${found.id}: author: expected at least one name`);
  const publishedAt = timeOf(item.published, `${found.id}: published`);
  const abstract = cleanText(textOf(item.summary), longest.abstract);
  const comment = cleanLine(textOf(item['arxiv:comment']), longest.comment);
  const doi = cleanLine(textOf(item['arxiv:doi']), longest.name);
  const journal = cleanLine(textOf(item['arxiv:journal_ref']), longest.title);
  return {
    ...found,
    title,
    authors,
    publishedAt,
    updatedAt: timeOf(item.updated, `${found.id}: updated`),
    categories: categoriesOf(item),
    withdrawn: isWithdrawn(comment, abstract),
    ...(abstract !== '' && { abstract }),
    ...(comment !== '' && { comment }),
    ...(doi !== '' && { doi }),
    ...(journal !== '' && { journal }),
  };
}

/** The primary one first. */
function categoriesOf(item: Element): readonly string[] {
  const primary = item['arxiv:primary_category'];
  const terms = [...(isElement(primary) ? [primary] : []), ...elements(item.category)].map((category) =>
    textOf(category['@term']),
  );
  return [...new Set(terms)].filter((term) => /^[a-z-]+(\.[A-Za-z-]+)?$/.test(term));
}

/** A withdrawn paper keeps its entry; its comment or its abstract says so. */
function isWithdrawn(comment: string, abstract: string): boolean {
  return (
    /\bwithdrawn\b/i.test(comment) ||
    /^\W*(this|the) (paper|article|submission|manuscript|work) (has been|is|was) withdrawn/i.test(abstract)
  );
}

function timeOf(value: unknown, name: string): Date {
  const time = new Date(textOf(value));
  if (Number.isNaN(time.getTime()))
    throw new Error(`${name}: expected a time, found '${cleanLine(textOf(value), 40)}'`);
  return time;
}

function isElement(value: unknown): value is Element {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function elements(value: unknown): readonly Element[] {
  return Array.isArray(value) ? value.filter(isElement) : [];
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return isElement(value) && typeof value['#text'] === 'string' ? value['#text'] : '';
}
