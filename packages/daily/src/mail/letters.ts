/** What mails say. Titles and names in them are written by strangers: whatever is put into HTML is escaped. */

import type { Settings } from '../settings.ts';
import { confirmAddress, loginAddress, paperAddress } from './addresses.ts';
import type { DigestContent, DigestPaper } from './digest-content.ts';
import type { Letter } from './mailer.ts';

type Site = Pick<Settings, 'baseUrl' | 'siteName'>;

/** HTML that may stand as it is. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Html[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const written = parts.map((part) => {
    if (part instanceof Html) return part.text;
    if (Array.isArray(part)) return part.map((item: Html) => item.text).join('');
    return String(part).replaceAll(/[&<>"']/g, (character) => entities[character]!);
  });
  return new Html(String.raw({ raw: strings }, ...written));
}

const serif = "font-family:Georgia,'Times New Roman',serif";
const sans = 'font-family:-apple-system,Segoe UI,Helvetica,Arial,sans-serif';

function document(title: string, body: Html, foot: Html): string {
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${title}</title></head>
<body style="margin:0;padding:24px;${serif};font-size:17px;line-height:1.5">
<div style="max-width:600px;margin:0 auto">
${body}
<p style="margin-top:40px;padding-top:12px;border-top:1px solid #999;${sans};font-size:13px;color:#666">${foot}</p>
</div>
</body>
</html>`.text;
}

/** Lines for readers of plain text, at most two blank ones in a row. */
function plain(lines: readonly (string | undefined)[]): string {
  return `${lines
    .filter((line) => line !== undefined)
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()}\n`;
}

function oneLink(
  site: Site,
  to: string,
  subject: string,
  why: string,
  address: string,
  foot: string,
): Letter {
  return {
    to,
    subject: `${site.siteName}: ${subject}`,
    text: plain([why, '', address, '', foot]),
    html: document(
      subject,
      html`<p>${why}</p><p><a href="${address}" style="font-weight:bold">${subject}</a></p>
<p style="${sans};font-size:13px;word-break:break-all">${address}</p>`,
      html`${foot}`,
    ),
  };
}

export function loginMail(site: Site & Pick<Settings, 'loginMinutes'>, to: string, token: string): Letter {
  return oneLink(
    site,
    to,
    'Sign in',
    `This link signs you in. It works once, within ${site.loginMinutes} minutes.`,
    loginAddress(site.baseUrl, token),
    'If you did not ask for it, nothing happens and you can forget this mail.',
  );
}

export function confirmMail(site: Site, to: string, token: string, frequency: 'daily' | 'weekly'): Letter {
  return oneLink(
    site,
    to,
    'Confirm your subscription',
    `This link subscribes you to the ${frequency} mail of trending papers.`,
    confirmAddress(site.baseUrl, token),
    'If you did not ask for it, no further mail comes and you can forget this one.',
  );
}

interface Ended {
  readonly messageId: string;
  readonly unsubscribe: string;
}

export function digestMail(
  site: Site,
  to: string,
  content: DigestContent,
  { messageId, unsubscribe }: Ended,
): Letter {
  const { frequency, period, papers } = content;
  const [first] = papers;
  const heading =
    frequency === 'daily' ? `Papers of ${dayInWords(period)}` : `Papers of the week to ${dayInWords(period)}`;
  const foot = `You get this ${frequency} mail because you subscribed to ${site.siteName}.`;
  return listMail(site, to, {
    subject: first
      ? `${shortened(first.title, 90)}${papers.length > 1 ? ` and ${papers.length - 1} more` : ''}`
      : heading,
    heading,
    papers,
    foot,
    messageId,
    unsubscribe,
  });
}

export interface AlertContent {
  readonly name: string;
  readonly papers: readonly DigestPaper[];
  /** There are more than are listed. */
  readonly hasMore: boolean;
}

export function alertMail(
  site: Site,
  to: string,
  content: AlertContent,
  { messageId, unsubscribe }: Ended,
): Letter {
  const { name, papers, hasMore } = content;
  const count = `${hasMore ? 'more than ' : ''}${papers.length} new ${papers.length === 1 ? 'paper' : 'papers'}`;
  return listMail(site, to, {
    subject: `${shortened(name, 90)}: ${count}`,
    heading: `${name}: ${count}`,
    papers,
    foot: `You get this mail because you saved the search "${name}" on ${site.siteName}.`,
    messageId,
    unsubscribe,
  });
}

interface List extends Ended {
  readonly subject: string;
  readonly heading: string;
  readonly papers: readonly DigestPaper[];
  readonly foot: string;
}

function listMail(site: Site, to: string, list: List): Letter {
  const { subject, heading, papers, foot, messageId, unsubscribe } = list;
  return {
    to,
    subject,
    messageId,
    unsubscribe,
    text: plain([
      heading,
      '='.repeat(Math.min(72, heading.length)),
      ...papers.flatMap((paper) => ['', ...textItem(site, paper)]),
      '',
      '-- ',
      foot,
      `Unsubscribe: ${unsubscribe}`,
    ]),
    html: document(
      heading,
      html`<h1 style="font-size:24px;line-height:1.2">${heading}</h1>${papers.map((paper) => htmlItem(site, paper))}`,
      html`${foot} <a href="${unsubscribe}" style="color:#666">Unsubscribe</a>`,
    ),
  };
}

function textItem({ baseUrl }: Site, paper: DigestPaper): readonly string[] {
  return [
    `${paper.title}${paper.works ? ' [works here]' : ''}`,
    byline(paper),
    paper.excerpt,
    paperAddress(baseUrl, paper.id),
  ]
    .map((line) => line.replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '');
}

function htmlItem({ baseUrl }: Site, paper: DigestPaper): Html {
  const works = paper.works
    ? html` <span style="${sans};font-size:12px;border:1px solid;padding:0 4px">works here</span>`
    : html``;
  return html`
<h2 style="font-size:19px;line-height:1.3;margin:28px 0 4px"><a href="${paperAddress(baseUrl, paper.id)}" style="color:inherit">${paper.title}</a>${works}</h2>
<p style="${sans};font-size:13px;color:#666;margin:0 0 6px">${byline(paper)}</p>
<p style="margin:0">${paper.excerpt}</p>`;
}

function byline({ authors, upvotes }: DigestPaper): string {
  const names =
    authors.length > 4
      ? `${authors.slice(0, 3).join(', ')} and ${authors.length - 3} more`
      : authors.join(', ');
  return upvotes > 0 ? `${names} · ${upvotes} ${upvotes === 1 ? 'vote' : 'votes'}` : names;
}

export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const cut = text.slice(0, most - 1);
  const end = cut.lastIndexOf(' ');
  return `${cut.slice(0, end > most / 2 ? end : undefined).trimEnd()}…`.toWellFormed();
}

function dayInWords(date: string): string {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' }).format(
    new Date(`${date}T00:00:00Z`),
  );
}
