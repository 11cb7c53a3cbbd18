/** arXiv identifiers, in whichever form a reader or a source has them. https://info.arxiv.org/help/arxiv_identifier.html */

export interface ArxivId {
  /** Without version, as papers are filed here: `2310.09163`, `math/0309136`. */
  readonly id: string;
  readonly version?: number;
}

/** Since April 2007; five digits behind the dot since January 2015. */
const newStyle = /^(\d\d)(0[1-9]|1[0-2])\.(\d{4,5})(?:v([1-9]\d{0,2}))?$/;
/** Until March 2007, with or without the subject class: `math.GT/0309136`. */
const oldStyle = /^([a-z-]{2,10})(?:\.[A-Za-z-]{2,10})?\/(\d\d)(0[1-9]|1[0-2])(\d{3})(?:v([1-9]\d{0,2}))?$/;

/** Reads a bare identifier. Undefined where it is none. */
export function parseArxivId(text: string): ArxivId | undefined {
  const recent = newStyle.exec(text);
  if (recent) {
    const [, year = '', month = '', number = '', version] = recent;
    const from = Number(year + month);
    const digits = from >= 1501 ? 5 : 4;
    if (from < 704 || number.length !== digits) return undefined;
    return withVersion(`${year}${month}.${number}`, version);
  }
  const old = oldStyle.exec(text);
  if (!old) return undefined;
  const [, archive = '', year = '', month = '', number = '', version] = old;
  const from = Number(year) >= 91 ? 1900 + Number(year) : 2000 + Number(year);
  if (from > 2007 || (from === 2007 && Number(month) > 3)) return undefined;
  return withVersion(`${archive}/${year}${month}${number}`, version);
}

function withVersion(id: string, version: string | undefined): ArxivId {
  return version === undefined ? { id } : { id, version: Number(version) };
}

/** Hosts whose addresses hold an identifier, and the first parts of the paths that do. */
const hosts: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    'arxiv.org': ['abs', 'pdf', 'html', 'format', 'e-print', 'src', 'ps'],
    'export.arxiv.org': ['abs', 'pdf', 'html', 'format', 'e-print', 'src'],
    'ar5iv.org': ['abs', 'html', 'pdf'],
    'ar5iv.labs.arxiv.org': ['abs', 'html', 'pdf'],
    'alphaxiv.org': ['abs', 'pdf', 'html', 'overview'],
    'huggingface.co': ['papers'],
    'hf.co': ['papers'],
    'doi.org': ['10.48550'],
    'dx.doi.org': ['10.48550'],
  }),
);

/**
 * Reads what a reader pastes: an identifier, `arXiv:...`, a DOI of arXiv, or an address of arXiv, ar5iv, alphaXiv or
 * Hugging Face. Undefined where none is in it.
 */
export function findArxivId(text: string): ArxivId | undefined {
  const trimmed = text.trim();
  const bare = trimmed.replace(/^arxiv:\s*/i, '').replace(/^(?:doi:\s*)?10\.48550\/arxiv\./i, '');
  const direct = parseArxivId(bare);
  if (direct) return direct;

  const address = /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
  if (!URL.canParse(address)) return undefined;
  const { protocol, hostname, pathname } = new URL(address);
  const paths = hosts.get(hostname.replace(/^www\./, ''));
  if (!paths || !/^https?:$/.test(protocol)) return undefined;
  const [first = '', ...rest] = pathname.split('/').filter((part) => part !== '');
  if (!paths.includes(first)) return undefined;
  const name = rest.slice(0, parseArchive(rest[0]) ? 2 : 1).join('/');
  return parseArxivId(name.replace(/^arxiv\./i, '').replace(/\.(pdf|ps|gz)$/i, ''));
}

const parseArchive = (part: string | undefined) =>
  part !== undefined && /^[a-z-]+(\.[A-Za-z-]+)?$/.test(part);

/** The first day of the month that the identifier names: when all else is unknown, a paper is at least that old. */
export function monthOfArxivId(id: string): Date {
  const [, year = '', month = ''] = /(?:^|\/)(\d\d)(\d\d)/.exec(id) ?? [];
  const full = Number(year) >= 91 ? 1900 + Number(year) : 2000 + Number(year);
  return new Date(Date.UTC(full, Number(month) - 1, 1));
}

export const abstractPage = (id: string) => `https://arxiv.org/abs/${id}`;
export const pdfPage = (id: string) => `https://arxiv.org/pdf/${id}`;
export const htmlPage = (id: string) => `https://arxiv.org/html/${id}`;
