/** Texts of sources as they may be stored: anybody can write them. */

/** One line: control characters and our own marks out, spaces single, at most `most` characters. */
export function cleanLine(text: string, most: number): string {
  return text
    .normalize('NFC')
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Co}\s]+/gu, ' ')
    .trim()
    .slice(0, most);
}

/** The same with paragraphs. */
export function cleanText(text: string, most: number): string {
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => cleanLine(paragraph, most))
    .filter((paragraph) => paragraph !== '')
    .join('\n\n')
    .slice(0, most);
}

/** An address for a link: http or https, nothing else. */
export function cleanUrl(text: string): string | undefined {
  if (text.length > 2000 || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' ? url.href : undefined;
}

export const longest = { title: 1_000, name: 200, abstract: 20_000, comment: 2_000, keyword: 100 } as const;

/** Authors and keywords at most: the largest collaborations have about 5,000. */
export const mostNames = 6_000;
export const mostKeywords = 50;
