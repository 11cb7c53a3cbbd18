import type { Identifier, PaperFacts } from './types.ts';

/** An arXiv identifier with the address of its abstract page. */
export function arxivIdentifier(value: string, note?: string): Identifier {
  return { scheme: 'arXiv', value, url: `https://arxiv.org/abs/${value}`, ...(note && { note }) };
}

/** A DOI with the address of its resolver. */
function doiIdentifier(value: string, note?: string): Identifier {
  return { scheme: 'DOI', value, url: `https://doi.org/${value}`, ...(note && { note }) };
}

/** Everything a paper is registered under, the one to cite first. */
export function identifiersOf(paper: PaperFacts): readonly Identifier[] {
  return [
    ...(paper.arxiv ? [arxivIdentifier(paper.arxiv)] : []),
    ...(paper.doi ? [doiIdentifier(paper.doi)] : []),
    ...(paper.otherIdentifiers ?? []),
  ];
}
